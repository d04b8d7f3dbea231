/* The texts a compilation reads.  All of them lie end to end on one line of offsets that starts at 1 (0 is "no place"),
 * each with one offset more than it has bytes, so that its end can be pointed at.  Lines are found in a table of their
 * starts by halving. */
#include "diag.h"
#include <errno.h>
#include <string.h>
#include <utf8proc.h>

enum { LARGEST_FILE = 64 << 20 };

typedef struct { Source source; uint32_t *line_starts, n_lines; } File;

struct SourceSet {
    Arena *arena;
    VEC(File *) files;
    uint64_t end;                  /* where the next file starts */
    Str packed;
};

Span span_join(Span a, Span b) {
    if (a.at == 0 || b.at == 0)
        return a.at == 0 ? b : a;
    uint32_t at = a.at < b.at ? a.at : b.at;
    uint32_t end = a.at + a.n > b.at + b.n ? a.at + a.n : b.at + b.n;
    return (Span){at, end - at};
}

SourceSet *sources_create(Arena *a) {
    SourceSet *s = PUSH(a, SourceSet, 1);
    s->arena = a;
    s->end = 1;
    return s;
}

void sources_pack(SourceSet *s, Str folder) { s->packed = str_copy(s->arena, folder); }
Str sources_packed(const SourceSet *s) { return s->packed; }

static void find_lines(Arena *a, File *f) {
    Str text = f->source.text;
    uint32_t n = 1;
    for (uint32_t i = 0; i < text.n; i++)
        n += text.s[i] == '\n';
    f->line_starts = PUSH(a, uint32_t, n);
    f->n_lines = 1;
    for (uint32_t i = 0; i < text.n; i++) {
        if (text.s[i] == '\n')
            f->line_starts[f->n_lines++] = i + 1;
    }
}

const Source *sources_add(SourceSet *s, Str path, Str text) {
    GR_ASSERT(s->end + text.n < UINT32_MAX);
    File *f = PUSH(s->arena, File, 1);
    f->source = (Source){str_copy(s->arena, path), str_copy(s->arena, text), (uint32_t)s->end};
    find_lines(s->arena, f);
    vec_push(s->arena, &s->files, f);
    s->end += (uint64_t)text.n + 1;
    return &f->source;
}

/* Offset of the first byte that is NUL or no UTF-8; n when all are fine. */
static uint32_t first_wrong_byte(Str text) {
    uint32_t i = 0;
    while (i < text.n) {
        utf8proc_int32_t rune;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text.s + i, (utf8proc_ssize_t)(text.n - i),
                                              &rune);
        if (n <= 0 || rune == 0)
            break;
        i += (uint32_t)n;
    }
    return i;
}

static GrStatus check_text(Str path, Str text, Error *e) {
    uint32_t at = first_wrong_byte(text), line = 1;
    if (at == text.n)
        return GR_OK;
    for (uint32_t i = 0; i < at; i++)
        line += text.s[i] == '\n';
    fail(e, GR_IO, "`%.*s`, line %u: byte 0x%02x is %s", FSTR(path), line, (unsigned char)text.s[at],
         text.s[at] == 0 ? "no text" : "not UTF-8");
    fail_help(e, "a source is UTF-8 text; is this the right file?");
    return GR_IO;
}

/* Reads by portions, so that neither a pipe nor a file that grows can fool it. */
static GrStatus read_text(Arena *a, FILE *in, Str path, Str *out, Error *e) {
    Buf text = buf_make(a);
    char portion[16 << 10];
    for (size_t n; (n = fread(portion, 1, sizeof portion, in)) > 0;) {
        buf_put(&text, (Str){portion, (uint32_t)n});
        if (text.n > LARGEST_FILE)
            return fail(e, GR_IO, "`%.*s` is larger than 64 MiB, the most a source may be", FSTR(path));
    }
    if (ferror(in))
        return fail_errno(e, GR_IO, "`%.*s` cannot be read", FSTR(path));
    *out = buf_str(&text);
    return GR_OK;
}

GrStatus sources_load(SourceSet *s, Str path, const Source **out, Error *e) {
    Arena *scratch = arena_create();
    Str text = {0};
    FILE *in = fopen(str_copy(scratch, path).s, "rb");
    GrStatus status = in == NULL ? fail_errno(e, GR_IO, "`%.*s` cannot be opened", FSTR(path))
                                 : read_text(scratch, in, path, &text, e);
    if (in != NULL)
        fclose(in);
    if (status == GR_OK)
        status = check_text(path, text, e);
    if (status == GR_OK && s->end + text.n >= UINT32_MAX)
        status = fail(e, GR_IO, "`%.*s` brings the sources of one program over 4 GiB", FSTR(path));
    if (status == GR_OK)
        *out = sources_add(s, path, text);
    arena_destroy(scratch);
    return status;
}

static const File *file_of(const SourceSet *s, Span at) {
    uint32_t low = 0, high = s->files.n;         /* the file sought is in [low, high) if anywhere */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (s->files.at[middle]->source.base <= at.at)
            low = middle;
        else
            high = middle;
    }
    return at.at == 0 || high == 0 || at.at >= s->end ? NULL : s->files.at[low];
}

const Source *sources_of(const SourceSet *s, Span at) {
    const File *f = file_of(s, at);
    return f == NULL ? NULL : &f->source;
}

Place sources_place(const SourceSet *s, Span at) {
    const File *f = file_of(s, at);
    if (f == NULL)
        return (Place){0};
    uint32_t offset = at.at - f->source.base, low = 0, high = f->n_lines;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (f->line_starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    uint32_t start = f->line_starts[low];
    uint32_t end = low + 1 < f->n_lines ? f->line_starts[low + 1] - 1 : f->source.text.n;
    if (end > start && f->source.text.s[end - 1] == '\r')
        end--;
    return (Place){f->source.path, low + 1, offset - start + 1, {f->source.text.s + start, end - start}};
}

Str sources_text(const SourceSet *s, Span at) {
    const File *f = file_of(s, at);
    if (f == NULL)
        return (Str){"", 0};
    uint32_t offset = at.at - f->source.base, left = f->source.text.n - offset;
    return (Str){f->source.text.s + offset, at.n < left ? at.n : left};
}
