/* Random kernels: code generation against the interpreter.  A kernel has one head axis, a kept axis n and
 * reduced axes j, k of awkward extents; its stages load through random affine, guarded and computed
 * addresses, compute random scalar DAGs, and map, reduce or chain them along either axis.  Buffers are
 * made large enough for every address. */
#include "llvm_rig.h"
#include "test.h"
#include <string.h>

typedef struct { Arena *a; Kernel *k; uint64_t state; Stage *s; } Fuzz;
enum { HEAD, N, J, K_AXIS_ };

static uint32_t pick(Fuzz *f, uint32_t n) { return (uint32_t)(rig_random(&f->state) >> 33) % n; }

static uint32_t inst(Fuzz *f, KInst in) {
    vec_push(f->a, &f->k->insts, in);
    return f->s->n++;
}

static DType type_at(const Fuzz *f, uint32_t i) { return (DType)f->k->insts.at[f->s->first + i].type; }

/* A buffer is as long as the largest address its access reaches. */
static uint32_t access_new(Fuzz *f, KBufRole role, DType t, const int64_t *coef, int64_t base,
    int64_t index_reach) {
    int64_t reach = base + index_reach;
    KAccess a = {.base = base};
    for (uint32_t x = 0; x < f->k->axes.n; x++) {
        a.coef[x] = coef[x];
        reach += coef[x] * (f->k->axes.at[x].extent > 0 ? f->k->axes.at[x].extent - 1 : 0);
    }
    a.buf = f->k->bufs.n;
    vec_push(f->a, &f->k->bufs, (KBuf){str_format(f->a, "b%u", a.buf), role, t, reach + 1});
    vec_push(f->a, &f->k->accesses, a);
    return f->k->accesses.n - 1;
}

static uint32_t some_of(Fuzz *f, DType t) {
    for (int tries = 0; tries < 8; tries++) {
        uint32_t i = pick(f, f->s->n);
        if (type_at(f, i) == t)
            return i;
    }
    Imm imm = dtype_is_float(t) ? (Imm){.f = (double)pick(f, 9) - 4} : (Imm){.i = t == DT_BOOL ? pick(f, 2)
        : pick(f, 9)};
    return inst(f, (KInst){.kop = K_SCALAR, .op = S_const, .type = (uint8_t)t, .imm = imm});
}

static void random_coefs(Fuzz *f, int64_t *coef, bool dense) {
    static const int64_t steps[] = {0, 1, 1, 2, 5};
    int64_t stride = 1;
    memset(coef, 0, sizeof(int64_t) * MAX_AXES);
    for (uint32_t x = f->k->axes.n; x-- > 0;) {
        coef[x] = dense ? stride : steps[pick(f, 5)];
        if (pick(f, 4) == 0 && !dense)
            coef[x] = 0;
        bool runs = x == HEAD;
        for (uint32_t j = 0; j < f->s->n_axes; j++)
            runs |= f->s->axis[j] == x;
        if (!runs)
            coef[x] = 0;
        else
            stride *= f->k->axes.at[x].extent > 0 ? f->k->axes.at[x].extent : 1;
    }
}

static void add_load(Fuzz *f) {
    static const DType stored[] = {DT_F32, DT_F32, DT_F32, DT_I32, DT_F16, DT_BF16, DT_U8, DT_BOOL, DT_F64,
        DT_I64};
    DType t = stored[pick(f, 10)];
    int64_t coef[MAX_AXES];
    random_coefs(f, coef, pick(f, 2) == 0);
    bool by_index = pick(f, 4) == 0;
    uint32_t index = 0, guard = pick(f, 4) == 0 ? 1 + some_of(f, DT_BOOL) : 0;
    if (by_index) {
        uint32_t x = some_of(f, DT_I32), size = inst(f, (KInst){.kop = K_SCALAR, .op = S_const,
            .type = DT_I32, .imm.i = 37});
        index = 1 + inst(f, (KInst){.kop = K_SCALAR, .op = S_mod, .type = DT_I32, .in = {x, size}});
    }
    uint32_t access = access_new(f, KBUF_IN, t, coef, pick(f, 3), by_index ? 36 * 3 : 0);
    f->k->accesses.at[access].index = index;
    f->k->accesses.at[access].index_coef = index != 0 ? 1 + pick(f, 3) : 0;
    inst(f, (KInst){.kop = K_LOAD, .type = (uint8_t)kernel_wide(t), .in = {guard}, .access = access,
                    .imm = dtype_is_float(kernel_wide(t)) ? (Imm){.f = 2.5} : (Imm){.i = 1}});
}

static bool fits(SOp op, DType t) {
    switch (op) {
    case S_add: case S_sub: case S_mul: case S_neg: case S_abs: case S_sign: case S_min: case S_max:
        return t != DT_BOOL;
    case S_mulz: case S_div: case S_fma: case S_sqrt: case S_rint: case S_floor: return dtype_is_float(t);
    case S_idiv: case S_mod: case S_shl: case S_shr: case S_sar: return t == DT_I32 || t == DT_I64;
    case S_and: case S_or: case S_xor: case S_not: return !dtype_is_float(t);
    case S_lt: case S_le: case S_eq: case S_isnan: case S_select: case S_cast: return true;
    case S_pair: return t == DT_I32;
    case S_const: case S_arg: case S_bitcast: case SOP_COUNT: break;
    }
    return false;
}

static void add_scalar(Fuzz *f) {
    static const DType types[] = {DT_F32, DT_F32, DT_F32, DT_I32, DT_I32, DT_F64, DT_I64, DT_BOOL};
    DType t = types[pick(f, 8)], from = types[pick(f, 8)];
    SOp op = (SOp)pick(f, SOP_COUNT);
    if (!fits(op, t) || (op == S_isnan && !dtype_is_float(t)) || ((op == S_lt || op == S_le) && t == DT_BOOL))
        return;
    KInst in = {.kop = K_SCALAR, .op = (uint8_t)op, .type = (uint8_t)t};
    if (op == S_select) {
        in.in[0] = some_of(f, DT_BOOL);
        in.in[1] = some_of(f, t);
        in.in[2] = some_of(f, t);
    } else {
        for (uint32_t i = 0; i < sop_operands(op); i++)
            in.in[i] = some_of(f, op == S_cast ? from : op == S_pair ? DT_F32 : t);
    }
    if (op == S_lt || op == S_le || op == S_eq || op == S_isnan)
        in.type = DT_BOOL;
    inst(f, in);
}

static void add_inst(Fuzz *f) {
    uint32_t what = pick(f, 20);
    if (what < 5) {
        add_load(f);
    } else if (what == 5) {
        inst(f, (KInst){.kop = K_AXIS, .type = DT_I32, .imm.i = pick(f, 2) == 0 || f->s->n_axes == 0 ? HEAD
            : f->s->axis[pick(f, f->s->n_axes)]});
    } else if (what == 6) {
        inst(f, (KInst){.kop = K_UNIFORM, .type = DT_F32, .imm.i = pick(f, 8)});
    } else if (what == 7) {
        inst(f, (KInst){.kop = K_MATH, .op = (uint8_t)(pick(f, 2) == 0 ? M_exp : M_tanh), .type = DT_F32,
            .in = {some_of(f, DT_F32)}});
    } else if (what == 8) {
        uint32_t e = some_of(f, DT_I32);
        inst(f, (KInst){.kop = K_WORD, .type = DT_I32, .in = {e}, .random = {.stream = pick(f, 100),
            .seed = 1 + e}});
    } else if (what == 9) {
        inst(f, (KInst){.kop = K_CHECK, .in = {some_of(f, DT_F32), pick(f, 2) == 0 ? 0 : 1 + some_of(f,
            DT_BOOL)}, .imm.i = 1});
        /* what has no value is never an operand */
        inst(f, (KInst){.kop = K_AXIS, .type = DT_I32, .imm.i = HEAD});
    } else {
        add_scalar(f);
    }
}

static bool has_value(const Fuzz *f, uint32_t i) {
    KOp op = (KOp)f->k->insts.at[f->s->first + i].kop;
    return op != K_STORE && op != K_CHECK && op != K_FAULT;
}

static uint32_t valued(Fuzz *f, DType t) {
    uint32_t i = some_of(f, t);
    while (!has_value(f, i))
        i = some_of(f, t);
    return i;
}

/* Results and stores are dense over the head and the axes named, so that no two points write one place. */
static uint32_t result_access(Fuzz *f, DType t, uint32_t n_axes) {
    int64_t coef[MAX_AXES] = {0}, stride = 1;
    for (uint32_t j = n_axes; j-- > 0;) {
        coef[f->s->axis[j]] = stride;
        stride *= f->k->axes.at[f->s->axis[j]].extent > 0 ? f->k->axes.at[f->s->axis[j]].extent : 1;
    }
    coef[HEAD] = stride;
    return access_new(f, KBUF_OUT, t, coef, 0, 0);
}

static void add_store(Fuzz *f) {
    static const DType stored[] = {DT_F32, DT_F16, DT_BF16, DT_U8, DT_BOOL, DT_I32, DT_F64, DT_I64};
    DType t = stored[pick(f, 8)];
    uint32_t v = valued(f, kernel_wide(t)), guard = pick(f, 3) == 0 ? 1 + valued(f, DT_BOOL) : 0;
    uint32_t access = result_access(f, t, f->s->n_axes);
    inst(f, (KInst){.kop = K_STORE, .in = {v, guard}, .access = access});
}

static void begin_stage(Fuzz *f, StageKind kind, uint32_t n_keep, uint32_t n_axes, const uint8_t *axes) {
    Stage *s = PUSH(f->a, Stage, 1);     /* pushed to the kernel when complete */
    s->kind = kind;
    s->n_keep = (uint8_t)n_keep;
    s->n_axes = (uint8_t)n_axes;
    memcpy(s->axis, axes, n_axes);
    s->first = f->k->insts.n;
    s->vec = (int8_t)((int)pick(f, n_axes + 1) - 1);
    s->transpose = -1;
    f->s = s;
    inst(f, (KInst){.kop = K_AXIS, .type = DT_I32, .imm.i = HEAD});
    add_load(f);
    for (uint32_t i = 2 + pick(f, 12); i > 0; i--)
        add_inst(f);
}

static void end_stage(Fuzz *f) { vec_push(f->a, &f->k->stages, *f->s); }

static void random_map(Fuzz *f) {
    static const uint8_t orders[][3] = {{N, J, K_AXIS_}, {J, K_AXIS_, N}, {J, N, K_AXIS_}};
    begin_stage(f, STAGE_MAP, 0, 1 + pick(f, 3), orders[pick(f, 3)]);
    if (f->s->vec >= 0 && f->s->vec < f->s->n_axes - 1 && pick(f, 4) != 0)
        f->s->transpose = (int8_t)(f->s->n_axes - 1);
    for (uint32_t i = 1 + pick(f, 2); i > 0; i--)
        add_store(f);
    end_stage(f);
}

static void random_row(Fuzz *f) {
    static const uint8_t axes[] = {N, J, K_AXIS_};
    bool chain = pick(f, 4) == 0, keep = pick(f, 2) == 0;
    begin_stage(f, chain ? STAGE_CHAIN : STAGE_REDUCE, keep, keep ? 2 + pick(f, 2) : 1 + pick(f, 2), keep
        ? axes : axes + 1);
    DType t = DT_F32, result;
    if (chain) {
        f->s->yield[0] = valued(f, DT_F32);
        f->s->yield[1] = valued(f, DT_F32);
        f->s->yield[2] = pick(f, 2) == 0 ? 0 : 1 + valued(f, DT_BOOL);
    } else {
        f->s->reduce = (ReduceKind)pick(f, REDUCE_COUNT);
        if (f->s->reduce == REDUCE_ANY || f->s->reduce == REDUCE_ALL)
            t = DT_BOOL;
        else if (f->s->reduce != REDUCE_MOMENTS && pick(f, 3) == 0)
            t = DT_I32;
        f->s->yield[0] = valued(f, t);
    }
    result = chain || f->s->reduce == REDUCE_MOMENTS ? DT_F32
           : f->s->reduce == REDUCE_ARGMAX || f->s->reduce == REDUCE_ARGMIN ? DT_I32 : t;
    f->s->out[0] = 1 + result_access(f, result, keep);
    if (!chain && f->s->reduce == REDUCE_MOMENTS)
        f->s->out[1] = 1 + result_access(f, DT_F32, keep);
    end_stage(f);
}

static Kernel *random_kernel(Arena *a, uint64_t seed) {
    static const int64_t extents[] = {1, 2, 3, 7, 15, 16, 17, 31, 32, 48, 65};
    Fuzz f = {.a = a, .k = kernel_create(a, str_format(a, "fuzz%llu", (unsigned long long)seed)),
        .state = seed};
    Kernel *k = f.k;
    k->n_head = 1;
    int64_t j = extents[pick(&f, 11)], last = pick(&f, 6) == 0 ? 4097 + pick(&f, 9000) : extents[pick(&f,
        11)];
    vec_push(a, &k->axes, (KAxis){STR("h"), 1 + pick(&f, 3), -1, 0});
    vec_push(a, &k->axes, (KAxis){STR("n"), extents[pick(&f, 11)], -1, 0});
    vec_push(a, &k->axes, (KAxis){STR("j"), last > 4096 ? 1 + pick(&f, 2) : j, -1, 0});
    vec_push(a, &k->axes, (KAxis){STR("k"), last, -1, 0});
    if (pick(&f, 4) == 0) {               /* a blocked axis: the last block of the head is short */
        k->axes.at[1 + pick(&f, 3)].clip_by = HEAD;
        for (int x = 1; x < 4; x++)
            k->axes.at[x].clip_total = k->axes.at[HEAD].extent * k->axes.at[x].extent - pick(&f,
                2) * (k->axes.at[x].extent / 2);
    }
    for (uint32_t u = 0; u < 8; u++)
        vec_push(a, &k->uniforms, u);
    vec_push(a, &k->bufs, (KBuf){STR("health"), KBUF_HEALTH, DT_I32, 1});
    for (uint32_t n = 1 + pick(&f, 2); n > 0; n--) {
        if (pick(&f, 3) == 0)
            random_map(&f);
        else
            random_row(&f);
    }
    return k;
}

static void fuzz(const char *cpu, uint64_t seed, uint32_t n) {
    Arena *a = test_arena();
    const Math *m;
    Error e;
    Code *code;
    REQUIRE(math_create(a, &m, &e) == GR_OK);
    CodeOptions o = rig_options(cpu, "");
    REQUIRE(code_create(a, &o, &code, &e) == GR_OK);
    const Kernel **ks = PUSH(a, const Kernel *, n);
    uint32_t *which = PUSH(a, uint32_t, n), made = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Kernel *k = random_kernel(a, seed + i);
        which[made] = made;
        if (kernel_verify(k, &e))
            ks[made++] = k;
    }
    CHECK_MSG(made > n / 2, "only %u of %u random kernels are valid: %s", made, n, e.what);
    Plan *plan = rig_plan(a, ks, made);
    bool loaded = code_load(code, plan, ks, made, which, &e) == GR_OK;
    CHECK_MSG(loaded, "%s", e.what);
    for (uint32_t i = 0; loaded && i < made; i++) {
        ArenaMark mark = arena_mark(a);
        rig_compare(a, ks[i], m, plan, i, code_table(code), cpu == NULL ? "host" : cpu, seed + i);
        arena_pop(mark);
    }
    code_destroy(code);
}

TEST_ALL(fuzz_host) { fuzz(NULL, 1, 120); }
TEST_ALL(fuzz_haswell) { fuzz("haswell", 1001, 120); }
TEST_LONG(fuzz_more) {
    for (uint64_t round = 0; round < 20; round++)
        fuzz(round % 2 == 0 ? NULL : "haswell", 100000 + 1000 * round, 200);
}
