/* A line is put together in memory and written at once; if it does not fit on the disk the file is cut back
 * to whole lines. */
#include "runlog.h"
#include "json_real.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { F32_DIGITS = 9 };       /* enough to read the same float back */

struct RunLog { int fd; int64_t bytes; Str path; };

GrStatus runlog_open(Arena *a, Str path, int64_t keep, RunLog **out, Error *e) {
    RunLog l = {.path = str_copy(a, path)};
    *out = NULL;
    l.fd = open(l.path.s, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (l.fd < 0)
        return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    off_t end = lseek(l.fd, 0, SEEK_END);
    l.bytes = keep < end ? keep : end;
    if (end < 0 || ftruncate(l.fd, l.bytes) != 0 || lseek(l.fd, l.bytes, SEEK_SET) < 0) {
        fail_errno(e, GR_IO, "%.*s", FSTR(path));
        close(l.fd);
        return GR_IO;
    }
    *out = PUSH(a, RunLog, 1);
    **out = l;
    return GR_OK;
}

void runlog_close(RunLog *l) {
    if (l != NULL && l->fd >= 0)
        close(l->fd);
}

int64_t runlog_bytes(const RunLog *l) { return l->bytes; }

/* Nested arrays in row order; `at` walks through the values. */
static json_t *tensor_json(Shape s, uint32_t axis, const float **at) {
    if (axis == s.rank)
        return json_real_make(*(*at)++);
    json_t *row = json_array();
    for (int64_t i = 0; i < s.dim[axis]; i++)
        json_array_append_new(row, tensor_json(s, axis + 1, at));
    return row;
}

static json_t *field_json(const LogField *f) {
    const float *at = f->values;
    switch (f->kind) {
    case LOG_TEXT:   return json_stringn(f->text.s, f->text.n);
    case LOG_INT:    return json_integer(f->i);
    case LOG_REAL:   return json_real_make(f->x);
    case LOG_TENSOR: return tensor_json(f->shape, 0, &at);
    }
    GR_BUG("field of kind %d", (int)f->kind);
}

static GrStatus put_line(RunLog *l, const char *line, size_t n, Error *e) {
    size_t got = 0;
    while (got < n) {
        ssize_t k = write(l->fd, line + got, n - got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            fail_errno(e, GR_IO, "writing %.*s", FSTR(l->path));
            fail_help(e, "make room on the disk, then go on with `--resume`");
            if (ftruncate(l->fd, l->bytes) == 0)
                lseek(l->fd, l->bytes, SEEK_SET);
            return GR_IO;
        }
        got += (size_t)k;
    }
    l->bytes += (int64_t)n;
    return GR_OK;
}

GrStatus runlog_row(RunLog *l, const LogField *fields, uint32_t n, Error *e) {
    json_t *row = json_object();
    for (uint32_t i = 0; i < n; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", FSTR(fields[i].name));
        json_object_set_new(row, name, field_json(&fields[i]));
    }
    char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(F32_DIGITS));
    json_decref(row);
    GR_ASSERT(text != NULL);
    size_t length = strlen(text);
    text[length] = '\n';                       /* in place of the NUL */
    GrStatus s = put_line(l, text, length + 1, e);
    free(text);
    return s;
}
