/* Compiled code of a plan: first the cache, then the generator. A cache key is the kernel's own key mixed
 * with all that decides what code it becomes: the semantics, the build of the generator (its file, which
 * holds the version of LLVM), the processor, the flags.  Symbols are the kernel's readable name and that
 * key. */
#include "code.h"
#include "compile.h"
#include "hash.h"
#include "mapped.h"
#include "processor.h"
#include "store.h"
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_CACHE_MIB = 256, KEPT_NAME = 48 };

/* One compilation on its way into the cache; its arena holds the objects. */
typedef struct Written {
    struct Written *next;
    Arena *arena;
    const Store *store;
    Compiled objects;
    StoreItem *items;
    uint32_t n;
    pthread_t thread;
    bool started;
} Written;

typedef struct { uint64_t key; void *address; } Linked;

struct Code {
    Arena *arena;
    GenTarget target;
    uint32_t threads;
    Str generator_path;
    uint64_t target_key;
    const Generator *generator;        /* NULL until something has to be compiled */
    GenLink *link;
    Store *store;
    Written *written;
    VEC(Linked) linked;                /* compiled here: not in the store until it is written, if there is one */
    KernelFn *kernels; uint32_t n_kernels;
    void **micros; uint32_t n_micros;
    CodeStats stats;
};

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static Str default_dir(Arena *a) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/')
        return str_format(a, "%s/graphc", xdg);
    return home != NULL && home[0] == '/' ? str_format(a, "%s/.cache/graphc", home) : (Str){"", 0};
}

static bool for_host(const char *cpu) { return cpu == NULL || strcmp(cpu, "host") == 0; }

static uint64_t target_key(const Code *c) {
    uint64_t key = hash_mix(compile_build(c->generator_path), SEMANTICS_VERSION);
    key = for_host(c->target.cpu) ? hash_mix(key, processor_identity()) : hash_str(key,
        str_of(c->target.cpu));
    return hash_mix(key, c->target.sanitize);
}

GrStatus code_create(Arena *a, const CodeOptions *o, Code **out, Error *e) {
    TRY(processor_check(e));
    Code *c = PUSH(a, Code, 1);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    c->arena = a;
    c->target = (GenTarget){o->cpu == NULL ? NULL : str_copy(a, str_of(o->cpu)).s, o->sanitize, o->perf_map};
    c->threads = o->threads != 0 ? o->threads : processors > 0 ? (uint32_t)processors : 1;
    c->generator_path = compile_path(a, o->generator);
    c->target_key = target_key(c);
    Str dir = o->cache_dir == NULL ? default_dir(a) : str_of(o->cache_dir);
    if (dir.n > 0 && !o->sanitize)
        c->store = store_open(a, dir.s, o->cache_bytes != 0 ? o->cache_bytes
            : (uint64_t)DEFAULT_CACHE_MIB << 20);
    *out = c;
    return GR_OK;
}

PlanCode code_table(const Code *c) { return (PlanCode){c->kernels, c->micros}; }

CodeStats code_stats(const Code *c) { return c->stats; }

/* ---- what is missing ---- */
typedef struct { const Kernel *kernel; Str name; uint64_t key; void **slot; } Wanted;
typedef VEC(Wanted) WantedList;

static void grow_tables(Code *c, const Plan *plan) {
    if (plan->kernels.n > c->n_kernels) {
        KernelFn *more = PUSH(c->arena, KernelFn, plan->kernels.n);
        if (c->n_kernels > 0)
            memcpy(more, c->kernels, c->n_kernels * sizeof *more);
        c->kernels = more;
        c->n_kernels = plan->kernels.n;
    }
    if (plan->micros.n > c->n_micros) {
        void **more = PUSH(c->arena, void *, plan->micros.n);
        if (c->n_micros > 0)
            memcpy(more, c->micros, c->n_micros * sizeof *more);
        c->micros = more;
        c->n_micros = plan->micros.n;
    }
}

static void want(Code *c, Arena *scratch, WantedList *list, Wanted w) {
    if (*w.slot != NULL)
        return;
    for (uint32_t i = 0; i < c->linked.n && *w.slot == NULL; i++)
        if (c->linked.at[i].key == w.key)
            *w.slot = c->linked.at[i].address;
    if (*w.slot == NULL && c->store != NULL)
        *w.slot = store_find(c->store, w.key);
    if (*w.slot != NULL) {
        c->stats.found++;
        return;
    }
    vec_push(scratch, list, w);
}

static WantedList wanted(Code *c, Arena *scratch, const Plan *plan, const Kernel *const *kernels, uint32_t n,
                         const uint32_t *which) {
    WantedList list = {0};
    for (uint32_t i = 0; i < n; i++) {
        const PlanKernel *k = &plan->kernels.at[which[i]];
        want(c, scratch, &list, (Wanted){kernels == NULL ? NULL : kernels[i], k->name,
            hash_mix(c->target_key, k->key),
                                         (void **)&c->kernels[which[i]]});
        for (uint32_t m = k->first_micro; m < k->first_micro + k->n_micros; m++) {
            const PlanMicro *p = &plan->micros.at[m];
            want(c, scratch, &list, (Wanted){NULL, p->symbol, hash_str(c->target_key, p->symbol),
                &c->micros[m]});
        }
    }
    return list;
}

/* "softmax_0123456789abcdef": letters and digits of the name, so that a debugger shows what it is. */
static const char *symbol_of(Arena *a, const Wanted *w) {
    if (str_starts(w->name, "mk_") && w->kernel == NULL)
        return str_copy(a, w->name).s;
    char name[KEPT_NAME + 1];
    uint32_t n = w->name.n < KEPT_NAME ? w->name.n : KEPT_NAME;
    for (uint32_t i = 0; i < n; i++) {
        char ch = w->name.s[i];
        bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        name[i] = plain ? ch : '_';
    }
    name[n] = '\0';
    return str_format(a, "k_%s_%016" PRIx64, name, w->key).s;
}

/* Kernels with the same key are the same function and are compiled once. */
static uint32_t first_with_key(const WantedList *list, uint32_t i) {
    uint32_t first = 0;
    while (list->at[first].key != list->at[i].key)
        first++;
    return first;
}

/* ---- compiling ---- */
/* The heap that LLVM has freed, and its code, fifty megabytes: behind a training they would lie there to its end. */
static void release_compiler(void) {
    malloc_trim(0);
    mapped_drop_code("libLLVM");
}

static void *write_entry(void *user) {
    const Written *w = user;
    release_compiler();
    for (uint32_t g = 0; g < w->objects.n; g++) {
        StoreItem *mine = malloc((w->n + 1) * sizeof *mine);
        uint32_t n = 0;
        for (uint32_t i = 0; i < w->n && mine != NULL; i++)
            if (w->objects.group[i] == g)
                mine[n++] = w->items[i];
        if (n > 0)
            store_put(w->store, w->objects.object[g], mine, n);
        free(mine);
    }
    return NULL;
}

static void write_later(Code *c, Written *w) {
    if (c->store == NULL) {
        arena_destroy(w->arena);
        return;
    }
    w->store = c->store;
    w->next = c->written;
    c->written = w;
    w->started = pthread_create(&w->thread, NULL, write_entry, w) == 0;
}

static GrStatus open_generator(Code *c, Error *e) {
    if (c->generator == NULL)
        TRY(compile_open(c->generator_path.s, &c->generator, e));
    return GR_OK;
}

static GrStatus compile_wanted(Code *c, Written *w, const WantedList *list, Error *e) {
    GenItem *items = PUSH(w->arena, GenItem, list->n);
    uint32_t *number = PUSH(w->arena, uint32_t, list->n);
    w->items = PUSH(w->arena, StoreItem, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        uint32_t first = first_with_key(list, i);
        number[i] = first == i ? w->n : number[first];
        if (first != i)
            continue;
        const Wanted *x = &list->at[i];
        const char *symbol = symbol_of(w->arena, x);
        if (x->kernel == NULL && !str_starts(x->name, "mk_"))
            return fail(e, GR_JIT, "the code of kernel %.*s is no longer in the cache", FSTR(x->name));
        items[w->n] = (GenItem){x->kernel, symbol};
        w->items[w->n++] = (StoreItem){x->key, symbol};
    }
    double begin = now_ms();
    TRY(open_generator(c, e));
    TRY(compile_items(w->arena, c->generator, &c->target, items, w->n, c->threads, &w->objects, e));
    if (c->link == NULL)
        TRY(c->generator->link_create(c->arena, &c->target, &c->link, e));
    for (uint32_t g = 0; g < w->objects.n; g++)
        TRY(c->generator->link_add(c->link, w->objects.object[g], e));
    for (uint32_t i = 0; i < list->n; i++) {
        TRY(c->generator->link_find(c->link, items[number[i]].symbol, list->at[i].slot, e));
        if (first_with_key(list, i) == i)
            vec_push(c->arena, &c->linked, ((Linked){list->at[i].key, *list->at[i].slot}));
    }
    c->stats.compile_ms += now_ms() - begin;
    c->stats.compiled += w->n;
    c->stats.objects += w->objects.n;
    return GR_OK;
}

GrStatus code_load(Code *c, const Plan *plan, const Kernel *const *kernels, uint32_t n,
    const uint32_t *which, Error *e) {
    double begin = now_ms();
    Arena *scratch = arena_create();
    grow_tables(c, plan);
    WantedList list = wanted(c, scratch, plan, kernels, n, which);
    c->stats.load_ms += now_ms() - begin;
    GrStatus s = GR_OK;
    if (list.n > 0) {
        Arena *kept = arena_create();
        Written *w = PUSH(kept, Written, 1);
        w->arena = kept;
        s = compile_wanted(c, w, &list, e);
        if (s == GR_OK)
            write_later(c, w);
        else
            arena_destroy(kept);
    }
    arena_destroy(scratch);
    return s;
}

GrStatus code_text(Code *c, Arena *a, const Kernel *k, GenText what, Str *out, Error *e) {
    TRY(open_generator(c, e));
    Wanted w = {k, k->name, kernel_key(k), NULL};
    GenItem item = {k, symbol_of(a, &w)};
    return c->generator->text(a, &c->target, &item, 1, what, out, e);
}

void code_flush(Code *c) {
    while (c->written != NULL) {
        Written *w = c->written;
        c->written = w->next;
        if (w->started)
            pthread_join(w->thread, NULL);
        arena_destroy(w->arena);
    }
}

void code_destroy(Code *c) {
    if (c == NULL)
        return;
    code_flush(c);
    if (c->link != NULL)
        c->generator->link_destroy(c->link);
    store_close(c->store);
}
