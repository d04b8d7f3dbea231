/* The uniform program: the scalars that are computed once a step from settings and counters (semantics
 * 7).  A list of instructions over f64 in SSA; asking for an operation that is there already gives the
 * old one, and operations on constants are done at once with the very function that runs the program.
 * Programs have tens of instructions, so looking for an equal one is a walk.  Booleans are 0 and 1,
 * integers are exact up to 2^53. */
#include "plan.h"
#include "text.h"
#include <math.h>
#include <string.h>

typedef struct { const char *name; uint8_t operands; } UOpRow;
static const UOpRow uop_rows[UOP_COUNT] = {
#define X(id, text, n) [U_##id] = {text, n},
    UOP_LIST(X)
#undef X
};

Uniforms *uniforms_create(Arena *a) {
    Uniforms *u = PUSH(a, Uniforms, 1);
    u->arena = a;
    return u;
}

static double floor_mod(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static double apply(UOp op, double a, double b, double c) {
    switch (op) {
    case U_CONST: case U_INPUT: case UOP_COUNT: break;
    case U_ADD:    return a + b;
    case U_SUB:    return a - b;
    case U_MUL:    return a * b;
    case U_DIV:    return a / b;
    case U_IDIV:   return b == 0 ? 0 : rint((a - floor_mod(a, b)) / b);
    case U_MOD:    return b == 0 ? 0 : floor_mod(a, b);
    case U_NEG:    return -a;
    case U_ABS:    return fabs(a);
    case U_SIGN:   return a > 0 ? 1 : a < 0 ? -1 : a;
    case U_MIN:    return a <= b || isnan(a) ? a : b;
    case U_MAX:    return a >= b || isnan(a) ? a : b;
    case U_POW:    return pow(a, b);
    case U_SQRT:   return sqrt(a);
    case U_EXP:    return exp(a);
    case U_LOG:    return log(a);
    case U_SIN:    return sin(a);
    case U_COS:    return cos(a);
    case U_TANH:   return tanh(a);
    case U_FLOOR:  return floor(a);
    case U_RINT:   return rint(a);
    case U_TRUNC:  return trunc(a);
    case U_LT:     return a < b;
    case U_LE:     return a <= b;
    case U_EQ:     return a == b;
    case U_AND:    return a != 0 && b != 0;
    case U_OR:     return a != 0 || b != 0;
    case U_NOT:    return a == 0;
    case U_SELECT: return a != 0 ? b : c;
    }
    GR_BUG("uniform operation %d", (int)op);
}

/* Constants are equal when their bits are: -0 is not 0, and a NaN is itself. */
static bool same_inst(const UInst *x, const UInst *y) {
    return x->op == y->op && memcmp(x->in, y->in, sizeof x->in) == 0 && x->input == y->input &&
           memcmp(&x->value, &y->value, sizeof x->value) == 0;
}

static uint32_t add_inst(Uniforms *u, UInst inst) {
    for (uint32_t i = 0; i < u->insts.n; i++) {
        if (same_inst(&u->insts.at[i], &inst))
            return i;
    }
    vec_push(u->arena, &u->insts, inst);
    return u->insts.n - 1;
}

uint32_t uniforms_input(Uniforms *u, Str name, bool integer) {
    uint32_t id = 0;
    while (id < u->inputs.n && !str_eq(u->inputs.at[id].name, name))
        id++;
    if (id == u->inputs.n)
        vec_push(u->arena, &u->inputs, (UInput){str_copy(u->arena, name), integer});
    return add_inst(u, (UInst){.op = U_INPUT, .input = id});
}

uint32_t uniforms_const(Uniforms *u, double x) {
    return add_inst(u, (UInst){.op = U_CONST, .value = isnan(x) ? (double)NAN : x});
}

bool uniforms_reads_only(Arena *scratch, const Uniforms *u, uint32_t inst, const char *prefix) {
    bool *used = PUSH(scratch, bool, inst + 1);
    used[inst] = true;
    for (uint32_t i = inst + 1; i-- > 0;) {
        const UInst *x = &u->insts.at[i];
        if (used[i] && x->op == U_INPUT && !str_starts(u->inputs.at[x->input].name, prefix))
            return false;
        for (uint8_t k = 0; used[i] && k < uop_rows[x->op].operands; k++)
            used[x->in[k]] = true;
    }
    return true;
}

bool uniforms_constant(const Uniforms *u, uint32_t inst, double *value) {
    GR_ASSERT(inst < u->insts.n);
    *value = u->insts.at[inst].value;
    return u->insts.at[inst].op == U_CONST;
}

uint32_t uniforms_op(Uniforms *u, UOp op, uint32_t a, uint32_t b, uint32_t c) {
    UInst inst = {.op = (uint8_t)op};
    uint32_t given[3] = {a, b, c};
    double value[3] = {0};
    bool fold = true;
    GR_ASSERT(uop_rows[op].operands > 0);
    for (uint32_t k = 0; k < uop_rows[op].operands; k++) {
        inst.in[k] = given[k];
        fold = uniforms_constant(u, given[k], &value[k]) && fold;
    }
    return fold ? uniforms_const(u, apply(op, value[0], value[1], value[2])) : add_inst(u, inst);
}

uint32_t uniforms_output(Uniforms *u, Str name, DType t, uint32_t inst) {
    GR_ASSERT((t == DT_F32 || t == DT_I32) && inst < u->insts.n);
    for (uint32_t i = 0; i < u->outputs.n; i++) {
        if (u->outputs.at[i].inst == inst && u->outputs.at[i].dtype == t)
            return i;
    }
    vec_push(u->arena, &u->outputs, (UOutput){str_copy(u->arena, name), t, inst});
    return u->outputs.n - 1;
}

static int32_t i32_of_f64(double x) {
    return isnan(x) ? 0 : x >= INT32_MAX ? INT32_MAX : x <= INT32_MIN ? INT32_MIN : (int32_t)x;
}

void uniforms_run(const Uniforms *u, const double *inputs, double *values, UValue *outputs) {
    for (uint32_t i = 0; i < u->insts.n; i++) {
        const UInst *inst = &u->insts.at[i];
        if (inst->op == U_CONST)
            values[i] = inst->value;
        else if (inst->op == U_INPUT)
            values[i] = inputs[inst->input];
        else
            values[i] = apply(inst->op, values[inst->in[0]], values[inst->in[1]], values[inst->in[2]]);
    }
    for (uint32_t i = 0; i < u->outputs.n; i++) {
        double x = values[u->outputs.at[i].inst];
        if (u->outputs.at[i].dtype == DT_F32)
            outputs[i].f = f32_of_f64(x);
        else
            outputs[i].i = i32_of_f64(x);
    }
}

/* ---- text ---- */
void uniforms_print(const Uniforms *u, Buf *out) {
    buf_put(out, STR("uniforms {\n"));
    for (uint32_t i = 0; i < u->insts.n; i++) {
        const UInst *inst = &u->insts.at[i];
        buf_printf(out, "  u%u = %s", i, uop_rows[inst->op].name);
        if (inst->op == U_CONST) {
            buf_char(out, ' ');
            buf_real(out, inst->value);
        } else if (inst->op == U_INPUT) {
            buf_put(out, u->inputs.at[inst->input].integer ? STR(" int ") : STR(" real "));
            buf_name(out, u->inputs.at[inst->input].name);
        }
        for (uint32_t k = 0; k < uop_rows[inst->op].operands; k++)
            buf_printf(out, " u%u", inst->in[k]);
        buf_char(out, '\n');
    }
    for (uint32_t i = 0; i < u->outputs.n; i++) {
        const UOutput *o = &u->outputs.at[i];
        buf_printf(out, "  output %s ", dtype_name(o->dtype));
        buf_name(out, o->name);
        buf_printf(out, " = u%u\n", o->inst);
    }
    buf_put(out, STR("}\n"));
}

/* A reference `u7` to one of the first n instructions. */
static uint32_t parse_ref(Text *t, uint32_t n) {
    Str word = text_word(t);
    uint32_t id = 0;
    for (uint32_t i = 1; i < word.n && id < n; i++)
        id = word.s[i] >= '0' && word.s[i] <= '9' ? id * 10 + (uint32_t)(word.s[i] - '0') : n;
    if (text_ok(t) && (word.n < 2 || word.s[0] != 'u' || id >= n))
        text_fail(t, t->last, "`%.*s` is not an earlier value of the uniform program", FSTR(word));
    return id;
}

static UOp parse_op(Text *t) {
    Str word = text_word(t);
    for (uint32_t op = 0; op < UOP_COUNT; op++) {
        if (str_is(word, uop_rows[op].name))
            return (UOp)op;
    }
    if (text_ok(t))
        text_fail(t, t->last, "`%.*s` is not an operation of the uniform program", FSTR(word));
    return U_CONST;
}

static void parse_input(Uniforms *u, Text *t, UInst *inst) {
    bool integer = text_take(t, "int");
    if (!integer)
        text_want(t, "real");
    Str name = text_name(t);
    while (inst->input < u->inputs.n && !str_eq(u->inputs.at[inst->input].name, name))
        inst->input++;
    if (inst->input < u->inputs.n)
        text_fail(t, t->last, "the input `%.*s` stands here twice", FSTR(name));
    vec_push(u->arena, &u->inputs, (UInput){name, integer});
}

/* Instructions are taken as they are, unfolded, so that what is printed again has the same numbers. */
static void parse_inst(Uniforms *u, Text *t) {
    if (parse_ref(t, u->insts.n + 1) != u->insts.n)
        text_fail(t, t->last, "this should be u%u: values are numbered in order", u->insts.n);
    text_want(t, "=");
    UInst inst = {.op = (uint8_t)parse_op(t)};
    if (inst.op == U_CONST)
        inst.value = text_real(t);
    else if (inst.op == U_INPUT)
        parse_input(u, t, &inst);
    for (uint32_t k = 0; k < uop_rows[inst.op].operands; k++)
        inst.in[k] = parse_ref(t, u->insts.n);
    vec_push(u->arena, &u->insts, inst);
}

static void parse_output(Uniforms *u, Text *t) {
    DType type = text_dtype(t);
    if (type != DT_F32 && type != DT_I32)
        text_fail(t, t->last, "an output of the uniform program is f32 or i32");
    Str name = text_name(t);
    text_want(t, "=");
    vec_push(u->arena, &u->outputs, (UOutput){name, type, parse_ref(t, u->insts.n)});
}

Uniforms *uniforms_parse(Arena *a, Text *t) {
    Uniforms *u = uniforms_create(a);
    text_want(t, "uniforms");
    text_want(t, "{");
    while (text_more(t, "}")) {
        if (text_take(t, "output"))
            parse_output(u, t);
        else
            parse_inst(u, t);
    }
    return u;
}
