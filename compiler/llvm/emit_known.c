/* What is known of a value when it is emitted: constants, and what minima and maxima with constants leave.  No pass of
 * LLVM runs that would find it.  A bound holds for numbers: the value may be NaN besides, for which every ordered
 * comparison is false, as it is for what lies beyond the bound. */
#include "emit.h"
#include <float.h>
#include <math.h>

static double number(Value v) {                        /* as the float mode reads it; NaN: none */
    LLVMBool loses;
    if (v == NULL || !LLVMIsAConstantFP(v))
        return (double)NAN;
    double x = LLVMConstRealGetDouble(v, &loses);
    double least = LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMDoubleTypeKind ? DBL_MIN : (double)FLT_MIN;
    return fabs(x) < least ? 0 : x;
}

/* The least (greatest) of a constant's lanes; NaN when a lane is none. */
static double constant(Value v, bool greatest) {
    if (!LLVMIsConstant(v) || !emit_is_vector(v))
        return number(v);
    double all = number(LLVMGetAggregateElement(v, 0));
    for (unsigned l = 1; l < LANES; l++) {
        double x = number(LLVMGetAggregateElement(v, l));
        all = isnan(x) || isnan(all) ? (double)NAN : greatest == (x > all) ? x : all;
    }
    return all;
}

bool known_number(Value v, bool or_zero) {
    double least = constant(v, false), greatest = constant(v, true);
    return !isnan(least) && (or_zero || least > 0 || greatest < 0);
}

/* `b past a ? b : a`, as extremum emits it. */
static bool is_extremum(Value v, LLVMRealPredicate past, Value *a, Value *b) {
    Value c = LLVMIsASelectInst(v) ? LLVMGetOperand(v, 0) : NULL;
    if (c == NULL || !LLVMIsAFCmpInst(c) || LLVMGetFCmpPredicate(c) != past)
        return false;
    *b = LLVMGetOperand(v, 1);
    *a = LLVMGetOperand(v, 2);
    return LLVMGetOperand(c, 0) == *b && LLVMGetOperand(c, 1) == *a;
}

/* Of the two that an extremum compares, a constant b is surely one: a NaN in its place would let a through. */
static double bound(Value v, bool upper, int depth) {
    double none = upper ? (double)INFINITY : -(double)INFINITY, x = constant(v, upper);
    Value a, b;
    if (!isnan(x))
        return x;
    if (depth == 0)
        return none;
    if (is_extremum(v, upper ? LLVMRealOLT : LLVMRealOGT, &a, &b)) {
        double of_a = bound(a, upper, depth - 1), of_b = constant(b, upper);
        return isnan(of_b) || upper == (of_a < of_b) ? of_a : of_b;
    }
    if (is_extremum(v, upper ? LLVMRealOGT : LLVMRealOLT, &a, &b)) {
        double of_a = bound(a, upper, depth - 1), of_b = bound(b, upper, depth - 1);
        return upper == (of_a > of_b) ? of_a : of_b;
    }
    return none;
}

enum { DEEP = 4 };
double known_least(Value v) { return bound(v, false, DEEP); }
double known_most(Value v) { return bound(v, true, DEEP); }
