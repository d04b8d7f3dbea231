/* Kernels whose shape matters to the code generator: tiles cut at 4096 in every way, and reductions over a
 * split head. */
#include "llvm_rig.h"
#include "test.h"

typedef VEC(const Kernel *) Kernels;

static void add(Arena *a, Kernels *ks, Str text) {
    SourceSet *sources = sources_create(a);
    Diags *ds = diags_create(a, sources);
    Buf shown = buf_make(a);
    const Kernel *k = kernel_parse(a, sources_add(sources, STR("shape.kernel"), text), ds);
    diags_render(ds, &shown, false);
    Error e = {0};
    CHECK_MSG(k != NULL, "%.*s", FSTR(buf_str(&shown)));
    REQUIRE(k != NULL);
    bool valid = kernel_verify(k, &e);
    CHECK_MSG(valid, "%s", e.what);
    vec_push(a, ks, k);
}

static void compare(const Kernels *ks, const char *cpu) {
    Arena *a = test_arena();
    const Math *m;
    Error e;
    Code *code;
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    CodeOptions o = rig_options(cpu, "");
    REQUIRE(code_create(a, &o, &code, &e) == GR_OK);
    Plan *plan = rig_plan(a, ks->at, ks->n);
    uint32_t *which = PUSH(a, uint32_t, ks->n);
    for (uint32_t i = 0; i < ks->n; i++)
        which[i] = i;
    bool loaded = code_load(code, plan, ks->at, ks->n, which, &e) == GR_OK;
    CHECK_MSG(loaded, "%s", e.what);
    for (uint32_t i = 0; loaded && i < ks->n; i++)
        rig_compare(a, ks->at[i], m, plan, i, code_table(code), cpu == NULL ? "host" : cpu, i);
    code_destroy(code);
}

/* What operands hold: f32, or pairs of bf16; and how many of them k points are. */
static const char *type(bool pairs) { return pairs ? "i32" : "f32"; }
static int steps(int k, bool pairs) { return pairs ? (k + 1) / 2 : k; }

static bool has_pairs(void) { return __builtin_cpu_supports("avx512bf16"); }

/* C[mr, nr] from packed panels; the whole tile is written so that every result is seen. */
static Str tile(Arena *a, int mr, int nr, int k, int list, bool pairs) {
    int n = steps(k, pairs);
    return str_format(a,
        "kernel @tile_%dx%d_%d_%d(in %%a: %s[%d], in %%b: %s[%d], out %%c: f32[%d], scratch %%t: f32[%d])\n"
        "  regs 0\n  head i 1, j 1\n  axis r %d, q %d\n{\n"
        "  tile %%a[%d*i] %%b[%d*j] k %d step %d %d list %d step %d %d m i of %d by %d n j of %d by %d -> %%t\n"
        "  map over r, q vec q {\n    v0 = load.f32 %%t[%d*r + q]\n    store(v0) %%c[%d*r + q]\n  }\n}\n",
        mr, nr, k, list, type(pairs), mr * n * list, type(pairs), nr * n * list, mr * nr, mr * nr, mr, nr, mr, nr, k,
        mr, nr, list, mr * n, nr * n,
        mr, mr, nr, nr, nr, nr);
}

static Kernels tiles(Arena *a, int most_rows, int most_columns, bool pairs) {
    static const int k[][2] = {{1, 1}, {3, 1}, {64, 3}, {4096, 1}, {4097, 1}, {1024, 4}, {1000, 5}, {192,
        47}, {4096, 2}, {9000, 2}};
    Kernels ks = {0};
    for (unsigned i = 0; i < sizeof k / sizeof k[0]; i++) {
        add(a, &ks, tile(a, most_rows, most_columns, k[i][0], k[i][1], pairs));
        add(a, &ks, tile(a, 1 + (int)i % most_rows, 16, k[i][0], k[i][1], pairs));
        add(a, &ks, tile(a, 2 + 2 * ((int)i % 3), 8, k[i][0], k[i][1], pairs));
    }
    return ks;
}

/* A convolution along one axis as C[o, mr, nr] from packed panels: at each of `outs` places the taps whose place in x
 * exists, place = 2 * o + 3 * t - 4 or, from the other side, (o - 3 * t + 4) / 2; `rows` more blocks behind each
 * tap. */
static void window(Arena *a, Kernels *ks, int outs, int taps, int rows, int k, bool back, bool pairs) {
    enum { MR = 5, NR = 16, X = 9 };
    int a_block = MR * steps(k, pairs), b_block = NR * steps(k, pairs);
    add(a, ks, str_format(a,
        "kernel @window_%d_%d_%d_%d_%d(in %%a: %s[%d], in %%b: %s[%d], out %%c: f32[%d], scratch %%t: f32[80])\n"
        "  regs 0\n  head o %d, i 1, j 1\n  axis r 5, q 16\n{\n"
        "  tile %%a[0] %%b[0] k %d step 5 16 list %d step 0 %d window o %s of 9 step %d 0 list %d step %d %d"
        " m i of 5 by 5 n j of 16 by 16 -> %%t\n"
        "  map over r, q vec q {\n    v0 = load.f32 %%t[16*r + q]\n    store(v0) %%c[80*o + 16*r + q]\n  }\n}\n",
        outs, taps, rows, k, back, type(pairs), a_block * X * rows, type(pairs), b_block * taps * rows,
        outs * MR * NR, outs, k, taps,
        b_block * rows, back ? "1 -3 4 / 2" : "2 3 -4 / 1", a_block * rows, rows, a_block, b_block));
}

/* The weight gradient of a convolution of 3 x 3, C[cut, ty, i, tx, mr, nr]: a part of the sum over h x w places of k
 * images for each cut; the tiles of `together` axes by one call. */
static void cuts(Arena *a, Kernels *ks, int h, int w, int k, int stride, int mr, int nr, int together, bool pairs) {
    int places = CHUNK / k, n = (h * w + places - 1) / places, tile = mr * nr, x = stride * w;
    int block = steps(k, pairs) * mr, cut = places * steps(k, pairs) * nr;
    bool panels = together < 2;
    int across = panels ? 2 * block : block, rows = panels ? 2 * mr - 1 : mr;
    add(a, ks, str_format(a,
        "kernel @cuts_%d_%d_%d_%d_%d_%d_%d(in %%a: %s[%d], in %%b: %s[%d], out %%c: f32[%d], scratch %%t: f32[%d])\n"
        "  regs 0\n  head cut %d\n  axis ty 3, i %d, tx 3, r %d of %d by i, q %d\n{\n"
        "  tile over %s together %d cut cut %%a[%d*i] %%b[%d*cut] k %d step %d %d"
        " list %d step 0 0 window ty 1 %d -1 / 1 of %d step %d 0 list %d step 0 0 window tx 1 %d -1 / 1 of %d step %d 0"
        " m i of %d by %d n 0 of %d by %d -> %%t\n"
        "  map over ty, i, tx, r, q vec q {\n    v0 = load.f32 %%t[%d*ty + %d*i + %d*tx + %d*r + q]\n"
        "    store(v0) %%c[%d*cut + %d*ty + %d*i + %d*tx + %d*r + q]\n  }\n}\n",
        h, w, k, stride, mr, nr, together, type(pairs), h * stride * x * across, type(pairs), n * cut, n * 18 * tile,
        18 * tile,
        n, panels ? 2 : 1, mr, rows, nr,
        panels ? "ty, i, tx" : "i, ty, tx", together, block, cut, k, mr, nr,
        h, stride, h * stride, x * across, w, stride, x, across,
        rows, mr, nr, nr,
        panels ? 6 * tile : 3 * tile, panels ? 3 * tile : 9 * tile, tile, nr,
        18 * tile, panels ? 6 * tile : 3 * tile, panels ? 3 * tile : 9 * tile, tile, nr));
}

static void parts(const char *cpu, bool pairs) {
    Arena *a = test_arena();
    Kernels ks = {0};
    cuts(a, &ks, 3, 5, 512, 1, 2, 16, 2, pairs);     /* a cut begins and ends within a row of places */
    cuts(a, &ks, 3, 5, 512, 1, 2, 16, 1, pairs);
    cuts(a, &ks, 2, 3, 4096, 1, 2, 16, 1, pairs);    /* a place is a cut */
    cuts(a, &ks, 40, 33, 4, 2, 2, 32, 1, pairs);     /* more blocks than a list holds */
    cuts(a, &ks, 40, 33, 4, 1, 3, 16, 2, pairs);
    cuts(a, &ks, 9, 7, 64, 1, 8, 16, 0, pairs);      /* one by one */
    cuts(a, &ks, 3, 5, 512, 1, 2, 8, 2, pairs);      /* pairs of rows */
    cuts(a, &ks, 40, 33, 4, 2, 4, 8, 1, pairs);
    cuts(a, &ks, 9, 7, 64, 1, 6, 8, 0, pairs);
    compare(&ks, cpu);
}

TEST(parts_host) { parts(NULL, false); }
TEST(parts_haswell) { parts("haswell", false); }
TEST(parts_of_pairs) {
    if (has_pairs())
        parts(NULL, true);
}

/* A convolution of 3 x taps over h x x places, whose columns are the n places of a row; by `turn` taps go back.  Tiles
 * of a row share a list where j is an axis of the stage. */
static void columns(Arena *a, Kernels *ks, int h, int x, int n, int taps, int k, int mr, int nr, bool turn, bool head,
                    bool pairs) {
    int tiles = (n + nr - 1) / nr, block = steps(k, pairs) * mr;
    add(a, ks, str_format(a,
        "kernel @columns_%d_%d_%d_%d_%d_%d_%d_%d_%d(in %%a: %s[%d], in %%b: %s[%d], out %%c: f32[%d],"
        " scratch %%t: f32[%d])\n"
        "  regs 0\n  head o %d%s\n  axis %sr %d, q %d of %d by j\n{\n"
        "  tile %s%%a[0] %%b[%d*j] k %d step %d %d list 3 step %d 0 window o 1 1 -1 / 1 of %d step 0 %d"
        " list %d step %d 0 columns %d %d of %d m 0 of %d by %d n j of %d by %d -> %%t\n"
        "  map over %sr, q vec q {\n    v0 = load.f32 %%t[%s%d*r + q]\n"
        "    store(v0) %%c[%d*o + %d*j + %d*r + q]\n  }\n}\n",
        h, x, n, taps, k, mr, nr, turn, head, type(pairs), 3 * taps * block, type(pairs), steps(k, pairs) * h * x,
        h * mr * n, tiles * mr * nr,
        h, head ? str_format(a, ", j %d", tiles).s : "", head ? "" : str_format(a, "j %d, ", tiles).s, mr, nr, n,
        head ? "" : "over j ", nr, k, mr, h * x, taps * block, h, x,
        taps, block, turn ? -2 : 1, turn ? 3 : -1, x, mr, mr, n, nr,
        head ? "" : "j, ", head ? "" : str_format(a, "%d*j + ", mr * nr).s, nr, mr * n, nr, n));
}

static void rows_of_places(const char *cpu, bool pairs) {
    Arena *a = test_arena();
    Kernels ks = {0};
    for (int head = 0; head < 2; head++) {
        columns(a, &ks, 4, 40, 40, 3, 2, 5, 16, false, head, pairs);
        columns(a, &ks, 3, 33, 37, 5, 1, 6, 16, true, head, pairs);     /* more columns than places */
        columns(a, &ks, 3, 50, 19, 3, 7, 3, 32, false, head, pairs);
        columns(a, &ks, 2, 9, 9, 3, 600, 2, 16, true, head, pairs);     /* the sum is cut */
        columns(a, &ks, 2, 3, 40, 60, 1, 2, 16, true, head, pairs); /* more blocks than a list holds, few are there */
        columns(a, &ks, 4, 40, 40, 3, 2, 5, 32, false, head, pairs);    /* the last tile is narrow */
        columns(a, &ks, 3, 60, 60, 3, 4, 4, 64, true, head, pairs); /* .. and full, but for columns that are nobody's */
        columns(a, &ks, 3, 50, 100, 9, 3, 3, 64, false, head, pairs);   /* no place for a whole tile */
        columns(a, &ks, 2, 112, 112, 3, 5, 4, 64, true, head, pairs);
    }
    compare(&ks, cpu);
}

TEST(rows_of_places_host) { rows_of_places(NULL, false); }
TEST(rows_of_places_haswell) { rows_of_places("haswell", false); }
TEST(rows_of_places_in_pairs) {
    if (has_pairs())
        rows_of_places(NULL, true);
}

static void windows(const char *cpu, bool pairs) {
    Arena *a = test_arena();
    Kernels ks = {0};
    for (int back = 0; back < 2; back++) {
        window(a, &ks, 5, 3, 1, 1, back, pairs);
        window(a, &ks, 7, 3, 150, 2, back, pairs);   /* more blocks than a list holds */
        window(a, &ks, 5, 3, 40, 64, back, pairs);   /* cuts between blocks; some of them empty */
        window(a, &ks, 5, 5, 11, 100, back, pairs);  /* cuts inside blocks */
        window(a, &ks, 4, 3, 1, 9000, back, pairs);  /* blocks longer than a cut */
        window(a, &ks, 5, 3, 40, 31, back, pairs);   /* odd blocks that are one cut */
    }
    compare(&ks, cpu);
}

TEST(windows_host) { windows(NULL, false); }
TEST(windows_haswell) { windows("haswell", false); }
TEST(windows_of_pairs) {
    if (has_pairs())
        windows(NULL, true);
}

TEST(tiles_host) {
    Kernels ks = tiles(test_arena(), __builtin_cpu_supports("avx512f") ? 14 : 6,
        __builtin_cpu_supports("avx512f") ? 32 : 16, false);
    compare(&ks, NULL);
}

TEST(tiles_haswell) {
    Kernels ks = tiles(test_arena(), 6, 16, false);
    compare(&ks, "haswell");
}

TEST(tiles_of_pairs) {
    Kernels ks = tiles(test_arena(), 14, 32, true);
    if (has_pairs())
        compare(&ks, NULL);
}

/* C[rows, nr] in panels of mr rows, the last of fewer; the columns are the places of a row where they have `edges`. */
static void panels(Arena *a, Kernels *ks, int rows, int mr, int nr, int k, int list, bool edges) {
    int n = (rows + mr - 1) / mr, block = mr * k;
    add(a, ks, str_format(a,
        "kernel @panels_%d_%d_%d_%d_%d_%d(in %%a: f32[%d], in %%b: f32[%d], out %%c: f32[%d], scratch %%t: f32[%d])\n"
        "  regs 0\n  head i %d\n  axis r %d of %d by i, q %d\n{\n"
        "  tile %%a[%d*i] %%b[0] k %d step %d %d list %d step %d %s m i of %d by %d n 0 of %d by %d -> %%t\n"
        "  map over r, q vec q {\n    v0 = load.f32 %%t[%d*r + q]\n    store(v0) %%c[%d*i + %d*r + q]\n  }\n}\n",
        rows, mr, nr, k, list, edges, n * block * list, nr * k * list, rows * nr, mr * nr, n, mr, rows, nr,
        block * list, k, mr, nr, list, block,
        edges ? str_format(a, "0 columns 1 -1 of %d", nr).s : str_format(a, "%d", nr * k).s, rows, mr, nr, nr,
        nr, mr * nr, nr));
}

static void last_panels(const char *cpu) {
    Arena *a = test_arena();
    Kernels ks = {0};
    for (int edges = 0; edges < 2; edges++) {
        panels(a, &ks, 13, 6, 16, 5, 3, edges);
        panels(a, &ks, 11, 6, 16, 64, 3, edges);
        panels(a, &ks, 4, 6, 16, 3, 2, edges);           /* fewer than one panel holds */
        panels(a, &ks, 12, 6, 16, 7, 2, edges);          /* none that differs */
        panels(a, &ks, 5, 3, 16, 2000, 3, edges);        /* cut within a block */
    }
    compare(&ks, cpu);
}

TEST(last_panels_host) { last_panels(NULL); }
TEST(last_panels_haswell) { last_panels("haswell"); }

/* p[m, n] and s[m, n] updated by x^T y over k points, tile by tile; a p that is no `f32` is not woven. */
static void update(Arena *a, Kernels *ks, int m, int n, int k, int mr, int nr, const char *p) {
    add(a, ks, str_format(a,
        "kernel @update_%d_%d_%d_%d_%d_%s(in %%x: f32[%d], in %%y: f32[%d], inout %%p: %s[%d], inout %%s: f32[%d],"
        " health %%h: i32[1], scratch %%t: f32[%d])\n  regs 0 commit uniforms 0\n"
        "  head i %d, j %d\n  axis r %d of %d by i, c %d of %d by j\n{\n"
        "  tile %%x[%d*i] %%y[%d*j] k %d step %d %d m i of %d by %d n j of %d by %d -> %%t\n"
        "  map over r, c vec c {\n    v0 = load.f32 %%t[%d*r + c]\n    v1 = load.f32 %%s[%d*i + %d*j + %d*r + c]\n"
        "    v2 = uniform.f32 0\n    v3 = fma.f32(v0, v2, v1)\n    v4 = load.f32 %%p[%d*i + %d*j + %d*r + c]\n"
        "    v5 = sqrt.f32(v3)\n    v6 = div.f32(v4, v5)\n    store(v6) %%p[%d*i + %d*j + %d*r + c]\n"
        "    store(v3) %%s[%d*i + %d*j + %d*r + c]\n  }\n}\n",
        m, n, k, mr, nr, p, (m + 16) * k, (n + 32) * k, p, m * n, m * n, mr * nr, (m + mr - 1) / mr,
        (n + nr - 1) / nr, mr, m, nr, n, mr, nr, k, m + 16, n + 32, m, mr, n, nr, nr, mr * n, nr, n, mr * n, nr, n,
        mr * n, nr, n, mr * n, nr, n));
}

static void updates(const char *cpu) {
    Arena *a = test_arena();
    Kernels ks = {0};
    static const int size[][2] = {{12, 32}, {1, 40}, {13, 33}, {24, 64}, {30, 77}, {36, 31}, {47, 160}};
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        update(a, &ks, size[i][0], size[i][1], 64, 12, 32, "f32");
        update(a, &ks, size[i][0], size[i][1], 12 + (int)i, 12, 32, "f32");     /* a row each step */
        update(a, &ks, size[i][0], size[i][1], 11, 12, 32, "f32");              /* too few steps */
        update(a, &ks, size[i][0], size[i][1], 50 + (int)i, 7, 32, "f32");
        update(a, &ks, size[i][0], size[i][1], 29, 12, 32, "bf16");
        update(a, &ks, size[i][0], size[i][1], 29, 6, 16, "f32");
    }
    compare(&ks, cpu);
}

TEST(updates_host) { updates(NULL); }
TEST(updates_haswell) { updates("haswell"); }

/* Column sums (or maxima) of x[rows, n] inside a row kernel, and their fold. */
static void split(Arena *a, Kernels *ks, const char *kind, int rows, int n) {
    int chunks = (rows + 4095) / 4096, partial = 16 * chunks * n;
    add(a, ks, str_format(a,
        "kernel @rows_%s_%d_%d(in %%x: f32[%d], inout %%p: f32[%d], out %%y: f32[%d])\n"
            "  regs 1 lanes\n  head n %d\n  axis k %d\n{\n"
        "  reduce sum over k vec k {\n    v0 = load.f32 %%x[%d*n + k]\n    yield v0\n  } -> r0\n"
        "  map {\n    v0 = reg.f32 0\n    store(v0) %%y[n]\n  }\n"
        "  accum %s over k vec k {\n    v0 = load.f32 %%x[%d*n + k]\n    v1 = reg.f32 0\n"
            "    v2 = mul.f32(v0, v1)\n    yield v2\n"
        "  } -> %%p[%d*n + k]\n}\n",
        kind, rows, n, rows * n, partial, rows, rows, n, n, kind, n, n));
    add(a, ks, str_format(a,
        "kernel @fold_%s_%d_%d(in %%p: f32[%d], out %%y: f32[%d])\n  regs 0\n  head h 1\n  axis k %d\n{\n"
        "  fold %s keep k vec k chunks %d %%p[k] -> %%y[k]\n}\n",
        kind, rows, n, partial, n, n, kind, chunks));
}

static void splits(const char *cpu) {
    Arena *a = test_arena();
    Kernels ks = {0};
    split(a, &ks, "sum", 5, 17);
    split(a, &ks, "sum", 100, 3);
    split(a, &ks, "max", 4100, 33);
    split(a, &ks, "min", 20000, 5);
    split(a, &ks, "sum", 1100, 1000);           /* large enough to be fetched ahead */
    compare(&ks, cpu);
}

TEST(splits_host) { splits(NULL); }
TEST(splits_haswell) { splits("haswell"); }

/* x[n, label[n]] as a sum over the row; labels of the rig lie inside and outside. */
static void label_sum(Arena *a, Kernels *ks, int rows, int n) {
    add(a, ks, str_format(a,
        "kernel @label_%d(in %%x: f32[%d], in %%l: i32[%d], out %%y: f32[%d])\n  regs 1\n  head n %d\n"
            "  axis k %d\n{\n"
        "  reduce sum over k vec k {\n    v0 = axis.i32 k\n    v1 = load.i32 %%l[n]\n"
            "    v2 = eq.bool(v0, v1)\n    v3 = load.f32 %%x[%d*n + k]\n    v4 = const.f32 0\n"
            "    v5 = select.f32(v2, v3, v4)\n    yield v5\n  } -> r0\n"
        "  map {\n    v0 = reg.f32 0\n    store(v0) %%y[n]\n  }\n}\n",
        n, rows * n, rows, rows, rows, n, n));
}

static void label_sums(const char *cpu) {
    Arena *a = test_arena();
    Kernels ks = {0};
    label_sum(a, &ks, 300, 1);
    label_sum(a, &ks, 300, 2);
    label_sum(a, &ks, 300, 40);
    label_sum(a, &ks, 20, 5000);
    compare(&ks, cpu);
}

TEST(label_sums_host) { label_sums(NULL); }
TEST(label_sums_haswell) { label_sums("haswell"); }

/* So large that its outputs go past the caches, from a reduction and from a map, and its input is fetched
 * ahead. */
TEST(large_rows_host) {
    Kernels ks = {0};
    add(test_arena(), &ks, STR(
        "kernel @large(in %x: f32[4194304], out %y: f32[4194304], out %z: f32[4194304])\n  regs 1\n"
        "  head n 1024\n  axis k 4096\n{\n"
        "  reduce sum over k vec k {\n    v0 = load.f32 %x[4096*n + k]\n    v1 = neg.f32(v0)\n"
            "    store(v1) %y[4096*n + k]\n    yield v0\n  } -> r0\n"
        "  map over k vec k {\n    v0 = load.f32 %x[4096*n + k]\n    v1 = reg.f32 0\n"
            "    v2 = mul.f32(v0, v1)\n    store(v2) %z[4096*n + k]\n  }\n}\n"));
    compare(&ks, NULL);
}
