/* docs/ops.md is the op table with what becomes of every op: delete the file and run this test to have it written anew.
 * Nothing about an op is claimed here; there is an example of its use, one for each kind where an op has several, and
 * the columns are what the compiler does with it: which element types the verifier lets through, which operands the
 * gradient comes to, whether what this gives can be differentiated again, which kernels the planner makes, and which
 * elementwise neighbours are computed in them. */
#include "fuse.h"
#include "grad.h"
#include "test.h"
#include <string.h>
#include <unistd.h>

/* `text`: nodes that stand behind six others, the last of them the result.  $A and $B are x and y or what is computed
 * of them, $T is their element type, $P that of sums of their products. */
typedef struct { Op op; const char *kind, *text; } Example;
#define UNARY(op)      {OP_##op, "", "%7: $T[64,256] = " #op " $A\n"}
#define BINARY(op)     {OP_##op, "", "%7: $T[64,256] = " #op " $A, $B\n"}
#define TRUTH(op)      {OP_##op, "", "%7: bool[64,256] = " #op " $A, $B\n"}
#define REDUCED(kind)  {OP_reduce, #kind, "%7: $T[64] = reduce $A {kind=" #kind ", axes=[1]}\n"}
#define PLACE(kind)    {OP_reduce, #kind, "%7: i32[64] = reduce $A {kind=" #kind ", axes=[1]}\n"}
#define RUNNING(kind)  {OP_cumulative, #kind, "%7: $T[64,256] = cumulative $A {kind=" #kind "}\n"}
#define DRAWN(kind, type)                                                                                            \
    {OP_random, #kind, "%7: i32[] = const {value=1}\n"                                                               \
                       "%8: " type "[64,256] = random %7, %7, %7, %7 {kind=" #kind ", stream=9}\n"}
static const Example examples[] = {
    {OP_arg, "", "%7: $T[64,256] = arg {column=x}\n"},
    {OP_const, "", "%7: $T[] = const {value=1}\n"},
    {OP_iota, "", "%7: i32[64,256] = iota {axis=1}\n"},
    DRAWN(uniform, "f32"), DRAWN(normal, "f32"), DRAWN(word, "i32"),
    BINARY(add), BINARY(sub), BINARY(mul), BINARY(mulz), BINARY(div), BINARY(idiv), BINARY(mod), UNARY(neg), UNARY(abs),
    UNARY(sign), BINARY(min), BINARY(max), UNARY(sqrt), UNARY(rint), UNARY(floor), UNARY(exp), UNARY(expm1), UNARY(log),
    UNARY(log1p), UNARY(sin), UNARY(cos), UNARY(tanh), UNARY(sigmoid), UNARY(erf), UNARY(erfc), BINARY(pow),
    BINARY(atan2), TRUTH(lt), TRUTH(le), TRUTH(eq), {OP_isnan, "", "%7: bool[64,256] = isnan $A\n"}, BINARY(and),
    BINARY(or), UNARY(not), {OP_select, "", "%7: $T[64,256] = select %4, $A, $B\n"},
    {OP_cast, "to f32", "%7: f32[64,256] = cast $A\n"}, {OP_cast, "to i32", "%7: i32[64,256] = cast $A\n"},
    {OP_broadcast, "", "%7: $T[8,64,256] = broadcast $A {at=[1,2]}\n"},
    {OP_reshape, "", "%7: $T[16384] = reshape $A\n"},
    {OP_permute, "", "%7: $T[256,64] = permute $A {at=[1,0]}\n"},
    {OP_slice, "", "%7: $T[32,256] = slice $A {lo=[1,0], step=[2,1]}\n"},
    {OP_pad, "", "%7: $T[64,258] = pad $A {lo=[0,1], hi=[0,1], value=0}\n"},
    {OP_concat, "", "%7: $T[64,512] = concat $A, $B {axis=1}\n"},
    {OP_window, "", "%7: $T[64,254,3] = window $A {axis=1, stride=1, dilation=1, pad=0, value=0}\n"},
    {OP_gather, "", "%7: $T[64,256] = gather $A, %3 {batch=0, extent=64}\n"},
    {OP_after, "", "%7: $T[64,256] = after $A, $B\n"},
    {OP_scatter_add, "", "%7: $T[64,256] = scatter_add $A, %3 {batch=0, extent=64}\n"},
    REDUCED(sum), REDUCED(prod),
    {OP_reduce, "prod, long", "%7: $T[16384] = reshape $A\n%8: $T[] = reduce %7 {kind=prod, axes=[0]}\n"},
    REDUCED(max), REDUCED(min), REDUCED(any), REDUCED(all), PLACE(argmax), PLACE(argmin),
    {OP_reduce, "moments", "%7: $T[64] = reduce $A {kind=moments, axes=[1]}\n%8: $T[64] = result %7 {index=1}\n"},
    {OP_contract, "", "%7: $P[64,64] = contract $A, $B {A=[n,k], B=[m,k], C=[n,m], over=[k]}\n"},
    RUNNING(sum), RUNNING(prod), RUNNING(max), RUNNING(min), BINARY(recur),
    {OP_argsort, "", "%7: i32[64,256] = argsort $A\n"},
    {OP_scan, "", "%7: $T[256] = scan %6, $A {carries=1, sequences=1, collected=1, length=64, reverse=false}\n"
                  "graph f.scan {\n%1: $T[64,256] = arg {body=0}\n%2: $T[256] = arg {body=1}\n"
                  "%3: $T[64,256] = broadcast %2 {at=[1]}\n%4: $T[64,256] = mul %1, %3\n"
                  "output value = %4\noutput value = %2\n}\n%8: $T[64,256] = result %7 {index=0}\n"},
    {OP_extern, "", "%7: $T[64,256] = extern $A {library=lib.so, symbol=f, batch=1, extents=[256], "
                    "results=[$T[64,256]], gradient=f_back}\n%8: $T[64,256] = result %7 {index=0}\n"},
    {OP_result, "", "%7: $T[64] = reduce $A {kind=moments, axes=[1]}\n%8: $T[64] = result %7 {index=0}\n"},
    {OP_grad, "", "%7: $T[64,256] = mul $A, $A\n%8: $T[] = reduce %7 {kind=sum, axes=[0,1]}\n"
                  "%9: $T[64,256] = grad %8, $A\n%10: $T[64,256] = result %9 {index=0}\n"},
    {OP_grad_as, "", "%7: $T[64,256] = grad_as $A, $B\n"},
    {OP_check, "", "%7: $T[64,256] = check $A {name=x}\n"},
    {OP_commit, "", "%7: $T[64,256] = commit $A {var=v}\n"},
};
enum { EXAMPLES = sizeof examples / sizeof *examples, OPERANDS = 8 };

/* ---- a program with an example ---- */
typedef struct { Module *m; Graph *g; Diags *ds; Val result; } Tried;

/* What makes new elements of a type: the neighbour of an op on each side. */
static const char *neighbour(DType t) {
    return t == DT_BOOL ? "not" : t == DT_F32 || t == DT_F64 || t == DT_I32 || t == DT_I64 ? "neg" : "cast";
}

static void put_example(Buf *out, const Example *x, DType t, bool before) {
    for (const char *s = x->text; *s; s++) {
        if (*s != '$') buf_char(out, *s);
        else if (*++s == 'A') buf_printf(out, before ? "%%5" : "%%1");
        else if (*s == 'B') buf_printf(out, before ? "%%6" : "%%2");
        else buf_printf(out, "%s", dtype_name(*s == 'T' ? t : t == DT_F64 ? DT_F64 : DT_F32));
    }
}

static bool is_effect(const Example *x) { return op_class(x->op) == CLASS_EFFECT; }

/* NULL in `m` when the verifier does not let it through. */
static Tried try_example(const Example *x, DType t, bool before) {
    Arena *a = test_arena();
    Buf text = buf_make(a);
    const char *name = dtype_name(t);
    buf_printf(&text, "var state v: %s[64,256]\ngraph f {\ncolumn x: %s[64,256]\n", name, name);
    buf_printf(&text, "column y: %s[64,256]\n", name);
    buf_printf(&text, "column i: i32[64]\ncolumn c: bool[64,256]\n%%1: %s[64,256] = arg {column=x}\n", name);
    buf_printf(&text, "%%2: %s[64,256] = arg {column=y}\n%%3: i32[64] = arg {column=i}\n", name);
    buf_printf(&text, "%%4: bool[64,256] = arg {column=c}\n%%5: %s[64,256] = %s %%1\n", name, neighbour(t));
    buf_printf(&text, "%%6: %s[64,256] = %s %%2\n", name, neighbour(t));
    put_example(&text, x, t, before);
    uint32_t last = 7;
    while (strstr(x->text, str_format(a, "%%%u:", last + 1).s)) last++;
    if (!is_effect(x)) buf_printf(&text, "output value r = %%%u\n", last);
    buf_printf(&text, "}\n");
    SourceSet *sources = sources_create(a);
    Tried tried = {.ds = diags_create(a, sources)};
    const Math *math;
    Error e = {0};
    REQUIRE(math_create(a, &math, &e) == GR_OK);
    tried.m = module_parse(a, sources_add(sources, STR("example"), buf_str(&text)), sources, math, tried.ds);
    if (!tried.m) return tried;
    tried.g = tried.m->graphs.at[0];
    if (!is_effect(x)) tried.result = tried.g->outputs.at[0].val;
    return tried;
}

/* ---- element types ---- */
static bool takes(const Example *x, DType t) { return try_example(x, t, false).m != NULL; }

static Str types_column(const Example *x) {
    Buf out = buf_make(test_arena());
    if (!strchr(x->text, '$')) {
        Tried tried = try_example(x, DT_F32, false);
        REQUIRE(tried.m);
        return str_of(dtype_name(type_of(tried.g, tried.result).dtype));
    }
    uint32_t n = 0;
    for (uint32_t t = 0; t < DT_COUNT; t++)
        if (takes(x, (DType)t)) buf_printf(&out, n++ ? " %s" : "%s", dtype_name((DType)t));
    return n == DT_COUNT ? STR("any") : buf_str(&out);
}

/* f32, or the first type that it takes. */
static DType usual_type(const Example *x) {
    for (uint32_t t = 0; t < DT_COUNT; t++)
        if (takes(x, (DType)t)) return (DType)t;
    CHECK_MSG(false, "the example of %s %s is not let through", op_name(x->op), x->kind);
    return DT_F32;
}

/* ---- gradients ---- */
static Val sum_of_squares(Build *b, Val x) {
    uint8_t axes[MAX_RANK];
    for (uint8_t i = 0; i < MAX_RANK; i++) axes[i] = i;
    return build_reduce(b, REDUCE_SUM, build_2(b, OP_mul, x, x), type_of(b->g, x).shape.rank, axes);
}

static bool is_zero(const Graph *g, Val v) {
    while (node_of(g, v)->op == OP_broadcast) v = operand(g, v, 0);
    return node_of(g, v)->op == OP_const && node_of(g, v)->attr.constant.f == 0;
}

/* The node that the example is of. */
static Val example_node(const Graph *g, Op op) {
    Val v = {0};
    for (uint32_t i = 7; i < g->nodes.n; i++)
        if (g->nodes.at[i].op == op) v.i = i;
    return v;
}

/* By operand that is x, y or made of y: does the gradient come to it?  real: there is an operand and a result that
 * could have one. */
typedef struct { bool real, refused, reached[OPERANDS]; uint32_t n, slot[OPERANDS]; Val in[OPERANDS]; } Flows;

static void find_operands(const Tried *tried, Val node, Flows *f) {
    uint32_t n = node_of(tried->g, node)->n;
    for (uint32_t k = 0; k < n && k < OPERANDS; k++) {
        Val v = operand(tried->g, node, k);
        if (v.i != 1 && v.i != 2 && v.i != 6) continue;
        f->in[f->n] = v;
        f->slot[f->n++] = k;
    }
    if (f->n > 0 || n == 0) return;
    f->in[f->n++] = (Val){1};                            /* a member of a tuple: x is behind that */
}

/* `again`: of the gradient of the sum of squares of the gradient. */
static Flows gradient(const Example *x, bool again) {
    Tried tried = try_example(x, DT_F32, false);
    Flows f = {0};
    if (!tried.m || is_effect(x) || !strchr(x->text, '$') || type_of(tried.g, tried.result).dtype != DT_F32) return f;
    find_operands(&tried, example_node(tried.g, x->op), &f);
    f.real = f.n > 0;
    if (!f.real) return f;
    Build b = {tried.g, {0, 0}, 0};
    Val grad = build_grad(&b, sum_of_squares(&b, tried.result), f.n, f.in);
    if (again) {
        Val s = {0};
        for (uint32_t i = 0; i < f.n; i++) {
            Val part = sum_of_squares(&b, build_result(&b, grad, i));
            s = s.i ? build_2(&b, OP_add, s, part) : part;
        }
        grad = build_grad(&b, s, f.n, f.in);
    }
    tried.g->outputs.n = 0;
    for (uint32_t i = 0; i < f.n; i++) graph_output(tried.g, OUT_VALUE, 0, build_result(&b, grad, i));
    Graph *g = grad_expand(test_arena(), tried.g, tried.ds);
    f.refused = g == NULL;
    if (!g) return f;
    CHECK_MSG(graph_verify(g, tried.ds), "the gradient of %s %s is not a valid graph", op_name(x->op), x->kind);
    for (uint32_t i = 0; i < f.n; i++) f.reached[f.slot[i]] = !is_zero(g, g->outputs.at[i].val);
    return f;
}

static Str gradient_column(const Example *x) {
    Flows f = gradient(x, false);
    if (!f.real) return STR("none");
    if (f.refused) return STR("refused");
    Buf out = buf_make(test_arena());
    for (uint32_t k = 0; k < OPERANDS; k++)
        if (f.reached[k]) buf_printf(&out, out.n ? " %c" : "%c", 'a' + (int)k);
    return out.n ? buf_str(&out) : STR("zero");
}

static Str second_column(const Example *x) {
    Flows f = gradient(x, false);
    bool any = false;
    for (uint32_t k = 0; k < OPERANDS; k++) any |= f.reached[k];
    return !any ? STR("-") : gradient(x, true).refused ? STR("refused") : STR("yes");
}

/* ---- kernels ---- */
static bool plan(const Tried *tried, Planned *p) {
    FuseOptions o = {.fused = true, .threads = 2, .cpu = "avx512"};
    Error e = {0};
    if (fuse_module(test_arena(), tried->m, &o, p, &e) != GR_OK) {
        CHECK_INT(e.status, GR_UNSUPPORTED);
        return false;
    }
    for (uint32_t i = 0; i < p->kernels.n; i++) CHECK_MSG(kernel_verify(p->kernels.at[i], &e), "%s", e.what);
    CHECK_MSG(plan_verify(p->plan, &e), "%s", e.what);
    return true;
}

/* `rows` of `f.fused.rows0_y` */
static Str kind_of_kernel(const Kernel *k) {
    Str s = k->name;
    uint32_t from = s.n, to;
    while (from > 0 && s.s[from - 1] != '.') from--;
    for (to = from; to < s.n && !(s.s[to] >= '0' && s.s[to] <= '9'); to++) {}
    return (Str){s.s + from, to - from};
}

static void put_once(Buf *out, Str word) {
    Str known = buf_str(out);
    for (uint32_t i = 0; i + word.n <= known.n; i++)
        if (memcmp(known.s + i, word.s, word.n) == 0) return;
    buf_printf(out, out->n ? ", %.*s" : "%.*s", FSTR(word));
}

static Str kernel_column(const Example *x) {
    Tried tried = try_example(x, usual_type(x), false);
    Planned p = {0};
    if (!plan(&tried, &p)) return STR("none");
    Buf out = buf_make(test_arena());
    for (uint32_t i = 0; i < p.plan->steps.n; i++) {
        const PlanStep *step = &p.plan->steps.at[i];
        if (step->kind == STEP_LAUNCH) put_once(&out, kind_of_kernel(p.kernels.at[step->kernel]));
        if (step->kind == STEP_EXTERN) put_once(&out, STR("the function"));
        if (step->kind != STEP_LOOP) continue;
        put_once(&out, STR("loop"));
        i += step->count;                                /* its body is no kernel of the op */
    }
    return buf_str(&out);
}

static bool joins(const Example *x, bool before) {
    DType t = usual_type(x);
    Tried alone = try_example(x, t, false), with = try_example(x, t, before);
    Planned p = {0}, q = {0};
    if (!before) {
        Build b = {with.g, {0, 0}, 0};
        Op op;
        REQUIRE(op_parse(str_of(neighbour(type_of(with.g, with.result).dtype)), &op));
        with.g->outputs.at[0].val = build_1(&b, op, with.result);
    }
    return plan(&alone, &p) && plan(&with, &q) && q.plan->steps.n <= p.plan->steps.n;
}

static Str neighbours_column(const Example *x) {
    Tried alone = try_example(x, usual_type(x), false);
    Planned p = {0};
    if (!plan(&alone, &p)) return STR("-");
    bool before = strstr(x->text, "$A") && joins(x, true), after = !is_effect(x) && joins(x, false);
    return before && after ? STR("both") : before ? STR("before") : after ? STR("behind") : STR("neither");
}

/* ---- the page ---- */
static const char intro[] =
    "# Ops of the graph IR\n\n"
    "Made by `graphc-tests ops.docs_list_the_ops` from `compiler/ir/ops.def` and from what the compiler does with an\n"
    "example of each op (`tests/ops_test.c`), a row for each kind where an op has several. Attributes:\n"
    "[ir.md](ir.md).\n\n"
    "- **types**: element types of the operands that the verifier lets through; without operands, of the result.\n"
    "- **gradient**: the operands, `a` the first, that a gradient in f32 comes to. `zero`: there is one, which is 0\n"
    "  everywhere. `none`: the result or the operands cannot have one. `refused`: a message at its place in the\n"
    "  program.\n"
    "- **second**: is there a gradient of this gradient?\n"
    "- **kernel**: the kinds of kernels that a plan has for the op by itself; `none` where no pass before leaves one.\n"
    "- **shares**: does an elementwise op `before` it or `behind` it, or on `both` sides, run in these kernels?\n"
    "- **what**: its meaning; `c1`, `c2` .. are the constraints that the verifier cites.\n";

static void put_rows(Buf *out, Op op) {
    bool first = true;
    for (uint32_t i = 0; i < EXAMPLES; i++) {
        const Example *x = &examples[i];
        if (x->op != op) continue;
        int n = op_operands(op);
        const char *operands = n < 0 ? "any" : str_format(test_arena(), "%d", n).s;
        buf_printf(out, "| %s%s%s | %s | %.*s | %.*s | %.*s | %.*s | %.*s | %s |\n", op_name(op), *x->kind ? " " : "",
                   x->kind, operands, FSTR(types_column(x)), FSTR(gradient_column(x)), FSTR(second_column(x)),
                   FSTR(kernel_column(x)), FSTR(neighbours_column(x)), first ? op_what(op) : "");
        first = false;
    }
    CHECK_MSG(!first, "%s has no example in ops_test.c", op_name(op));
}

static Str ops_page(void) {
    static const char *const classes[] = {
        [CLASS_LEAF] = "Leaves", [CLASS_ELT] = "Elementwise", [CLASS_VIEW] = "Moving elements",
        [CLASS_SUM] = "Sums", [CLASS_ORDER] = "Along an axis", [CLASS_CONTROL] = "Control", [CLASS_EFFECT] = "Effects"};
    Buf out = buf_make(test_arena());
    buf_put(&out, str_of(intro));
    for (uint32_t c = CLASS_LEAF; c <= CLASS_EFFECT; c++) {
        buf_printf(&out, "\n## %s\n\n| op | operands | types | gradient | second | kernel | shares | what |\n"
                         "|---|---|---|---|---|---|---|---|\n", classes[c]);
        for (uint32_t op = 0; op < OP_COUNT; op++)
            if (op_class((Op)op) == (OpClass)c) put_rows(&out, (Op)op);
    }
    return buf_str(&out);
}

TEST(docs_list_the_ops) {
    Str path = str_format(test_arena(), "%.*s/docs/ops.md", FSTR(test_root())), page = ops_page();
    if (access(path.s, R_OK) != 0) {
        test_write(path, page);
        CHECK_MSG(false, "docs/ops.md was missing and is written now");
    }
    CHECK_STR(test_read(path), page.s);
}
