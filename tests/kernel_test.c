/* Text tests of kernels: the input is one kernel; what comes out is what the reader or the verifier has to
 * say, else the contents of its output buffers after the interpreter ran all points (at most 24 elements of
 * each, and a hash of all).  The kernel is printed, read again and printed on the way, and must not change.
 * Options: print (the text it prints as); NAME=PATTERN for an input: iota, or the list 1,2,-3,nan repeated. */
#include "test.h"
#include "hash.h"
#include "kernel.h"
#include <stdlib.h>
#include <string.h>

typedef struct { Arena *a; const TextTest *t; const Kernel *k; void **bufs; } Run;

static double pattern(const Run *r, Str name, int64_t i) {
    Str given = text_value(r->t, str_copy(r->a, name).s);
    if (given.n == 0)
        return (double)((i * 7 + 3) % 11 - 5) / 4;
    if (str_is(given, "iota"))
        return (double)i;
    double list[64];
    int64_t n = 0;
    for (const char *at = str_copy(r->a, given).s; *at != 0 && n < 64; at += *at == ',') {
        char *end;
        list[n++] = strtod(at, &end);
        REQUIRE(end != at);
        at = end;
    }
    return list[i % n];
}

static void fill(const Run *r) {
    for (uint32_t b = 0; b < r->k->bufs.n; b++) {
        const KBuf *buf = &r->k->bufs.at[b];
        uint32_t bytes = dtype_bytes(buf->dtype);
        REQUIRE(buf->count < 1 << 20);
        r->bufs[b] = arena_push(r->a, (size_t)buf->count * bytes + 64, 64);
        for (int64_t i = 0; i < buf->count && (buf->role == KBUF_IN || buf->role == KBUF_INOUT); i++) {
            double x = pattern(r, buf->name, i);
            scalar_eval(S_cast, buf->dtype, DT_F64, 1, (char *)r->bufs[b] + i * bytes, &x, NULL, NULL);
        }
    }
}

/* Elements of an output, runs of equal ones as one. */
static void put_buffer(const Run *r, uint32_t b, Buf *out) {
    const KBuf *buf = &r->k->bufs.at[b];
    uint32_t bytes = dtype_bytes(buf->dtype);
    const char *data = r->bufs[b];
    buf_printf(out, "%.*s:", FSTR(buf->name));
    int64_t shown = 0, i = 0;
    while (i < buf->count && shown < 24) {
        int64_t same = 1;
        while (i + same < buf->count && memcmp(data + i * bytes, data + (i + same) * bytes, bytes) == 0)
            same++;
        double x;
        scalar_eval(S_cast, DT_F64, buf->dtype, 1, &x, data + i * bytes, NULL, NULL);
        buf_char(out, ' ');
        buf_real32(out, (float)x);
        if (same > 1)
            buf_printf(out, "(%lld)", (long long)same);
        i += same;
        shown++;
    }
    if (i < buf->count)
        buf_printf(out, " .. %016llx", (unsigned long long)hash_bytes(0, data, (size_t)buf->count * bytes));
    buf_char(out, '\n');
}

static Str printed(Arena *a, const Kernel *k, const SourceSet *s) {
    Buf b = buf_make(a);
    kernel_print(k, s, &b);
    return buf_str(&b);
}

static Str run_kernel(Arena *a, const TextTest *t) {
    SourceSet *sources = sources_create(a);
    Diags *ds = diags_create(a, sources);
    Buf out = buf_make(a);
    const Kernel *k = kernel_parse(a, sources_add(sources, STR("x.kernel"), t->input), ds);
    if (k == NULL) {
        diags_render(ds, &out, false);
        return buf_str(&out);
    }
    Str text = printed(a, k, sources);
    const Kernel *again = kernel_parse(a, sources_add(sources, STR("again"), text), ds);
    REQUIRE(again != NULL);
    test_same_str(__FILE__, __LINE__, "printed again", printed(a, again, sources), text);
    CHECK(kernel_key(again) == kernel_key(k));
    if (text_flag(t, "print"))
        buf_put(&out, text);
    Error e;
    if (!kernel_verify(k, &e)) {
        buf_printf(&out, "%s\n", e.what);
        return buf_str(&out);
    }
    const Math *m;
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    Run r = {a, t, k, PUSH(a, void *, k->bufs.n + 1)};
    UValue uniforms[4] = {{.f = 0.5f}, {.f = 2}, {.i = 7}, {.i = 3}};
    fill(&r);
    kernel_eval(k, m, r.bufs, uniforms, 0, kernel_points(k));
    for (uint32_t b = 0; b < k->bufs.n; b++) {
        if (k->bufs.at[b].role != KBUF_IN && k->bufs.at[b].role != KBUF_SCRATCH)
            put_buffer(&r, b, &out);
    }
    return buf_str(&out);
}
TEXT_KIND("kernel", "kernel", run_kernel)

/* ---- in C ---- */
static const Kernel *parse_text(Arena *a, Str text) {
    SourceSet *sources = sources_create(a);
    return kernel_parse(a, sources_add(sources, STR("k"), text), diags_create(a, sources));
}

/* Semantics 2 said once more, element by element. */
static float plain_sum(const float *x, int64_t n) {
    float chunk[8];
    int64_t chunks = (n + 4095) / 4096;
    for (int64_t c = 0; c < chunks; c++) {
        float lane[16];
        for (int l = 0; l < 16; l++)
            lane[l] = -0.0f;
        for (int64_t r = c * 4096; r < n && r < (c + 1) * 4096; r++)
            lane[r % 16] += x[r];
        for (int half = 8; half > 0; half /= 2) {
            for (int l = 0; l < half; l++)
                lane[l] += lane[l + half];
        }
        chunk[c] = lane[0];
    }
    for (; chunks > 1; chunks = (chunks + 1) / 2) {
        for (int64_t i = 0; i < chunks / 2; i++)
            chunk[i] = chunk[2 * i] + chunk[2 * i + 1];
        if (chunks % 2 == 1)
            chunk[chunks / 2] = chunk[chunks - 1];
    }
    return chunk[0];
}

static float pseudo(uint64_t i) { return (float)(hash_mix(i, 7) % 2001) * 1e-3f - 0.9f; }

/* A row reduced at once, and as a column in a split head with its fold, are the same bits. */
TEST(sum_has_one_order) {
    Arena *a = test_arena();
    const Math *m;
    Error e;
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    const int64_t sizes[] = {1, 15, 17, 4095, 4096, 4097, 9000, 20481};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = sizes[i], chunks = (n + 4095) / 4096;
        float *x = PUSH(a, float, n), *part = PUSH(a, float, chunks * 16), row, column;
        for (int64_t r = 0; r < n; r++)
            x[r] = pseudo((uint64_t)r);
        long long in = (long long)n, lanes = (long long)chunks * 16;
        const Kernel *one = parse_text(a, str_format(a,
            "kernel @r(in %%x: f32[%lld], out %%y: f32[1]) regs 0 axis z 1, k %lld {"
            " reduce sum keep z over k { v0 = load.f32 %%x[k] yield v0 } -> %%y[0] }", in, in));
        const Kernel *split = parse_text(a, str_format(a,
            "kernel @s(in %%x: f32[%lld], out %%p: f32[%lld]) regs 0 lanes head n %lld {"
            " accum sum { v0 = load.f32 %%x[n] yield v0 } -> %%p[n] }", in, lanes, in));
        const Kernel *fold = parse_text(a, str_format(a,
            "kernel @f(in %%p: f32[%lld], out %%y: f32[1]) regs 0 axis z 1 {"
            " fold sum keep z chunks %lld %%p[0] -> %%y[0] }", lanes, lanes / 16));
        REQUIRE(one != NULL && split != NULL && fold != NULL);
        CHECK_MSG(kernel_verify(one, &e) && kernel_verify(split, &e) && kernel_verify(fold, &e), "%s",
                  e.what);
        kernel_eval(one, m, (void *[]){x, &row}, NULL, 0, 1);
        kernel_eval(split, m, (void *[]){x, part}, NULL, 0, kernel_points(split));
        kernel_eval(fold, m, (void *[]){part, &column}, NULL, 0, 1);
        CHECK_INT(f32_bits(row), f32_bits(plain_sum(x, n)));
        CHECK_INT(f32_bits(column), f32_bits(row));
    }
}

TEST(identity_ignores_names) {
    Arena *a = test_arena();
    const char *form = "kernel @%s(in %%%s: f32[8], out %%y: f32[8]) %s regs 0 axis %s 8 { map over %s { "
                       "v0 = load.f32 %%%s[%s] store(v0) %%y[%s + 0] } }";
    const Kernel *x = parse_text(a, str_format(a, form, "a", "x", "grain 4 cost 7", "i", "i", "x", "i", "i"));
    const Kernel *y = parse_text(a, str_format(a, form, "b", "in", "", "row", "row", "in", "row", "row"));
    const Kernel *z = parse_text(a, str_format(a, form, "a", "x", "", "i", "i vec i", "x", "i", "i"));
    REQUIRE(x != NULL && y != NULL && z != NULL);
    CHECK(kernel_key(x) == kernel_key(y));
    CHECK(kernel_key(x) != kernel_key(z));
}

/* ---- random changes: what the verifier lets through stays inside its buffers ---- */
enum { GUARD = 64 };

static bool is_small(const Kernel *k) {
    int64_t work = kernel_points(k);
    for (uint32_t i = k->n_head; i < k->axes.n; i++) {
        if (__builtin_mul_overflow(work, k->axes.at[i].extent + 1, &work))
            return false;
    }
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        if (k->bufs.at[i].count > 1 << 16)
            return false;
    }
    for (uint32_t i = 0; i < k->stages.n; i++) {
        if (k->stages.at[i].fold_chunks > 1 << 12)
            return false;
        if (k->stages.at[i].kind == STAGE_TILE &&
            __builtin_mul_overflow(work, k->stages.at[i].tile.k * ktile_blocks(&k->stages.at[i].tile), &work))
            return false;
    }
    for (uint32_t i = 0; i < k->uniforms.n; i++) {
        if (k->uniforms.at[i] >= 4)
            return false;
    }
    return work < 1 << 18;
}

static void run_between_guards(Arena *a, const Kernel *k, const Math *m) {
    void **bufs = PUSH(a, void *, k->bufs.n + 1);
    UValue uniforms[4] = {{.f = 1}};
    for (uint32_t b = 0; b < k->bufs.n; b++) {
        size_t bytes = (size_t)k->bufs.at[b].count * dtype_bytes(k->bufs.at[b].dtype);
        char *at = arena_push(a, bytes + 2 * GUARD, 64);
        memset(at, 0x5a, bytes + 2 * GUARD);
        bufs[b] = at + GUARD;
    }
    kernel_eval(k, m, bufs, uniforms, 0, kernel_points(k));
    for (uint32_t b = 0; b < k->bufs.n; b++) {
        const char *at = bufs[b];
        size_t bytes = (size_t)k->bufs.at[b].count * dtype_bytes(k->bufs.at[b].dtype);
        for (int i = 0; i < GUARD; i++)
            CHECK_MSG(at[-1 - i] == 0x5a && at[bytes + (size_t)i] == 0x5a, "@%.*s wrote outside %%%.*s",
                      FSTR(k->name),
                      FSTR(k->bufs.at[b].name));
    }
}

/* One number or letter becomes another. */
static Str change(Arena *a, Str text, uint64_t seed) {
    char *to = (char *)str_copy(a, text).s;
    for (uint64_t i = 0; i < 1 + seed % 3; i++) {
        uint32_t at = (uint32_t)(hash_mix(seed, i) % text.n);
        while (at < text.n && !(to[at] >= '0' && to[at] <= '9') && hash_mix(seed, at) % 8 != 0)
            at++;
        if (at < text.n)
            to[at] = "0123456789-v%rn[]{}+*"[hash_mix(at, seed) % 21];
    }
    return (Str){to, text.n};
}

static const char *const k_subjects[] = {
    "softmax", "colsum", "fold", "argmax", "moments", "chain", "window", "tile", "tile-columns", "tile-cut",
    "pack", "pad", "gather", "scatter", "narrow", "elementwise"};

TEST_ALL(verified_kernels_stay_inside) {
    const Math *m;
    Error e;
    uint32_t ran = 0;
    REQUIRE(math_create(test_arena(), &m, &e) == GR_OK);
    for (size_t f = 0; f < sizeof k_subjects / sizeof *k_subjects; f++) {
        Str text = test_read(str_format(test_arena(), "%.*s/tests/kernel/%s.kernel", FSTR(test_root()),
                                        k_subjects[f]));
        text.n = (uint32_t)(strstr(text.s, "---- expected") - text.s);
        for (uint64_t seed = 0; seed < 1500; seed++) {
            Arena *a = arena_create();
            const Kernel *k = parse_text(a, change(a, text, hash_mix(f, seed)));
            if (k != NULL && kernel_verify(k, &e) && is_small(k)) {
                run_between_guards(a, k, m);
                ran++;
            }
            arena_destroy(a);
        }
    }
    CHECK_MSG(ran > 500, "only %u kernels came through", ran);
}
