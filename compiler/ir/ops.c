/* The columns of ops.def as tables, and the two maps from an elementwise op to what computes one element of
 * it: a scalar operation (scalar.def) or a function (math.def). */
#include "ir.h"

typedef struct { const char *name; int8_t operands; uint8_t attr, cls; const char *what; } Row;
enum { N = -1 };                                  /* "any number", as ops.def writes it */
static const Row rows[OP_COUNT] = {
#define OP(name, in, attr, cls, what) [OP_##name] = {#name, in, ATTR_##attr, CLASS_##cls, what},
#include "ops.def"
#undef OP
};

const char *op_name(Op op) { return rows[op].name; }
OpClass     op_class(Op op) { return (OpClass)rows[op].cls; }
AttrKind    op_attr(Op op) { return (AttrKind)rows[op].attr; }
int         op_operands(Op op) { return rows[op].operands; }
const char *op_what(Op op) { return rows[op].what; }

bool op_parse(Str s, Op *out) {
    for (uint32_t op = 0; op < OP_COUNT; op++) {
        if (str_is(s, rows[op].name)) {
            *out = (Op)op;
            return true;
        }
    }
    return false;
}

/* 1 + the operation of the same name; every op of class ELT is in exactly one of the two tables. */
#define SAME(name) [OP_##name] = 1 + S_##name
static const uint8_t scalar_of[OP_COUNT] = {
    SAME(add), SAME(sub), SAME(mul), SAME(mulz), SAME(div), SAME(idiv), SAME(mod), SAME(neg), SAME(abs), SAME(sign),
    SAME(min), SAME(max), SAME(sqrt), SAME(rint), SAME(floor), SAME(lt), SAME(le), SAME(eq), SAME(isnan), SAME(and),
    SAME(or), SAME(not), SAME(select), SAME(cast),
};
#undef SAME
#define SAME(name) [OP_##name] = 1 + M_##name
static const uint8_t math_of[OP_COUNT] = {
    SAME(exp), SAME(expm1), SAME(log), SAME(log1p), SAME(sin), SAME(cos), SAME(tanh), SAME(sigmoid), SAME(erf),
    SAME(erfc), SAME(pow), SAME(atan2),
};
#undef SAME

bool op_scalar(Op op, SOp *out) {
    if (scalar_of[op] == 0) {
        return false;
    }
    *out = (SOp)(scalar_of[op] - 1);
    return true;
}

bool op_math(Op op, MathFn *out) {
    if (math_of[op] == 0) {
        return false;
    }
    *out = (MathFn)(math_of[op] - 1);
    return true;
}
