/* Failures of the world, written into an Error for whoever stands at the top, and our own mistakes, which abort. */
#include "error.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *gr_status_name(GrStatus s) {
    static const char *const names[] = {
#define X(id, text) #id,
        GR_STATUS_LIST(X)
#undef X
    };
    return (unsigned)s < GR_STATUS_COUNT ? names[s] : "?";
}

GrStatus fail(Error *e, GrStatus s, const char *fmt, ...) {
    if (e == NULL)
        return s;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->what, sizeof e->what, fmt, ap);
    va_end(ap);
    e->status = s;
    e->help[0] = 0;
    e->at = (Span){0};
    e->sources = NULL;
    return s;
}

GrStatus fail_errno(Error *e, GrStatus s, const char *fmt, ...) {
    int cause = errno;
    if (e == NULL)
        return s;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->what, sizeof e->what, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->what);
    snprintf(e->what + n, sizeof e->what - n, ": %s", strerror(cause));
    e->status = s;
    e->help[0] = 0;
    e->at = (Span){0};
    e->sources = NULL;
    return s;
}

GrStatus fail_place(Error *e, GrStatus s, Span at) {
    if (e != NULL && e->at.n == 0)
        e->at = at;
    return s;
}

void fail_help(Error *e, const char *fmt, ...) {
    if (e == NULL)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->help, sizeof e->help, fmt, ap);
    va_end(ap);
}

void error_no_memory(size_t bytes) {
    fprintf(stderr, "graphc: out of memory (%zu more bytes were needed)\n", bytes);
    exit(1);
}

void bug_(const char *file, int line, const char *fmt, ...) {
    fflush(stdout);
    fprintf(stderr, "graphc: internal error at %s:%d: ", file, line);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\nthis is a mistake of graphc, not of your program; please report it with the file that shows it\n", stderr);
    abort();
}
