/* The order is what makes it safe: the data reach the disk before the name does (fsync, rename), and the name
 * before we go on (fsync of the folder).  A failure on the way leaves the file that was there before
 * untouched. */
#include "atomic.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes less at a time than the kernel's limit of 2 GiB. */
enum { PUT_MOST = 1 << 30 };

static GrStatus failed(AtomicFile *f, const char *doing) {
    int cause = errno;
    f->status = fail_errno(f->e, GR_IO, "%s %.*s", doing, FSTR(f->path));
    if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG)
        fail_help(f->e, "make room on the disk; what was saved before is still whole");
    return f->status;
}

GrStatus atomic_begin(Arena *a, Str path, AtomicFile *f, Error *e) {
    struct stat st;
    *f = (AtomicFile){.fd = -1, .path = str_copy(a, path), .e = e};
    f->part = str_format(a, "%.*s.part", FSTR(path));
    if (lstat(f->path.s, &st) == 0 && !S_ISREG(st.st_mode))
        return f->status = fail(e, GR_IO, "%.*s is there and is not a plain file", FSTR(path));
    f->fd = open(f->part.s, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return f->fd < 0 ? failed(f, "creating") : GR_OK;
}

GrStatus atomic_put(AtomicFile *f, const void *bytes, size_t n) {
    for (const char *p = bytes; n > 0 && f->status == GR_OK;) {
        ssize_t k = write(f->fd, p, n < PUT_MOST ? n : PUT_MOST);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return failed(f, "writing");
        p += k;
        n -= (size_t)k;
    }
    return f->status;
}

void atomic_discard(AtomicFile *f) {
    if (f->fd < 0)
        return;
    close(f->fd);
    unlink(f->part.s);
    f->fd = -1;
}

static GrStatus sync_folder(AtomicFile *f) {
    char folder[4096];
    const char *slash = strrchr(f->path.s, '/');
    int n = slash == NULL ? 1 : slash == f->path.s ? 1 : (int)(slash - f->path.s);
    snprintf(folder, sizeof folder, "%.*s", n, slash == NULL ? "." : f->path.s);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))     /* some file systems cannot sync a folder */
        failed(f, "syncing the folder of");
    if (fd >= 0)
        close(fd);
    return f->status;
}

GrStatus atomic_sync(AtomicFile *f) {
    if (f->status == GR_OK && fsync(f->fd) != 0)
        failed(f, "writing");
    return f->status;
}

GrStatus atomic_finish(AtomicFile *f) {
    atomic_sync(f);
    if (f->status == GR_OK && rename(f->part.s, f->path.s) != 0)
        failed(f, "renaming to");
    if (f->status != GR_OK) {
        atomic_discard(f);
        return f->status;
    }
    close(f->fd);
    f->fd = -1;
    return sync_folder(f);
}

GrStatus atomic_write_text(Arena *a, Str path, Str text, Error *e) {
    AtomicFile f;
    TRY(atomic_begin(a, path, &f, e));
    atomic_put(&f, text.s, text.n);
    return atomic_finish(&f);
}
