/* The cache on disk.  Layout of the folder:
 *     lib-HASH.so   an object of several kernels, linked, followed by a trailer with the hash of all before it
 *     key-HASH      one line: the library's name, the symbol, and a hash of both and HASH, the kernel's key
 *     tmp-*         being written; renamed when complete, so a reader sees nothing or everything
 * Names say what is inside, so processes that write at the same time write the same.  Nothing found is
 * trusted: the folder has to be ours and private, a library must match its trailer, else it is removed and
 * compiled anew.  A library that is used becomes young again; beyond the bound the oldest go. */
#include "store.h"
#include "hash.h"
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { PATH_BYTES = 4096, NAME_BYTES = 64, SYMBOL_BYTES = 512, YOUNG_SECONDS = 3600,
       LINE_BYTES = NAME_BYTES + SYMBOL_BYTES + 32 };
typedef struct { char magic[8]; uint64_t hash; } Trailer;
static const char trailer_magic[8] = "graphc\1";

typedef struct Library { struct Library *next; char name[NAME_BYTES]; void *handle; } Library;
struct Store { Arena *arena; int dir; uint64_t bound; const char *path; Library *libraries; };

/* ---- files of the folder ---- */
static bool make_folders(char *path) {
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            mkdir(path, 0700);
            *at = '/';
        }
    }
    mkdir(path, 0700);
    return access(path, W_OK | X_OK) == 0;
}

Store *store_open(Arena *a, const char *dir, uint64_t bound_bytes) {
    Str path = str_format(a, "%s", dir);
    if (path.n == 0 || path.n > PATH_BYTES - NAME_BYTES || !make_folders((char *)path.s))
        return NULL;
    int fd = open(path.s, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        close(fd);
        return NULL;
    }
    Store *s = PUSH(a, Store, 1);
    *s = (Store){.arena = a, .dir = fd, .bound = bound_bytes, .path = path.s};
    return s;
}

static uint64_t trailer_hash(const void *p, size_t n) { return hash_bytes(0x6b65726e656c73, p, n); }

/* Is the file what was written?  Its pages are then warm for dlopen. */
static bool library_sound(const Store *s, const char *name) {
    int fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0)
        return false;
    bool sound = false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > (off_t)sizeof(Trailer)) {
        size_t n = (size_t)st.st_size - sizeof(Trailer);
        char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (p != MAP_FAILED) {
            Trailer t;
            memcpy(&t, p + n, sizeof t);
            sound = memcmp(t.magic, trailer_magic, sizeof t.magic) == 0 && t.hash == trailer_hash(p, n);
            munmap(p, (size_t)st.st_size);
        }
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        if (sound && now.tv_sec - st.st_mtim.tv_sec > YOUNG_SECONDS)
            futimens(fd, NULL);
    }
    close(fd);
    return sound;
}

static bool name_is_plain(const char *name) { return strncmp(name, "lib-", 4) == 0 && strchr(name,
    '/') == NULL; }

static void *library_handle(Store *s, const char *name) {
    for (const Library *l = s->libraries; l != NULL; l = l->next)
        if (strcmp(l->name, name) == 0)
            return l->handle;
    void *handle = NULL;
    if (library_sound(s, name)) {
        char path[PATH_BYTES + NAME_BYTES];
        snprintf(path, sizeof path, "%s/%s", s->path, name);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    if (handle == NULL)
        unlinkat(s->dir, name, 0);
    Library *l = PUSH(s->arena, Library, 1);
    *l = (Library){.next = s->libraries, .handle = handle};
    snprintf(l->name, sizeof l->name, "%s", name);
    s->libraries = l;
    return handle;
}

/* A line under another key's name would be another kernel, which sound libraries do not show. */
static uint64_t line_hash(uint64_t key, const char *library, const char *symbol) {
    uint64_t h = hash_bytes(key, library, strlen(library));
    return hash_bytes(h, symbol, strlen(symbol));
}

void *store_find(Store *s, uint64_t key) {
    char file[NAME_BYTES], line[LINE_BYTES], name[NAME_BYTES], symbol[SYMBOL_BYTES];
    uint64_t hash;
    snprintf(file, sizeof file, "key-%016" PRIx64, key);
    int fd = openat(s->dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    line[n < 0 ? 0 : n] = '\0';
    void *handle = NULL, *address = NULL;
    if (sscanf(line, "%63s %511s %16" SCNx64, name, symbol, &hash) == 3 &&
        hash == line_hash(key, name, symbol) && name_is_plain(name))
        handle = library_handle(s, name);
    if (handle != NULL)
        address = dlsym(handle, symbol);
    if (address == NULL)
        unlinkat(s->dir, file, 0);
    return address;
}

/* ---- writing ---- */
static bool write_all(int fd, const void *p, size_t n) {
    const char *at = p;
    while (n > 0) {
        ssize_t wrote = write(fd, at, n);
        if (wrote <= 0)
            return false;
        at += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

static bool write_file(const Store *s, const char *name, const void *p, size_t n) {
    int fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool good = write_all(fd, p, n);
    return close(fd) == 0 && good;
}

static bool run_ld(const Store *s, const char *from, const char *to) {
    char in[PATH_BYTES + NAME_BYTES], out[PATH_BYTES + NAME_BYTES];
    snprintf(in, sizeof in, "%s/%s", s->path, from);
    snprintf(out, sizeof out, "%s/%s", s->path, to);
    char *argv[] = {"ld", "-shared", "--build-id=none", "-z", "noexecstack", "-z", "defs", "-o", out, in,
        NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int failed = posix_spawnp(&child, "ld", &actions, NULL, argv, environ), status = 1;
    posix_spawn_file_actions_destroy(&actions);
    return failed == 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0;
}

static bool add_trailer(const Store *s, const char *name) {
    int fd = openat(s->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0)
        return false;
    bool good = false;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            Trailer t = {.hash = trailer_hash(p, (size_t)st.st_size)};
            memcpy(t.magic, trailer_magic, sizeof t.magic);
            munmap(p, (size_t)st.st_size);
            good = lseek(fd, 0, SEEK_END) >= 0 && write_all(fd, &t, sizeof t);
        }
    }
    return close(fd) == 0 && good;
}

static void put_keys(const Store *s, const char *library, const char *stem, const StoreItem *items,
    uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        char temporary[2 * NAME_BYTES], name[NAME_BYTES], line[LINE_BYTES];
        snprintf(temporary, sizeof temporary, "%s-%u", stem, i);
        snprintf(name, sizeof name, "key-%016" PRIx64, items[i].key);
        int bytes = snprintf(line, sizeof line, "%s %s %016" PRIx64 "\n", library, items[i].symbol,
                             line_hash(items[i].key, library, items[i].symbol));
        if (bytes < (int)sizeof line && write_file(s, temporary, line, (size_t)bytes))
            renameat(s->dir, temporary, s->dir, name);
    }
}

/* ---- the bound ---- */
typedef struct { char name[NAME_BYTES]; uint64_t bytes; struct timespec used; } Entry;

static int older_first(const void *x, const void *y) {
    const Entry *a = x, *b = y;
    if (a->used.tv_sec != b->used.tv_sec)
        return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
    return a->used.tv_nsec < b->used.tv_nsec ? -1 : a->used.tv_nsec > b->used.tv_nsec;
}

static DIR *list(const Store *s) {
    int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? NULL : fdopendir(fd);
}

static bool points_nowhere(const Store *s, const char *key_file) {
    char line[NAME_BYTES] = {0}, name[NAME_BYTES];
    int fd = openat(s->dir, key_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    return n <= 0 || sscanf(line, "%63s", name) != 1 || faccessat(s->dir, name, F_OK, 0) != 0;
}

static void remove_dangling(const Store *s) {
    DIR *d = list(s);
    for (struct dirent *f; d != NULL && (f = readdir(d)) != NULL;)
        if (strncmp(f->d_name, "key-", 4) == 0 && points_nowhere(s, f->d_name))
            unlinkat(s->dir, f->d_name, 0);
    if (d != NULL)
        closedir(d);
}

static void trim(const Store *s) {
    Arena *a = arena_create();
    VEC(Entry) all = {0};
    uint64_t total = 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    DIR *d = list(s);
    for (struct dirent *f; d != NULL && (f = readdir(d)) != NULL;) {
        struct stat st;
        if (strlen(f->d_name) >= NAME_BYTES || fstatat(s->dir, f->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (strncmp(f->d_name, "tmp-", 4) == 0 && now.tv_sec - st.st_mtim.tv_sec > YOUNG_SECONDS)
            unlinkat(s->dir, f->d_name, 0);               /* its writer died */
        if (strncmp(f->d_name, "lib-", 4) != 0)
            continue;
        Entry e = {.bytes = (uint64_t)st.st_size, .used = st.st_mtim};
        snprintf(e.name, sizeof e.name, "%s", f->d_name);
        vec_push(a, &all, e);
        total += e.bytes;
    }
    if (d != NULL)
        closedir(d);
    if (total > s->bound) {
        qsort(all.at, all.n, sizeof all.at[0], older_first);
        for (uint32_t i = 0; i < all.n && total > s->bound / 4 * 3; i++) {
            unlinkat(s->dir, all.at[i].name, 0);
            total -= all.at[i].bytes;
        }
        remove_dangling(s);
    }
    arena_destroy(a);
}

void store_put(const Store *s, Str object, const StoreItem *items, uint32_t n) {
    char library[NAME_BYTES], stem[NAME_BYTES], from[2 * NAME_BYTES], to[2 * NAME_BYTES];
    snprintf(library, sizeof library, "lib-%016" PRIx64 ".so", trailer_hash(object.s, object.n));
    snprintf(stem, sizeof stem, "tmp-%ld-%016" PRIx64, (long)getpid(), trailer_hash(object.s, object.n));
    snprintf(from, sizeof from, "%s.o", stem);
    snprintf(to, sizeof to, "%s.so", stem);
    bool made = write_file(s, from, object.s, object.n) && run_ld(s, from, to) && add_trailer(s, to) &&
                renameat(s->dir, to, s->dir, library) == 0;
    unlinkat(s->dir, from, 0);
    if (!made) {
        unlinkat(s->dir, to, 0);
        return;
    }
    put_keys(s, library, stem, items, n);
    trim(s);
}

void store_close(Store *s) {
    if (s == NULL)
        return;
    for (const Library *l = s->libraries; l != NULL; l = l->next)
        if (l->handle != NULL)
            dlclose(l->handle);
    close(s->dir);
}
