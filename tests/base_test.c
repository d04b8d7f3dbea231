/* Arenas, strings, numbers as text, hashes, random words, conversions, failures. */
#include "test.h"
#include "diag.h"
#include "dtype.h"
#include "error.h"
#include "hash.h"
#include "philox.h"
#include <errno.h>
#include <immintrin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static bool all_zero(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

TEST(arena_zeroes_and_aligns) {
    Arena *a = test_arena();
    for (size_t align = 1; align <= 4096; align *= 2) {
        char *p = arena_push(a, 100 + align, align);
        CHECK((uintptr_t)p % align == 0);
        CHECK(all_zero(p, 100 + align));
        memset(p, 0xff, 100 + align);
    }
}

TEST(arena_marks_nest) {
    Arena *a = test_arena();
    ArenaMark empty = arena_mark(a);
    int *kept = PUSH(a, int, 4);
    kept[3] = 7;
    size_t before = arena_bytes(a);
    ArenaMark outer = arena_mark(a);
    memset(PUSH(a, char, 1000), 0xff, 1000);
    ArenaMark inner = arena_mark(a);
    memset(PUSH(a, char, 3 << 20), 0xff, 3 << 20);          /* a block of its own */
    CHECK(arena_bytes(a) >= before + 1000 + (3 << 20));
    arena_pop(inner);
    arena_pop(outer);
    CHECK_INT(arena_bytes(a), before);
    CHECK_INT(kept[3], 7);
    CHECK(all_zero(PUSH(a, char, 100000), 100000));         /* also where the popped bytes were */
    arena_pop(empty);
    CHECK_INT(arena_bytes(a), 0);
    CHECK(all_zero(PUSH(a, char, 1 << 16), 1 << 16));
}

#if defined(__SANITIZE_ADDRESS__)
TEST(arena_poisons_what_is_not_pushed) {
    Arena *a = test_arena();
    char *kept = PUSH(a, char, 5);
    ArenaMark m = arena_mark(a);
    char *popped = PUSH(a, char, 100);
    CHECK(!__asan_address_is_poisoned(kept + 4) && __asan_address_is_poisoned(kept + 5));
    CHECK(!__asan_address_is_poisoned(popped + 99) && __asan_address_is_poisoned(popped + 100));
    arena_pop(m);
    CHECK(__asan_address_is_poisoned(popped) && !__asan_address_is_poisoned(kept));
}
#endif

static _Noreturn void leave(void *user) {
    *(int *)user += 1;
    test_end();
}

TEST(arena_full_goes_to_its_handler) {
    static int called;
    arena_on_full(test_arena(), leave, &called);
    arena_push(test_arena(), SIZE_MAX / 2, 1);              /* ends the test as passed */
    CHECK_MSG(false, "half of all memory was given");
}

TEST(vec_grows) {
    Arena *a = test_arena();
    VEC(uint32_t) v = {0};
    for (uint32_t i = 0; i < 10000; i++)
        vec_push(a, &v, i * 3);
    CHECK_INT(v.n, 10000);
    for (uint32_t i = 0; i < v.n; i++)
        CHECK_INT(v.at[i], i * 3);
    vec_reserve(a, &v, 50000);
    CHECK(v.cap >= 50000 && v.n == 10000 && v.at[9999] == 29997);
}

TEST(str_compares) {
    CHECK(str_eq(STR(""), (Str){NULL, 0}));
    CHECK(str_is(STR("ab"), "ab") && !str_is(STR("ab"), "abc") && !str_is(STR("abc"), "ab"));
    CHECK(str_starts(STR("abc"), "ab") && !str_starts(STR("a"), "ab") && str_starts(STR("a"), ""));
    CHECK(str_ends(STR("abc"), "bc") && !str_ends(STR("c"), "bc"));
    CHECK(str_compare(STR("a"), STR("b")) < 0 && str_compare(STR("ab"), STR("a")) > 0);
    CHECK(str_compare(STR("\xc3\xa4"), STR("z")) > 0);      /* bytes count as unsigned */
    CHECK_STR(str_format(test_arena(), "%s-%d", "x", 5), "x-5");
    CHECK(str_copy(test_arena(), STR("abc")).s[3] == 0);
}

TEST(str_distance_counts_edits) {
    static const struct { const char *a, *b; uint32_t edits; } rows[] = {
        {"", "", 0},           {"", "abc", 3},        {"latent", "latnet", 1}, {"latent", "latent", 0},
        {"kitten", "sitting", 3}, {"relu", "elu", 1}, {"ca", "abc", 3},        {"mean", "men", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(str_distance(str_of(rows[i].a), str_of(rows[i].b)), rows[i].edits);
        CHECK_INT(str_distance(str_of(rows[i].b), str_of(rows[i].a)), rows[i].edits);
    }
    char longer[200];
    memset(longer, 'x', sizeof longer);
    CHECK_INT(str_distance((Str){longer, 200}, STR("x")), 200);
    CHECK_INT(str_distance((Str){longer, 200}, (Str){longer, 200}), 0);
}

TEST(buf_grows_and_ends_in_nul) {
    Buf b = buf_make(test_arena());
    CHECK_STR(buf_str(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d", i % 10);
    buf_char(&b, '!');
    CHECK_INT(b.n, 1001);
    CHECK(b.s[1001] == 0 && b.s[999] == '9' && b.s[1000] == '!');
}

static Str real(double x) {
    Buf b = buf_make(test_arena());
    buf_real(&b, x);
    return buf_str(&b);
}

static Str real32(float x) {
    Buf b = buf_make(test_arena());
    buf_real32(&b, x);
    return buf_str(&b);
}

TEST(reals_have_few_digits) {
    CHECK_STR(real(0.1), "0.1");
    CHECK_STR(real(1), "1");
    CHECK_STR(real(-60), "-60");
    CHECK_STR(real(784000), "784000");
    CHECK_STR(real(1e-3), "0.001");
    CHECK_STR(real(1.5e-7), "1.5e-7");
    CHECK_STR(real(1e22), "1e22");
    CHECK_STR(real(0.1 + 0.2), "0.30000000000000004");
    CHECK_STR(real(5e-324), "5e-324");
    CHECK_STR(real(-0.0), "-0");
    CHECK_STR(real(INFINITY), "inf");
    CHECK_STR(real(-INFINITY), "-inf");
    CHECK_STR(real(-(double)NAN), "nan");
    CHECK_STR(real32(0.1f), "0.1");
    CHECK_STR(real32(16777216), "1.6777216e7");
    CHECK_STR(real32(0.3f), "0.3");
    CHECK_STR(real32(1.17549435e-38f), "1.1754944e-38");
}

TEST(reals_read_back) {
    uint64_t u = 1;
    for (int i = 0; i < 100000; i++) {
        u = hash_mix(u, (uint64_t)i);
        double x;
        memcpy(&x, &u, sizeof x);
        float y = f32_of_bits((uint32_t)u);
        ArenaMark m = arena_mark(test_arena());
        if (!isnan(x))
            CHECK_MSG(strtod(real(x).s, NULL) == x, "%a became %s", x, real(x).s);
        if (!isnan(y))
            CHECK_MSG(strtof(real32(y).s, NULL) == y, "%a became %s", (double)y, real32(y).s);
        arena_pop(m);
    }
}

TEST(intern_counts_from_one) {
    Arena *a = test_arena();
    Intern *t = intern_create(a);
    CHECK_INT(intern_find(t, STR("n0")), 0);
    for (uint32_t i = 0; i < 5000; i++)
        CHECK_INT(intern_id(t, str_format(a, "n%u", i)), i + 1);
    for (uint32_t i = 0; i < 5000; i++)
        CHECK_INT(intern_find(t, str_format(a, "n%u", i)), i + 1);
    CHECK_INT(intern_id(t, STR("n17")), 18);
    CHECK_STR(intern_str(t, 18), "n17");
    CHECK_INT(intern_id(t, STR("")), 5001);
}

TEST(hash_is_golden) {
    /* These values are in files of users: a change of one is a change of format. */
    CHECK_INT(hash_str(0, STR("")), 0x1f4305387b422374u);
    CHECK_INT(hash_str(0, STR("a")), 0x8d1c9337b37d5a4cu);
    CHECK_INT(hash_str(1, STR("a")), 0xbffaf94bc2f9cc1du);
    CHECK_INT(hash_str(0, STR("model vae / encoder")), 0xdc9ed4177824753cu);
    CHECK_INT(hash_mix(1, 2), 0xe208e38a3333616bu);
    CHECK(hash_str(0, STR("a")) != hash_bytes(0, "a\0", 2));
    CHECK(hash_mix(1, 2) != hash_mix(2, 1));
}

/* Half of the output bits turn when one bit of the input does. */
TEST(hash_avalanches) {
    uint8_t text[24] = {0};
    double turned = 0;
    for (int bit = 0; bit < 192; bit++) {
        uint64_t before = hash_bytes(0, text, sizeof text);
        text[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int n = __builtin_popcountll(before ^ hash_bytes(0, text, sizeof text));
        CHECK_MSG(n >= 12 && n <= 52, "bit %d turns %d", bit, n);
        turned += n;
    }
    CHECK_MSG(fabs(turned / 192 - 32) < 2, "%g bits on average", turned / 192);
}

/* From kat_vectors of the Random123 distribution. */
TEST(philox_known_answers) {
    static const struct { uint32_t counter[4], key[2], out[4]; } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        Philox4 c;
        memcpy(c.w, rows[i].counter, sizeof c.w);
        Philox4 r = philox4x32_10(c, rows[i].key[0], rows[i].key[1]);
        for (int k = 0; k < 4; k++)
            CHECK_INT(r.w[k], rows[i].out[k]);
    }
}

TEST(philox_elements_are_words_of_blocks) {
    for (uint64_t e = 0; e < 1000; e++) {
        uint32_t block = (uint32_t)(16 * (e / 64) + e % 16);
        Philox4 r = philox4x32_10((Philox4){{block, 3, 17, 2}}, 5, 99);
        CHECK_INT(philox_word(5, 99, 17, 2, 3, e), r.w[e / 16 % 4]);
    }
    CHECK(uniform_of_word(0) == 0 && uniform_of_word(UINT32_MAX) < 1 && uniform_of_word(1u << 31) == 0.5f);
}

/* Value of a float of `mantissa` fraction bits and exponent bias `bias`, by the definition. */
static double value_of(uint32_t bits, int mantissa, int bias, int top) {
    int exponent = (int)(bits >> mantissa) & ((1 << (top - mantissa)) - 1);
    double fraction = (double)(bits & ((1u << mantissa) - 1)) / (double)(1u << mantissa);
    double x = exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, exponent - bias);
    return bits >> top ? -x : x;
}

static bool f16_finite(uint32_t h) { return (h & 0x7c00) != 0x7c00; }
static bool bf16_finite(uint32_t h) { return (h & 0x7f80) != 0x7f80; }

TEST(f16_all_values) {
    for (uint32_t h = 0; h < 65536; h++) {
        float x = f32_of_f16((uint16_t)h);
        if (f16_finite(h)) {
            CHECK(x == value_of(h, 10, 15, 15));
            CHECK_INT(f16_of_f32(x), h);
        } else if (h & 0x3ff) {
            CHECK(isnan(x) && f16_of_f32(x) == 0x7e00);
        } else {
            CHECK(isinf(x) && f16_of_f32(x) == h);
        }
    }
}

TEST(bf16_all_values) {
    for (uint32_t h = 0; h < 65536; h++) {
        float x = f32_of_bf16((uint16_t)h);
        if ((h & 0x7f80) == 0) {
            CHECK_INT(f32_bits(x), (h & 0x8000) << 16);     /* denormal: flushed */
        } else if (bf16_finite(h)) {
            CHECK(x == value_of(h, 7, 127, 15));
            CHECK_INT(bf16_of_f32(x), h);
        } else if (h & 0x7f) {
            CHECK(isnan(x) && bf16_of_f32(x) == 0x7fc0);
        } else {
            CHECK(isinf(x) && bf16_of_f32(x) == h);
        }
    }
}

/* Halfway between two neighbours goes to the even one, a hair above or below to the nearer. */
TEST(f16_and_bf16_round_to_nearest_even) {
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float middle = (float)((value_of(h, 10, 15, 15) + value_of(h + 1, 10, 15, 15)) / 2);
        CHECK_INT(f16_of_f32(middle), h + (h & 1));
        CHECK_INT(f16_of_f32(nextafterf(middle, 0)), h);
        CHECK_INT(f16_of_f32(nextafterf(middle, INFINITY)), h + 1);
    }
    for (uint32_t h = 0x80; h < 0x7f7f; h++) {
        uint32_t middle = h << 16 | 0x8000;
        CHECK_INT(bf16_of_f32(f32_of_bits(middle)), h + (h & 1));
        CHECK_INT(bf16_of_f32(f32_of_bits(middle - 1)), h);
        CHECK_INT(bf16_of_f32(f32_of_bits(middle + 1)), h + 1);
    }
    CHECK_INT(f16_of_f32(65519), 0x7bff);
    CHECK_INT(f16_of_f32(65520), 0x7c00);
    CHECK_INT(bf16_of_f32(f32_of_bits(0x7f7f8000)), 0x7f80);
}

/* As the processor converts with FTZ+DAZ, whatever the mode of the thread. */
TEST(f64_to_f32_as_kernels_do) {
    double around = 0x1p-126;
    for (int i = 0; i < 200000; i++) {
        double x = i < 1000 ? around : ldexp(1 + (double)hash_mix(7, (uint64_t)i) * 0x1p-64, i % 300 - 160);
        around = i < 1000 ? nextafter(around * (1 - 0x1p-31), 0) : around;
        uint32_t saved = float_mode_enter();
        volatile double in = x;
        volatile float hardware = (float)in;
        float ours_there = f32_of_f64(x);
        float_mode_restore(saved);
        float ours = f32_of_f64(x), minus = f32_of_f64(-x);
        CHECK_MSG(f32_bits(ours) == f32_bits(hardware) && f32_bits(ours_there) == f32_bits(hardware),
                  "%a: %a, the processor %a", x, (double)ours, (double)hardware);
        CHECK(f32_bits(minus) == (f32_bits(ours) ^ 0x80000000u));
    }
    CHECK(f32_of_f64(0x1.ffffffp-127) == 0x1p-126f);
    CHECK(f32_of_f64(0x1.fffffeffffp-127) == 0);
    CHECK(isnan(f32_of_f64(NAN)) && isinf(f32_of_f64(1e300)));
    CHECK_INT(f32_bits(f32_of_f64(-5e-324)), 0x80000000u);
}

TEST(flush_keeps_the_sign) {
    CHECK_INT(f32_bits(flush_f32(f32_of_bits(0x807fffff))), 0x80000000u);
    CHECK_INT(f32_bits(flush_f32(f32_of_bits(1))), 0);
    CHECK(flush_f32(0x1p-126f) == 0x1p-126f);
    CHECK_INT(f32_bits_canonical(f32_of_bits(0xffc12345)), 0x7fc00000);
    CHECK_INT(f32_bits_canonical(-0.0f), 0x80000000u);
}

TEST(f32_to_i32_saturates) {
    CHECK_INT(i32_of_f32(NAN), 0);
    CHECK_INT(i32_of_f32(1e20f), INT32_MAX);
    CHECK_INT(i32_of_f32(-1e20f), INT32_MIN);
    CHECK_INT(i32_of_f32(-INFINITY), INT32_MIN);
    CHECK_INT(i32_of_f32(0x1p31f), INT32_MAX);
    CHECK_INT(i32_of_f32(-0x1p31f), INT32_MIN);
    CHECK_INT(i32_of_f32(2147483520.0f), 2147483520);
    CHECK_INT(i32_of_f32(-1.9f), -1);
    CHECK_INT(i32_of_f32(1.9f), 1);
}

TEST(dtype_names_parse) {
    for (int t = 0; t < DT_COUNT; t++) {
        DType back;
        CHECK(dtype_parse(str_of(dtype_name((DType)t)), &back) && back == (DType)t);
    }
    DType none;
    CHECK(!dtype_parse(STR("f31"), &none));
    CHECK_INT(dtype_bytes(DT_F64), 8);
}

TEST(shapes) {
    Shape s = shape_of(2, (int64_t[]){64, 512});
    Buf b = buf_make(test_arena());
    buf_shape(&b, s);
    buf_shape(&b, shape_of(0, NULL));
    CHECK_STR(buf_str(&b), "[64,512][]");
    CHECK_INT(shape_count(s), 32768);
    CHECK_INT(shape_count(shape_of(0, NULL)), 1);
    CHECK(shape_eq(s, shape_of(2, (int64_t[]){64, 512})) && !shape_eq(s, shape_of(1, (int64_t[]){64})));
}

TEST(failures_carry_text) {
    Error e = {0};
    CHECK(fail(&e, GR_DATA, "row %d", 812) == GR_DATA);
    fail_help(&e, "look at it");
    CHECK(e.status == GR_DATA && strcmp(e.what, "row 812") == 0 && strcmp(e.help, "look at it") == 0);
    errno = ENOENT;
    CHECK(fail_errno(&e, GR_IO, "`x`") == GR_IO);
    CHECK_STR(str_of(e.what), "`x`: No such file or directory");
    CHECK(e.help[0] == 0);
    CHECK(fail(NULL, GR_IO, "nobody listens") == GR_IO);
    CHECK_STR(str_of(gr_status_name(GR_NOMEM)), "NOMEM");
}

static void check_refused(Str name, Str text, const char *what) {
    Arena *a = test_arena();
    Str path = str_format(a, "%.*s/%.*s", FSTR(test_folder()), FSTR(name));
    test_write(path, text);
    Error e = {0};
    const Source *out = NULL;
    CHECK(sources_load(sources_create(a), path, &out, &e) == GR_IO && out == NULL);
    CHECK_MSG(strstr(e.what, what) != NULL, "the message is: %s", e.what);
}

TEST(source_files_are_not_trusted) {
    check_refused(STR("nul"), STR("a = 1\nb\0c"), "line 2: byte 0x00 is no text");
    check_refused(STR("latin"), STR("a = 1\n\nb = \xe4"), "line 3: byte 0xe4 is not UTF-8");
    Error e = {0};
    const Source *out = NULL;
    CHECK(sources_load(sources_create(test_arena()), STR("/nowhere/at/all"), &out, &e) == GR_IO);
    CHECK(sources_load(sources_create(test_arena()), STR("/"), &out, &e) == GR_IO);
    Str large = {PUSH(test_arena(), char, (64 << 20) + 1), (64 << 20) + 1};
    memset((char *)large.s, ' ', large.n);
    check_refused(STR("large"), large, "larger than 64 MiB");
}

TEST(places) {
    SourceSet *s = sources_create(test_arena());
    const Source *a = sources_add(s, STR("a"), STR("one\ntwo\r\n\nlast"));
    const Source *b = sources_add(s, STR("b"), STR(""));
    const Source *c = sources_add(s, STR("c"), STR("x\n"));
    Place p = sources_place(s, (Span){a->base + 5, 1});
    CHECK(p.line == 2 && p.column == 2 && str_is(p.path, "a") && str_is(p.line_text, "two"));
    p = sources_place(s, (Span){a->base + 14, 0});
    CHECK(p.line == 4 && p.column == 5 && str_is(p.line_text, "last") && sources_of(s, (Span){a->base + 14, 0}) == a);
    p = sources_place(s, (Span){b->base, 0});
    CHECK(p.line == 1 && p.column == 1 && str_is(p.path, "b") && p.line_text.n == 0);
    p = sources_place(s, (Span){c->base + 2, 0});
    CHECK(p.line == 2 && p.column == 1 && str_is(p.path, "c"));
    CHECK(sources_place(s, (Span){0, 0}).line == 0 && sources_place(s, (Span){c->base + 3, 0}).line == 0);
    CHECK_STR(sources_text(s, (Span){a->base + 4, 3}), "two");
    CHECK_STR(sources_text(s, (Span){c->base, 300}), "x\n");
    Span joined = span_join((Span){10, 5}, (Span){3, 2});
    CHECK(joined.at == 3 && joined.n == 12);
    CHECK(span_join((Span){0, 0}, (Span){3, 2}).at == 3);
}

TEST(diags_count_once_and_stop_at_twenty) {
    Arena *a = test_arena();
    SourceSet *s = sources_create(a);
    const Source *f = sources_add(s, STR("f"), STR("abcdefghijklmnopqrstuvwxyz"));
    Diags *ds = diags_create(a, s);
    for (uint32_t i = 0; i < 26; i++) {
        diag_label(diag_add(ds, DIAG_NAME, (Span){f->base + i, 1}, "no %u", i), (Span){f->base, 1}, "here");
        diag_note(diag_add(ds, DIAG_NAME, (Span){f->base + i, 1}, "again %u", i), "nothing");
    }
    diag_add(ds, DIAG_DEAD, (Span){f->base, 1}, "a warning");
    CHECK_INT(diags_errors(ds), 26);
    CHECK_INT(diags_count(ds), 27);
    Buf b = buf_make(a);
    diags_render(ds, &b, false);
    CHECK(strstr(b.s, "no 19") != NULL && strstr(b.s, "no 20") == NULL && strstr(b.s, "again") == NULL);
    CHECK(str_ends(buf_str(&b), "\n\nand 6 more errors\n"));
}

/* Whatever the text and the spans: nothing breaks, and no byte a terminal obeys gets through. */
TEST(diags_draw_anything) {
    Arena *a = test_arena();
    uint64_t u = 5;
    for (int round = 0; round < 2000; round++) {
        ArenaMark m = arena_mark(a);
        char text[80];
        uint32_t n = (uint32_t)((u = hash_mix(u, 1)) % sizeof text);
        for (uint32_t i = 0; i < n; i++)
            text[i] = (u = hash_mix(u, 2)) % 3 == 0 ? (char)(u >> 8) : "ab\t\n \xc3\xa4\xe6\x97\xa5"[(u >> 8) % 10];
        SourceSet *s = sources_create(a);
        sources_add(s, STR("f"), (Str){text, n});
        sources_add(s, STR("g"), (Str){text, n / 2});
        Diags *ds = diags_create(a, s);
        for (int k = 0; k < 3; k++) {
            Diag *d = NULL;
            for (int part = 0; part < 4; part++) {
                u = hash_mix(u, 3);
                Span at = {(uint32_t)(u % (n * 2 + 3)), (uint32_t)(u >> 32) >> (u % 33 % 32)};
                if (d == NULL)
                    d = diag_add(ds, (DiagKind)(u % DIAG_COUNT), at, "message");
                else
                    diag_label(d, at, part == 2 ? "two\nlines" : part == 3 ? "%s" : "label", "");
            }
        }
        Buf b = buf_make(a);
        diags_render(ds, &b, false);
        for (size_t i = 0; i < b.n; i++)
            CHECK(b.s[i] == '\n' || ((unsigned char)b.s[i] >= ' ' && b.s[i] != 127));
        diags_render_json(ds, &b);
        arena_pop(m);
    }
}
