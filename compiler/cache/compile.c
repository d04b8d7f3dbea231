/* Opening the generator, and sharing kernels out among compiling threads: a module each, so that the fixed
 * cost of a module is paid once a thread, and about equal work each. */
#include "compile.h"
#include "hash.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

Str compile_path(Arena *a, const char *wanted) {
    static const char *const beside[] = {"/lib/libgraphc-llvm.so", "/libgraphc-llvm.so",
        "/../lib/libgraphc-llvm.so"};
    if (wanted != NULL)
        return str_copy(a, str_of(wanted));
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(program, '/');
    for (size_t i = 0; slash != NULL && i < sizeof beside / sizeof beside[0]; i++) {
        Str path = str_format(a, "%.*s%s", (int)(slash - program), program, beside[i]);
        if (access(path.s, R_OK) == 0)
            return path;
    }
    return (Str){"", 0};
}

uint64_t compile_build(Str path) {
    int fd = path.n == 0 ? -1 : open(path.s, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint64_t build = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (p != MAP_FAILED) {
            build = hash_bytes(1, p, (size_t)st.st_size);
            munmap(p, (size_t)st.st_size);
        }
    }
    if (fd >= 0)
        close(fd);
    return build;
}

static void on_no_memory(void) {
    (void)!write(STDERR_FILENO, GENERATOR_NO_MEMORY, sizeof GENERATOR_NO_MEMORY - 1);
    _exit(1);
}

static void on_abort(int signal) {
    (void)signal;
    on_no_memory();
}

/* What C++ calls when `new` fails; otherwise it throws, and nobody catches.  LLVM allocates as soon as it is opened, so
 * its runtime is opened first: std::set_new_handler(on_no_memory). */
static void watch_new(void) {
    typedef void Handler(void);
    Handler *(*set)(Handler *) = NULL;
    void *runtime = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *symbol = runtime == NULL ? NULL : dlsym(runtime, "_ZSt15set_new_handlerPFvvE");
    memcpy(&set, &symbol, sizeof set);
    if (set != NULL)
        set(on_no_memory);
}

GrStatus compile_open(const char *path, const Generator **out, Error *e) {
    if (path[0] != '\0')
        watch_new();
    struct sigaction mine = {.sa_handler = on_abort}, old;
    sigaction(SIGABRT, &mine, &old);         /* what LLVM's constructors do when malloc fails */
    void *library = path[0] == '\0' ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    sigaction(SIGABRT, &old, NULL);
    if (library == NULL) {
        const char *why = path[0] == '\0' ? "libgraphc-llvm.so is not beside the program" : dlerror();
        fail(e, GR_JIT, "the code generator cannot be opened: %s", why);
        bool lacks = path[0] == '\0' || strstr(why, "No such file") != NULL;
        fail_help(e, lacks ? "install LLVM 22 (libllvm22) and keep libgraphc-llvm.so beside graphc"
                           : "it is there and cannot be loaded: is there enough memory (`ulimit -v`), and is "
                             "libgraphc-llvm.so of the same build as graphc?");
        return GR_JIT;
    }
    GeneratorEntry *entry = NULL;
    void *symbol = dlsym(library, GENERATOR_ENTRY);
    memcpy(&entry, &symbol, sizeof entry);
    if (entry == NULL || entry()->abi != GENERATOR_ABI)
        return fail(e, GR_JIT, "%s is of another version of graphc", path);
    *out = entry();
    return GR_OK;
}

/* ---- sharing out ---- */
typedef struct {
    pthread_t thread;
    bool started;
    const Generator *generator;
    const GenTarget *target;
    Arena *arena;                 /* of this share alone: arenas are not shared by threads */
    GenItem *items;
    uint32_t n;
    uint64_t weight;
    Str object;
    GrStatus status;
    Error error;
} Share;

static uint64_t weight_of(const GenItem *item) {
    if (item->kernel == NULL)
        return 400;
    uint64_t w = 40;
    for (uint32_t i = 0; i < item->kernel->insts.n; i++)
        w += item->kernel->insts.at[i].kop == K_MATH || item->kernel->insts.at[i].kop == K_WORD ? 30 : 1;
    return w + 20 * item->kernel->stages.n;
}

static void *run_share(void *user) {
    Share *s = user;
    s->status = s->generator->object(s->arena, s->target, s->items, s->n, &s->object, &s->error);
    return NULL;
}

typedef struct { uint64_t weight; uint32_t item; } Weighed;

static int heavier_first(const void *x, const void *y) {
    const Weighed *a = x, *b = y;
    return a->weight != b->weight ? (a->weight < b->weight) - (a->weight > b->weight)
                                  : (a->item > b->item) - (a->item < b->item);
}

/* Items in falling order of weight, each to the share with the least work so far. */
static void share_out(Arena *a, Share *shares, uint32_t n_shares, const GenItem *items, uint32_t n,
    uint32_t *group) {
    Weighed *order = PUSH(a, Weighed, n);
    for (uint32_t i = 0; i < n; i++)
        order[i] = (Weighed){weight_of(&items[i]), i};
    qsort(order, n, sizeof order[0], heavier_first);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t least = 0;
        for (uint32_t s = 1; s < n_shares; s++)
            if (shares[s].weight < shares[least].weight)
                least = s;
        group[order[i].item] = least;
        shares[least].items[shares[least].n++] = items[order[i].item];
        shares[least].weight += order[i].weight;
    }
}

GrStatus compile_items(Arena *a, const Generator *g, const GenTarget *t, const GenItem *items, uint32_t n,
                       uint32_t threads, Compiled *out, Error *e) {
    enum { A_THREAD = 2 };                     /* fewer items than this are not worth a thread */
    uint32_t useful = (n + A_THREAD - 1) / A_THREAD;
    threads = useful < threads ? useful : threads;
    *out = (Compiled){threads, PUSH(a, Str, threads), PUSH(a, uint32_t, n)};
    Share *shares = PUSH(a, Share, threads);
    for (uint32_t s = 0; s < threads; s++)
        shares[s] = (Share){.generator = g, .target = t, .arena = arena_create(), .items = PUSH(a, GenItem,
            n)};
    share_out(a, shares, threads, items, n, out->group);
    for (uint32_t s = 1; s < threads; s++)
        shares[s].started = pthread_create(&shares[s].thread, NULL, run_share, &shares[s]) == 0;
    GrStatus status = GR_OK;
    for (uint32_t s = 0; s < threads; s++) {
        if (!shares[s].started)
            run_share(&shares[s]);
        else
            pthread_join(shares[s].thread, NULL);
        if (shares[s].status != GR_OK && status == GR_OK) {
            status = shares[s].status;
            *e = shares[s].error;
        }
        if (shares[s].status == GR_OK)
            out->object[s] = str_copy(a, shares[s].object);
        arena_destroy(shares[s].arena);
    }
    return status;
}
