/* Text tests of kernels: the input is one kernel; what comes out is what the reader or the verifier has to say, else the
 * contents of its output buffers after the interpreter ran all points (at most 24 elements of each, and a hash of all).
 * The kernel is printed, read again and printed on the way, and must not change.
 * Options: print (the text it prints as); NAME=PATTERN for an input: iota, ones, or the list 1,2,-3,nan repeated. */
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
