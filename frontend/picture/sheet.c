/* Boxes, frames and arrows over cgraph, and the file that libgvc makes of them.  Names of nodes are numbers
 * in the order of drawing, so the same program gives the same text.  A picture is rendered in memory and
 * written by us: the library ends the process when it cannot write. */
#include "sheet.h"
#include <graphviz/gvc.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *shape, *fill, *line;
} looks[LOOK_COUNT] = {
#define X(id, shape, fill, line) {shape, fill, line},
    LOOK_LIST(X)
#undef X
};
static const char *const formats[] = {"svg", "png", "pdf", "dot"};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

/* cgraph takes texts that may change, and does not change them. */
static char *text(const char *z) { return (char *)(uintptr_t)z; }

void sheet_set(void *thing, const char *attribute, const char *value) {
    agsafeset(thing, text(attribute), text(value), text(""));
}

static void set_html(Sheet *s, void *thing, Str html) {
    char *shared = agstrdup_html(s->root, text(str_copy(s->arena, html).s));
    agsafeset(thing, text("label"), shared, text(""));
    agstrfree(s->root, shared);
}

static void set_defaults(Agraph_t *root) {
    static const struct {
        int kind;
        const char *name, *value;
    } defaults[] = {
        {AGRAPH, "fontname", "Helvetica"}, {AGRAPH, "fontsize", "14"},   {AGRAPH, "nodesep", "0.25"},
        {AGRAPH, "ranksep", "0.35"},       {AGRAPH, "labelloc", "t"},    {AGRAPH, "newrank", "true"},
        {AGNODE, "fontname", "Helvetica"}, {AGNODE, "fontsize", "12"},   {AGNODE, "style", "rounded,filled"},
        {AGNODE, "margin", "0.12,0.06"},   {AGNODE, "height", "0.3"},    {AGEDGE, "fontname", "Helvetica"},
        {AGEDGE, "fontsize", "9"},         {AGEDGE, "arrowsize", "0.6"}, {AGEDGE, "color", "#777777"},
    };
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        agattr(root, defaults[i].kind, text(defaults[i].name), text(defaults[i].value));
}

static void put_escaped(Buf *out, Str t) {
    for (uint32_t i = 0; i < t.n; i++) {
        if (t.s[i] == '&')
            buf_put(out, STR("&amp;"));
        else if (t.s[i] == '<')
            buf_put(out, STR("&lt;"));
        else if (t.s[i] == '>')
            buf_put(out, STR("&gt;"));
        else if (t.s[i] == '"')
            buf_put(out, STR("&quot;"));
        else
            buf_char(out, t.s[i]);
    }
}

/* agwrite: into a Buf. */
static int put_text(void *out, const char *z) {
    buf_put(out, str_of(z));
    return 0;
}

static int put_end(void *out) {
    (void)out;
    return 0;
}

Sheet *sheet_create(Arena *a, Str title) {
    Sheet *s = PUSH(a, Sheet, 1);
    Agiodisc_t *io = PUSH(a, Agiodisc_t, 1);
    Agdisc_t *disc = PUSH(a, Agdisc_t, 1);
    *io = (Agiodisc_t){.putstr = put_text, .flush = put_end};
    *disc = (Agdisc_t){&AgMemDisc, &AgIdDisc, io};
    *s = (Sheet){.arena = a, .root = agopen(text("picture"), Agstrictdirected, disc)};
    set_defaults(s->root);
    Buf html = buf_make(a);
    put_escaped(&html, title);
    if (title.n) set_html(s, s->root, buf_str(&html));
    return s;
}

void sheet_destroy(Sheet *s) { agclose(s->root); }

Label label_make(Sheet *s) { return (Label){.html = buf_make(s->arena)}; }

void label_line(Label *l, const char *fmt, ...) {
    Buf line = buf_make(l->html.arena);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    buf_put(&l->html, l->lines == 0 ? STR("<b>") : STR("<br/><font point-size=\"10\" color=\"#444444\">"));
    put_escaped(&l->html, buf_str(&line));
    buf_put(&l->html, l->lines == 0 ? STR("</b>") : STR("</font>"));
    l->lines++;
}

Agraph_t *sheet_frame(Sheet *s, Agraph_t *in, Str title) {
    Str name = str_format(s->arena, "cluster%u", ++s->frames);
    Agraph_t *frame = agsubg(in ? in : s->root, text(name.s), 1);
    Buf html = buf_make(s->arena);
    put_escaped(&html, title);
    set_html(s, frame, buf_str(&html));
    sheet_set(frame, "style", "rounded");
    sheet_set(frame, "color", "#aaaaaa");
    sheet_set(frame, "labeljust", "l");
    return frame;
}

Agnode_t *sheet_box(Sheet *s, Agraph_t *in, Look look, const Label *l) {
    Str name = str_format(s->arena, "n%u", ++s->boxes);
    Agnode_t *n = agnode(in ? in : s->root, text(name.s), 1);
    set_html(s, n, buf_str(&l->html));
    sheet_set(n, "shape", looks[look].shape);
    sheet_set(n, "fillcolor", looks[look].fill);
    sheet_set(n, "color", looks[look].line);
    return n;
}

Agedge_t *sheet_arrow(Sheet *s, Agnode_t *from, Agnode_t *to, Look look, bool upwards) {
    Agedge_t *e = agedge(s->root, upwards ? to : from, upwards ? from : to, text(""), 1);
    if (upwards) sheet_set(e, "dir", "back");
    sheet_set(e, "color", looks[look].line);
    return e;
}

Str scaled_text(Arena *a, double n, const char *unit) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    uint32_t k = 0;
    for (; n >= 999.5 && k < 5; k++)
        n /= 1000;
    const char *space = k > 0 || *unit ? " " : "";
    return str_format(a, k == 0 || n >= 99.5 ? "%.0f%s%s%s" : "%.3g%s%s%s", n, space, prefixes[k], unit);
}

Str place_text(Arena *a, const SourceSet *files, Span at) {
    if (at.n == 0) return (Str){"", 0};
    Place p = sources_place(files, at);
    uint32_t from = p.path.n;
    while (from > 0 && p.path.s[from - 1] != '/')
        from--;
    return str_format(a, "%.*s:%u", (int)(p.path.n - from), p.path.s + from, p.line);
}

static const char *format_of(const char *file) {
    Str name = str_of(file);
    for (int i = 0; i < FORMAT_COUNT; i++) {
        size_t n = strlen(formats[i]);
        if (name.n > n + 1 && name.s[name.n - n - 1] == '.' && str_ends(name, formats[i])) return formats[i];
    }
    return NULL;
}

bool sheet_known(const char *file) { return format_of(file) != NULL; }

/* Of many boxes the places are looked for until they are good, not the best: that would take minutes. */
static void bound_layout(Sheet *s) {
    enum { FEW = 100, STEPS = 4000 };
    if (s->boxes <= FEW) return;
    Str turns = str_format(s->arena, "%u", STEPS / s->boxes + 1); /* of so many steps as there are boxes */
    agattr(s->root, AGRAPH, text("nslimit"), text(str_copy(s->arena, turns).s));
}

static GrStatus render(Sheet *s, GVC_t *gvc, const char *format, Str *out, Error *e) {
    char *data = NULL;
    unsigned int n = 0;
    bound_layout(s);
    bool laid = gvLayout(gvc, s->root, "dot") == 0;
    bool drawn = laid && gvRenderData(gvc, s->root, format, &data, &n) == 0 && data && n > 0;
    if (drawn) *out = str_copy(s->arena, (Str){data, n});
    if (data) gvFreeRenderData(data);
    if (laid) gvFreeLayout(gvc, s->root);
    if (drawn) return GR_OK;
    const char *why = aglasterr();
    fail(e, GR_UNSUPPORTED, "the Graphviz library cannot draw this as %s%s%s", format, why ? ": " : "",
         why ? why : "");
    fail_help(e,
              "svg and png come with the package libgvc6, its letters with fontconfig and fonts-dejavu-core;"
              " `dot -c` repairs its list of plugins");
    return e->status;
}

GrStatus sheet_write(Sheet *s, const char *file, Error *e) {
    const char *format = format_of(file);
    GR_ASSERT(format);
    agseterr(AGMAX); /* what it has to say goes into the Error */
    Str out = {0};
    if (strcmp(format, "dot") == 0) {
        Buf text_of = buf_make(s->arena);
        agwrite(s->root, &text_of);
        out = buf_str(&text_of);
    } else {
        GVC_t *gvc = gvContext();
        GrStatus status = render(s, gvc, format, &out, e);
        gvFreeContext(gvc);
        TRY(status);
    }
    FILE *f = fopen(file, "wb");
    bool written = f && fwrite(out.s, 1, out.n, f) == out.n;
    if (f && fclose(f) != 0) written = false;
    return written ? GR_OK : fail_errno(e, GR_IO, "the picture %s cannot be written", file);
}

#if defined(__SANITIZE_ADDRESS__)
/* What the libraries keep until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig\nleak:libglib\nleak:libgvc\nleak:libcgraph\n";
}
#endif

#if defined(__SANITIZE_THREAD__)
/* Fonts are looked for by a thread of Pango, whose locks a build without the sanitizer does not show. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
    return "race:libfontconfig\nrace:libglib-2.0\nrace:libpango\nthread:libglib-2.0\n";
}
#endif
