/* A line is whole when its end is there: whoever wrote it wrote all of it at once. */
#include "jsonlines.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static GrStatus read_lines(FILE *f, Str path, int64_t *from, const char *what, JsonLine *line, void *user, Error *e) {
    char *text = NULL;
    size_t room = 0;
    ssize_t n = 0;
    GrStatus status = GR_OK;
    for (int at = 1; status == GR_OK && (n = getline(&text, &room, f)) > 0 && text[n - 1] == '\n'; at++) {
        json_t *object = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(object))
            line(user, object);
        else
            status = fail(e, GR_DATA, "%.*s, line %d: no %s", FSTR(path), at, what);
        json_decref(object);
        *from += n;
    }
    if (status == GR_OK && n < 0 && !feof(f))           /* no end: what is missing is memory, or the disk */
        status = fail_errno(e, GR_IO, "%.*s", FSTR(path));
    free(text);
    return status;
}

GrStatus jsonlines_read(Str path, int64_t *from, const char *what, JsonLine *line, void *user, Error *e) {
    FILE *f = fopen(path.s, "re");
    if (f == NULL)
        return errno == ENOENT ? GR_OK : fail_errno(e, GR_IO, "%.*s", FSTR(path));
    bool there = fseeko(f, *from, SEEK_SET) == 0;
    GrStatus status = there ? read_lines(f, path, from, what, line, user, e) : fail_errno(e, GR_IO, "%.*s", FSTR(path));
    fclose(f);
    return status;
}
