/* Paths of a source.  Only `*` stands for something else (any characters but `/`); what matches comes in
 * byte order, so that the rows have the same order everywhere. */
#include "source.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>

static bool is_pattern(Str path) { return memchr(path.s, '*', path.n) != NULL; }

static Str escaped(Arena *a, Str path) {
    Buf b = buf_make(a);
    for (uint32_t i = 0; i < path.n; i++) {
        if (strchr("?[\\", path.s[i]) != NULL)
            buf_char(&b, '\\');
        buf_char(&b, path.s[i]);
    }
    return buf_str(&b);
}

static int by_bytes(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

static GrStatus match(Arena *a, const RecipeSource *s, const RecipeFile *f, ReaderFiles *out, Error *e) {
    glob_t g;
    int status = glob(escaped(a, f->path).s, GLOB_ERR | GLOB_NOSORT, NULL, &g);
    if (status == 0) {
        qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_bytes);
        for (size_t i = 0; i < g.gl_pathc; i++)
            vec_push(a, out, (ReaderFile){s, str_copy(a, str_of(g.gl_pathv[i])), f->column, 0});
    }
    globfree(&g);
    if (status == 0)
        return GR_OK;
    if (status != GLOB_NOMATCH)
        return fail_errno(e, GR_IO, "looking for %.*s", FSTR(f->path));
    fail(e, GR_IO, "no file matches %.*s", FSTR(f->path));
    fail_help(e,
              "`*` stands for any characters of one name; a path in a .graph file is relative to that file");
    return GR_IO;
}

static Str folder_of(Str path) {
    while (path.n > 0 && path.s[path.n - 1] != '/')
        path.n--;
    return path;
}

static int by_name(const void *x, const void *y) { return str_compare(*(const Str *)x, *(const Str *)y); }

static void number_folders(Arena *a, ReaderFiles *files) {
    Str *all = PUSH(a, Str, files->n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < files->n; i++)
        all[i] = folder_of(files->at[i].path);
    qsort(all, files->n, sizeof *all, by_name);
    for (uint32_t i = 0; i < files->n; i++) {
        if (i == 0 || !str_eq(all[i], all[n - 1]))
            all[n++] = all[i];
    }
    for (uint32_t i = 0; i < files->n; i++) {
        Str folder = folder_of(files->at[i].path);
        const Str *at = bsearch(&folder, all, n, sizeof *all, by_name);
        files->at[i].folder = (int32_t)(at - all);
    }
}

/* A component of dots only, or of none, leads elsewhere when it stands in another folder: it gets three dots more, as
 * `..` in `prog/../data`.  So no two paths get one name, and names keep the order of their paths. */
Str source_packed_path(Arena *a, Str path) {
    Buf b = buf_make(a);
    for (uint32_t from = 1, i = 1; i <= path.n; i++) {
        if (i < path.n && path.s[i] != '/')
            continue;
        Str part = {path.s + from, i - from};
        bool dots = strspn(str_copy(a, part).s, ".") == part.n;
        buf_printf(&b, "/%.*s%s", FSTR(part), dots ? "..." : "");
        from = i + 1;
    }
    return buf_str(&b);
}

/* In the folder of packed files, when they are there; a library of functions never is: a pack runs nothing. */
static Str place_of(Arena *a, const RecipeData *d, const RecipeSource *s, const RecipeFile *f) {
    Str path = f->path;
    glob_t g;
    if (d->packed.n == 0 || s->reader == READER_EXTERN || f->typed || path.n == 0 || path.s[0] != '/')
        return path;
    Str packed = str_format(a, "%.*s%.*s", FSTR(d->packed), FSTR(source_packed_path(a, path)));
    int status = glob(escaped(a, packed).s, GLOB_NOSORT, NULL, &g);
    globfree(&g);
    return status == 0 ? packed : path;
}

GrStatus source_files(Arena *a, const RecipeData *d, const RecipeSource *s, ReaderFiles *out, Error *e) {
    for (uint32_t i = s->first_file; i < s->first_file + s->n_files; i++) {
        RecipeFile f = d->files.at[i];
        f.path = place_of(a, d, s, &f);
        if (is_pattern(f.path))
            TRY(match(a, s, &f, out, e));
        else
            vec_push(a, out, (ReaderFile){s, f.path, f.column, 0});
    }
    number_folders(a, out);
    return GR_OK;
}
