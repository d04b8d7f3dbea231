/* zlib reads gzip and plain files alike. */
#include "stream.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

GrStatus file_check(Arena *a, Str path, uint64_t *size, Error *e) {
    struct stat st;
    const char *z = str_copy(a, path).s;
    if (stat(z, &st) != 0) {
        fail_errno(e, GR_IO, "%.*s", FSTR(path));
        fail_help(e, "a path in a .graph file is relative to that file");
        return GR_IO;
    }
    if (!S_ISREG(st.st_mode)) {
        fail(e, GR_IO, "%.*s is %s, not a file", FSTR(path),
             S_ISDIR(st.st_mode) ? "a folder" : "something else");
        if (S_ISDIR(st.st_mode))
            fail_help(e, "name a file in it, or several by a pattern: `folder / \"*.npz\"`");
        return GR_IO;
    }
    *size = (uint64_t)st.st_size;
    return access(z, R_OK) == 0 ? GR_OK : fail_errno(e, GR_IO, "%.*s", FSTR(path));
}

GrStatus stream_open(Arena *a, Str path, Stream *out, Error *e) {
    *out = (Stream){.path = path, .e = e};
    TRY(file_check(a, path, &out->size, e));
    out->gz = gzopen(str_copy(a, path).s, "rb");
    if (out->gz == NULL)
        return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    gzbuffer(out->gz, 1 << 17);
    out->exact = gzdirect(out->gz);
    out->most = out->exact ? out->size : out->size * DEFLATE_MOST;
    return GR_OK;
}

void stream_close(Stream *s) {
    if (s->gz != NULL)
        gzclose(s->gz);
    if (s->entry != NULL)
        zip_fclose(s->entry);
    s->gz = NULL;
    s->entry = NULL;
}

static GrStatus broken(Stream *s) {
    if (s->entry != NULL)
        return fail(s->e, GR_DATA, "%.*s: the packed bytes are damaged (%s)", FSTR(s->path),
                    zip_error_strerror(zip_file_get_error(s->entry)));
    int code;
    const char *what = gzerror(s->gz, &code);
    const char *colon = strrchr(what, ':'); /* zlib puts the path in front */
    return fail(s->e, GR_DATA, "%.*s: the gzip stream is damaged (%s)", FSTR(s->path),
                colon == NULL ? what : colon + 2);
}

GrStatus stream_some(Stream *s, void *to, uint64_t n, uint64_t *got) {
    for (*got = 0; *got < n;) {
        uint64_t rest = n - *got;
        unsigned most = rest > (1 << 30) ? 1 << 30 : (unsigned)rest;
        int64_t k = s->entry != NULL ? zip_fread(s->entry, (char *)to + *got, most)
                                     : gzread(s->gz, (char *)to + *got, most);
        if (k < 0)
            return broken(s);
        if (k == 0)
            break;
        *got += (uint64_t)k;
    }
    return GR_OK;
}

GrStatus stream_all(Stream *s, void *to, uint64_t n, const char *what) {
    uint64_t got;
    TRY(stream_some(s, to, n, &got));
    if (got == n)
        return GR_OK;
    fail(s->e, GR_DATA, "%.*s is cut short: %llu of %llu bytes of its %s are there", FSTR(s->path),
         (unsigned long long)got, (unsigned long long)n, what);
    fail_help(s->e, "fetch the file again");
    return GR_DATA;
}

GrStatus stream_end(Stream *s) {
    char one;
    uint64_t got;
    int code;
    TRY(stream_some(s, &one, 1, &got));
    if (s->gz != NULL && (gzerror(s->gz, &code), code == Z_BUF_ERROR))
        return fail(s->e, GR_DATA, "%.*s is cut short: its gzip stream has no end", FSTR(s->path));
    if (got > 0)
        return fail(s->e, GR_DATA, "%.*s is longer than its header says", FSTR(s->path));
    return GR_OK;
}
