/* A line is whole when its end is there: whoever wrote it wrote all of it at once. */
#include "jsonlines.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Counted from the beginning of the file, wherever this reading began. */
static GrStatus no_object(FILE *f, Str path, int64_t at, const char *what, Error *e) {
    int64_t line = 1;
    rewind(f);
    for (int c; at > 0 && (c = getc(f)) != EOF; at--)
        line += c == '\n';
    fail(e, GR_DATA, "%.*s, line %lld: no %s", FSTR(path), (long long)line, what);
    fail_help(e, "take the line out of the file: what it says is lost, and no more");
    return GR_DATA;
}

static GrStatus read_lines(FILE *f, Str path, int64_t *from, const char *what, JsonLine *line, void *user, Error *e) {
    char *text = NULL;
    size_t room = 0;
    ssize_t n = 0;
    GrStatus status = GR_OK;
    while (status == GR_OK && (n = getline(&text, &room, f)) > 0 && text[n - 1] == '\n') {
        json_t *object = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(object))
            line(user, object);
        else
            status = no_object(f, path, *from, what, e);
        json_decref(object);
        *from += status == GR_OK ? n : 0;
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
