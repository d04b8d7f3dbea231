/* See llvm_rig.h.  Inputs are random values of every sort: small integers, normal numbers, huge and tiny
 * ones, both zeros, infinities and NaN; each buffer lies between guard bytes that nobody may touch. */
#include "llvm_rig.h"
#include <string.h>

enum { GUARD = 4096 };

uint64_t rig_random(uint64_t *state) {
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

CodeOptions rig_options(const char *cpu, const char *cache_dir) {
    return (CodeOptions){.cpu = cpu, .cache_dir = cache_dir,
        .generator = GRAPHC_BUILD "/lib/libgraphc-llvm.so"};
}

bool rig_compilable(const Kernel *k, const char *cpu) {
    bool has_pairs = cpu == NULL && __builtin_cpu_supports("avx512bf16");
    for (uint32_t i = 0; i < k->stages.n; i++) {
        const KTile *t = &k->stages.at[i].tile;
        if (k->stages.at[i].kind == STAGE_TILE && (t->nr % LANES != 0 || t->mr * (t->nr / LANES) > 30))
            return false;
        if (k->stages.at[i].kind == STAGE_TILE && ktile_pairs(k, t) && !has_pairs)
            return false;
    }
    return true;
}

static void add_micros(Plan *p, PlanKernel *pk, const Kernel *k) {
    Str *names = PUSH(p->arena, Str, 2 * k->stages.n + 1);
    pk->first_micro = p->micros.n;
    pk->n_micros = kernel_micros(k, p->arena, names);
    for (uint32_t i = 0; i < pk->n_micros; i++)
        vec_push(p->arena, &p->micros, (PlanMicro){names[i], 0});
}

Plan *rig_plan(Arena *a, const Kernel *const *kernels, uint32_t n) {
    Plan *p = plan_create(a);
    for (uint32_t i = 0; i < n; i++) {
        PlanKernel pk = {.name = kernels[i]->name, .key = kernel_key(kernels[i]),
                         .scratch_bytes = kernel_scratch_bytes(kernels[i])};
        add_micros(p, &pk, kernels[i]);
        vec_push(a, &p->kernels, pk);
    }
    return p;
}

/* ---- values ---- */
static double random_value(uint64_t *state) {
    static const double special[] = {0, -0.0, 1, -1, 1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0, 3.4e38, -3.4e38,
        1.2e-38, -1.2e-38,
                                     88, -88, 0.5, 2147483648.0, -2147483648.0, 255, 256};
    uint64_t r = rig_random(state);
    if (r % 16 == 0)
        return special[(r >> 8) % (sizeof special / sizeof special[0])];
    if (r % 16 < 6)
        return (double)((int64_t)(r >> 8) % 17 - 8);
    return ((double)(r >> 11) * 0x1p-53 - 0.5) * 8;
}

static void *filled(Arena *a, const KBuf *b, uint64_t *state) {
    size_t bytes = (size_t)b->count * dtype_bytes(b->dtype);
    char *at = arena_push(a, bytes + 2 * GUARD, BUFFER_ALIGN);
    memset(at, 0xA5, bytes + 2 * GUARD);
    at += GUARD;
    memset(at, 0, bytes);
    for (int64_t i = 0; i < b->count && (b->role == KBUF_IN || b->role == KBUF_INOUT); i++) {
        double x = random_value(state);
        if (b->dtype == DT_BOOL)
            x = x > 0;
        if (b->dtype == DT_I32 && x == x)
            x = (double)(rig_random(state) % 4 == 0 ? (int32_t)rig_random(state)
                : (int32_t)(rig_random(state) % 64));
        float f = f32_of_f64(x);
        if (b->dtype == DT_F64)
            scalar_eval(S_cast, b->dtype, DT_F64, 1, at + i * dtype_bytes(b->dtype), &x, NULL, NULL);
        else if (b->dtype == DT_I32 || b->dtype == DT_I64)
            scalar_eval(S_cast, b->dtype, DT_F64, 1, at + i * dtype_bytes(b->dtype), &x, NULL, NULL);
        else
            scalar_eval(S_cast, b->dtype, DT_F32, 1, at + i * dtype_bytes(b->dtype), &f, NULL, NULL);
    }
    return at;
}

/* ---- comparison ---- */
static uint64_t canonical(DType t, const void *at) {
    uint64_t u = 0;
    memcpy(&u, at, dtype_bytes(t));
    if (t == DT_F32)
        return (u & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : u;
    if (t == DT_F64)
        return (u & 0x7fffffffffffffff) > 0x7ff0000000000000 ? 0x7ff8000000000000 : u;
    if (t == DT_F16)
        return (u & 0x7fff) > 0x7c00 ? 0x7e00 : u;
    return t == DT_BF16 && (u & 0x7fff) > 0x7f80 ? 0x7fc0 : u;
}

static bool guards_hold(const KBuf *b, const char *at) {
    size_t bytes = (size_t)b->count * dtype_bytes(b->dtype);
    for (size_t i = 0; i < GUARD; i++)
        if ((unsigned char)at[-(ptrdiff_t)i - 1] != 0xA5 || (unsigned char)at[bytes + i] != 0xA5)
            return false;
    return true;
}

static bool same_buffer(const Kernel *k, const KBuf *b, const char *x, const char *y, Buf *what) {
    uint32_t bytes = dtype_bytes(b->dtype);
    for (int64_t i = 0; i < b->count; i++) {
        uint64_t u = canonical(b->dtype, x + i * bytes), v = canonical(b->dtype, y + i * bytes);
        if (u != v) {
            buf_printf(what, "%.*s: %%%.*s[%lld] is %llx, the interpreter has %llx", FSTR(k->name), FSTR(b->name),
                       (long long)i, (unsigned long long)v, (unsigned long long)u);
            return false;
        }
    }
    if (!guards_hold(b, y))
        buf_printf(what, "%.*s: writes outside %%%.*s", FSTR(k->name), FSTR(b->name));
    return guards_hold(b, y);
}

static UValue *uniforms(Arena *a) {
    UValue *u = PUSH(a, UValue, 64);
    for (int i = 0; i < 64; i++)
        u[i].f = 0.25f * (float)(i + 1);
    return u;
}

static void **all_filled(Arena *a, const Kernel *k, uint64_t seed) {
    void **bufs = PUSH(a, void *, k->bufs.n + 1);
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        uint64_t state = seed + i;
        bufs[i] = k->bufs.at[i].role == KBUF_SCRATCH ? NULL : filled(a, &k->bufs.at[i], &state);
    }
    return bufs;
}

static bool same_buffers(const Kernel *k, void **ours, void **theirs, Buf *what) {
    bool same = true;
    for (uint32_t i = 0; same && i < k->bufs.n; i++)
        same = k->bufs.at[i].role == KBUF_SCRATCH || same_buffer(k, &k->bufs.at[i], ours[i], theirs[i], what);
    return same;
}

bool rig_same(Arena *a, const Kernel *k, const Math *m, const Plan *plan, uint32_t number, PlanCode code,
              uint64_t seed, Buf *what) {
    void **ours = all_filled(a, k, seed), **theirs = all_filled(a, k, seed);
    void **table = PUSH(a, void *, k->bufs.n + plan->micros.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        if (theirs[i] != NULL)
            table[n++] = theirs[i];
    }
    const PlanKernel *pk = &plan->kernels.at[number];
    for (uint32_t i = 0; i < pk->n_micros; i++)
        table[n++] = code.micros[pk->first_micro + i];
    char *scratch = arena_push(a, pk->scratch_bytes + 2 * GUARD, BUFFER_ALIGN);
    UValue *u = uniforms(a);
    int64_t points = kernel_points(k), cut = points * 3 / 8;     /* of a split head: inside a chunk */
    kernel_eval(k, m, ours, u, 0, points);
    uint32_t saved = float_mode_enter();
    code.kernels[number](table, u, 0, cut, scratch + GUARD);
    code.kernels[number](table, u, cut, points, scratch + GUARD);
    float_mode_restore(saved);
    return same_buffers(k, ours, theirs, what);
}

/* The points from the last to the first, with these bytes in scratch before each. */
static void **run_back(Arena *a, const Kernel *k, const Kernel *open, const Math *m, uint64_t seed, int bytes) {
    void **bufs = all_filled(a, open, seed);
    UValue *u = uniforms(a);
    for (int64_t p = kernel_points(k); p-- > 0;) {
        for (uint32_t i = 0; i < k->bufs.n; i++) {
            if (k->bufs.at[i].role == KBUF_SCRATCH)
                memset(bufs[i], bytes, (size_t)k->bufs.at[i].count * dtype_bytes(k->bufs.at[i].dtype));
        }
        kernel_eval(open, m, bufs, u, p, p + 1);
    }
    return bufs;
}

bool rig_defined(Arena *a, const Kernel *k, const Math *m, uint64_t seed) {
    Kernel open = *k;                /* its scratch is ours, so that we choose what lies there */
    Buf what = buf_make(a);
    open.bufs.at = PUSH(a, KBuf, k->bufs.n + 1);
    memcpy(open.bufs.at, k->bufs.at, k->bufs.n * sizeof(KBuf));
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        if (open.bufs.at[i].role == KBUF_SCRATCH)
            open.bufs.at[i].role = KBUF_OUT;
    }
    void **forward = all_filled(a, k, seed);
    kernel_eval(k, m, forward, uniforms(a), 0, kernel_points(k));
    return same_buffers(k, forward, run_back(a, k, &open, m, seed, 0), &what) &&
           same_buffers(k, forward, run_back(a, k, &open, m, seed, 0x11), &what);
}

bool rig_holds(Arena *a, const Kernel *k, const Math *m, const char *cpu, uint64_t seed, Buf *what) {
    Error e = {0};
    Code *code;
    CodeOptions o = rig_options(cpu, "");
    Plan *plan = rig_plan(a, &k, 1);
    if (code_create(a, &o, &code, &e) != GR_OK) {
        buf_printf(what, "%s", e.what);
        return false;
    }
    bool loaded = code_load(code, plan, &k, 1, &(uint32_t){0}, &e) == GR_OK;
    bool same = loaded && rig_same(a, k, m, plan, 0, code_table(code), seed, what);
    bool refused = !loaded && strstr(e.what, "microkernel") != NULL;     /* fusion asks for those there are */
    if (!loaded)
        buf_printf(what, "%s", e.what);
    code_destroy(code);
    return same || refused || (loaded && !rig_defined(a, k, m, seed));
}
