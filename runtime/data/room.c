/* A file is made whole before it is mapped (posix_fallocate), so that a full disk is a message now and not a signal
 * later; it is unlinked at once, so nobody else can cut it short and nothing is left of it however the process ends.
 * madvise(MADV_DONTNEED) on a shared mapping drops pages from the process and leaves their bytes in the file.  Rows in
 * the order of an epoch are read by pread: faults would map, for each of them, pages that nobody asks for. */
#define _GNU_SOURCE 1
#include "room.h"
#include "plan.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, HELD_LEAST = 32 << 20 };

typedef struct { char *at; size_t bytes; int file; } Mapped;
struct Room {
    Arena *arena;
    uint64_t most, taken, filed;
    _Atomic uint64_t used;           /* bytes of files since the last rest: batches are gathered by a thread */
    VEC(Mapped) files;
};

static uint64_t half_of_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes / 2 : UINT64_MAX;
}

Room *room_create(Arena *a, uint64_t most) {
    Room *r = PUSH(a, Room, 1);
    r->arena = a;
    r->most = most > 0 ? most : half_of_memory();
    return r;
}

/* /tmp may lie in memory; /var/tmp is for what is large. */
static const char *folder(void) {
    const char *named = getenv("TMPDIR");
    return named != NULL && *named ? named : "/var/tmp";
}

static GrStatus no_file(size_t bytes, int code, Error *e) {
    errno = code;
    if (code == EMFILE || code == ENFILE) {
        fail_errno(e, GR_IO, "each column that does not fit into memory lies in a file, and no more can be open");
        fail_help(e, "`ulimit -n` allows more files, --data-memory more columns in memory");
        return GR_IO;
    }
    fail_errno(e, GR_IO, "columns of %zu MB do not fit into memory, and no file of this size can be made in %s",
               bytes >> 20, folder());
    fail_help(e, "TMPDIR names another folder, --data-memory what may stay in memory");
    return GR_IO;
}

static GrStatus make_file(size_t bytes, int *out, Error *e) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/graphc-data-XXXXXX", folder()) >= (int)sizeof path)
        return no_file(bytes, ENAMETOOLONG, e);
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        return no_file(bytes, errno, e);
    unlink(path);
    int code = posix_fallocate(file, 0, (off_t)bytes);
    if (code == 0) {
        *out = file;
        return GR_OK;
    }
    close(file);
    return no_file(bytes, code, e);
}

static GrStatus map_file(Room *r, size_t bytes, char **out, Error *e) {
    int file;
    TRY(make_file(bytes, &file, e));
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    int code = errno;
    if (at == MAP_FAILED) {
        close(file);
        errno = code;
        fail_errno(e, GR_IO, "a file of %zu bytes for a column cannot be mapped", bytes);
        fail_help(e, "`ulimit -v` limits addresses; --data-memory says what may stay in memory");
        return GR_IO;
    }
    vec_push(r->arena, &r->files, ((Mapped){at, bytes, file}));
    r->filed += bytes;
    *out = at;
    return GR_OK;
}

GrStatus room_take(Room *r, Arena *a, size_t bytes, char **out, Error *e) {
    if (bytes > PAGE && bytes > r->most - r->taken)
        return map_file(r, bytes, out, e);
    r->taken += bytes <= r->most - r->taken ? bytes : 0;
    *out = arena_push(a, bytes, BUFFER_ALIGN);
    return GR_OK;
}

void room_rest(Room *r) {
    for (uint32_t i = 0; i < r->files.n; i++)
        madvise(r->files.at[i].at, r->files.at[i].bytes, MADV_DONTNEED);
    atomic_store(&r->used, 0);
}

/* A quarter of what it may have, so that what is used soon again is there. */
void room_used(Room *r, size_t bytes) {
    if (r == NULL || r->files.n == 0)
        return;
    uint64_t held = r->most / 4 > HELD_LEAST ? r->most / 4 : HELD_LEAST;
    if (atomic_fetch_add(&r->used, bytes) + bytes > held)
        room_rest(r);
}

static const Mapped *file_of(const Room *r, const char *at) {
    for (uint32_t i = 0; r != NULL && i < r->files.n; i++) {
        if (at >= r->files.at[i].at && at < r->files.at[i].at + r->files.at[i].bytes)
            return &r->files.at[i];
    }
    return NULL;
}

/* Whatever pread may say, the mapping has the same bytes. */
static void read_part(const Mapped *m, const char *from, size_t bytes, char *to) {
    if (pread(m->file, to, bytes, from - m->at) != (ssize_t)bytes)
        memcpy(to, from, bytes);
}

void room_gather(Room *r, const char *column, size_t row_bytes, const uint32_t *rows, int64_t n, char *to) {
    const Mapped *m = file_of(r, column);
    for (int64_t i = 0, next; i < n; i = next) {
        for (next = i + 1; m != NULL && next < n && rows[next] == rows[next - 1] + 1;)
            next++;
        const char *from = column + (size_t)rows[i] * row_bytes;
        size_t bytes = (size_t)(next - i) * row_bytes;
        if (m != NULL)
            read_part(m, from, bytes, to);
        else
            memcpy(to, from, bytes);
        to += bytes;
    }
}

uint64_t room_filed(const Room *r) { return r->filed; }

void room_close(Room *r) {
    for (uint32_t i = 0; i < r->files.n; i++)
        munmap(r->files.at[i].at, r->files.at[i].bytes), close(r->files.at[i].file);
    r->files.n = 0;
}
