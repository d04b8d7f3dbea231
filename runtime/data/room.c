/* A room has one file, which grows by a column at a time.  Its place is taken before it is mapped (posix_fallocate), so
 * that a full disk is a message now and not a signal later; it is unlinked at once, so nobody else can cut it short and
 * nothing is left of it however the process ends.  madvise(MADV_DONTNEED) on a shared mapping drops pages from the
 * process and leaves their bytes in the file.  Rows in the order of an epoch are read by pread: faults would map, for
 * each of them, pages that nobody asks for. */
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

typedef struct { char *at; size_t bytes; off_t offset; } Mapped;
struct Room {
    Arena *arena;
    int file;                        /* of all its columns, one behind the other; -1: it has none yet */
    off_t end;                       /* of the last, rounded up to whole pages */
    uint64_t most, taken, filed;
    _Atomic uint64_t used;           /* bytes of files since the last rest: batches are gathered by a thread */
    VEC(Mapped) columns;             /* that lie in the file */
};

static uint64_t half_of_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes / 2 : UINT64_MAX;
}

Room *room_create(Arena *a, uint64_t most) {
    Room *r = PUSH(a, Room, 1);
    r->arena = a;
    r->file = -1;
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
    bool small = bytes < 1000000;
    fail_errno(e, GR_IO, "a column of %.*f %s does not fit into memory, and no file of this size can be made in %s",
               !small, (double)bytes / (small ? 1e3 : 1e6), small ? "kB" : "MB", folder());
    if (code == EMFILE || code == ENFILE)
        fail_help(e, "`ulimit -n` allows more open files, --data-memory more columns in memory");
    else
        fail_help(e, "TMPDIR names another folder, --data-memory what may stay in memory");
    return GR_IO;
}

static GrStatus open_file(Room *r, size_t bytes, Error *e) {
    char path[4096];
    if (r->file >= 0)
        return GR_OK;
    if (snprintf(path, sizeof path, "%s/graphc-data-XXXXXX", folder()) >= (int)sizeof path)
        return no_file(bytes, ENAMETOOLONG, e);
    r->file = mkostemp(path, O_CLOEXEC);
    if (r->file < 0)
        return no_file(bytes, errno, e);
    unlink(path);
    return GR_OK;
}

static GrStatus map_column(Room *r, size_t bytes, char **out, Error *e) {
    TRY(open_file(r, bytes, e));
    int code = posix_fallocate(r->file, r->end, (off_t)bytes);
    if (code != 0)
        return no_file(bytes, code, e);
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->file, r->end);
    if (at == MAP_FAILED) {
        fail_errno(e, GR_IO, "a file of %zu bytes for a column cannot be mapped", bytes);
        fail_help(e, "`ulimit -v` limits addresses; --data-memory says what may stay in memory");
        return GR_IO;
    }
    vec_push(r->arena, &r->columns, ((Mapped){at, bytes, r->end}));
    r->end += (off_t)((bytes + PAGE - 1) / PAGE * PAGE);
    r->filed += bytes;
    *out = at;
    return GR_OK;
}

GrStatus room_take(Room *r, Arena *a, size_t bytes, char **out, Error *e) {
    if (bytes > PAGE && bytes > r->most - r->taken)
        return map_column(r, bytes, out, e);
    r->taken += bytes <= r->most - r->taken ? bytes : 0;
    *out = arena_push(a, bytes, BUFFER_ALIGN);
    return GR_OK;
}

void room_rest(Room *r) {
    for (uint32_t i = 0; i < r->columns.n; i++)
        madvise(r->columns.at[i].at, r->columns.at[i].bytes, MADV_DONTNEED);
    atomic_store(&r->used, 0);
}

/* A quarter of what it may have, so that what is used soon again is there. */
void room_used(Room *r, size_t bytes) {
    if (r == NULL || r->columns.n == 0)
        return;
    uint64_t held = r->most / 4 > HELD_LEAST ? r->most / 4 : HELD_LEAST;
    if (atomic_fetch_add(&r->used, bytes) + bytes > held)
        room_rest(r);
}

static const Mapped *column_at(const Room *r, const char *at) {
    for (uint32_t i = 0; r != NULL && i < r->columns.n; i++) {
        if (at >= r->columns.at[i].at && at < r->columns.at[i].at + r->columns.at[i].bytes)
            return &r->columns.at[i];
    }
    return NULL;
}

/* Whatever pread may say, the mapping has the same bytes. */
static void read_part(const Room *r, const Mapped *m, const char *from, size_t bytes, char *to) {
    if (pread(r->file, to, bytes, m->offset + (from - m->at)) != (ssize_t)bytes)
        memcpy(to, from, bytes);
}

void room_gather(Room *r, const char *column, size_t row_bytes, const uint32_t *rows, int64_t n, char *to) {
    const Mapped *m = column_at(r, column);
    for (int64_t i = 0, next; i < n; i = next) {
        for (next = i + 1; m != NULL && next < n && rows[next] == rows[next - 1] + 1;)
            next++;
        const char *from = column + (size_t)rows[i] * row_bytes;
        size_t bytes = (size_t)(next - i) * row_bytes;
        if (m != NULL)
            read_part(r, m, from, bytes, to);
        else
            memcpy(to, from, bytes);
        to += bytes;
    }
}

uint64_t room_filed(const Room *r) { return r->filed; }

void room_close(Room *r) {
    for (uint32_t i = 0; i < r->columns.n; i++)
        munmap(r->columns.at[i].at, r->columns.at[i].bytes);
    if (r->file >= 0)
        close(r->file);
    r->columns.n = 0;
    r->file = -1;
}
