/* Between which bounds the whole numbers of a graph lie, in one walk along the list: a position is below its extent, a
 * remainder below its divisor, a byte below 256; arithmetic moves bounds, and what could wrap is bounded by its type
 * alone. */
#include "interval.h"

static const Interval k_any = {INT64_MIN, INT64_MAX};

static Interval of_type(DType t) {
    switch (t) {
    case DT_BOOL: return (Interval){0, 1};
    case DT_U8:   return (Interval){0, UINT8_MAX};
    case DT_I32:  return (Interval){INT32_MIN, INT32_MAX};
    case DT_F32: case DT_F64: case DT_BF16: case DT_F16: case DT_I64: case DT_COUNT: return k_any;
    }
    return k_any;
}

static bool is_small(DType t) { return t == DT_I32 || t == DT_U8 || t == DT_BOOL; }

static int64_t low_of(int64_t x, int64_t y) { return x < y ? x : y; }
static int64_t high_of(int64_t x, int64_t y) { return x > y ? x : y; }
static Interval either(Interval x, Interval y) { return (Interval){low_of(x.lo, y.lo), high_of(x.hi, y.hi)}; }
static Interval below(int64_t n) { return (Interval){0, high_of(n, 1) - 1}; }     /* of nothing: any will do */
static int64_t floor_div(int64_t x, int64_t y) { return x / y - (x % y != 0 && x < 0); }        /* y > 0 */

static Interval product(Interval x, Interval y) {
    int64_t ll = x.lo * y.lo, lh = x.lo * y.hi, hl = x.hi * y.lo, hh = x.hi * y.hi;
    return (Interval){low_of(low_of(ll, lh), low_of(hl, hh)), high_of(high_of(ll, lh), high_of(hl, hh))};
}

static Interval remainder_of(Interval x, Interval y) {
    if (y.lo != y.hi || y.lo <= 0) return k_any;
    return x.lo >= 0 && x.hi < y.lo ? x : below(y.lo);
}

static Interval quotient(Interval x, Interval y) {
    return y.lo == y.hi && y.lo > 0 ? (Interval){floor_div(x.lo, y.lo), floor_div(x.hi, y.lo)} : k_any;
}

static Interval size_of(Interval x) {
    return x.lo >= 0 ? x : (Interval){x.hi < 0 ? -x.hi : 0, high_of(-x.lo, x.hi)};
}

static int64_t reduced_count(const Graph *g, const Node *n) {
    const Node *x = &g->nodes.at[g->operands.at[n->first].i];
    int64_t count = 1;
    for (uint32_t i = 0; i < n->attr.reduce.n; i++) count *= x->shape.dim[n->attr.reduce.at[i]];
    return count;
}

static Interval reduction(const Graph *g, const Node *n, Interval x) {
    ReduceKind kind = n->attr.reduce.kind;
    int64_t count = reduced_count(g, n);
    if (kind == REDUCE_ARGMAX || kind == REDUCE_ARGMIN) return below(count);
    return (kind == REDUCE_MAX || kind == REDUCE_MIN) && count > 0 ? x : k_any;
}

/* Of an i32, before it may have wrapped; x, y: of its first two operands. */
static Interval of_i32(const Graph *g, const Node *n, const Interval *known, Interval x, Interval y) {
    Interval all = x;
    switch ((int)n->op) {
    case OP_const:   return (Interval){n->attr.constant.i, n->attr.constant.i};
    case OP_iota:    return below(n->shape.dim[n->attr.axis]);
    case OP_argsort: return below(n->shape.dim[n->shape.rank - 1]);
    case OP_add:     return (Interval){x.lo + y.lo, x.hi + y.hi};
    case OP_sub:     return (Interval){x.lo - y.hi, x.hi - y.lo};
    case OP_mul:     return product(x, y);
    case OP_idiv:    return quotient(x, y);
    case OP_mod:     return remainder_of(x, y);
    case OP_neg:     return (Interval){-x.hi, -x.lo};
    case OP_abs:     return size_of(x);
    case OP_sign:    return (Interval){-1, 1};
    case OP_min:     return (Interval){low_of(x.lo, y.lo), low_of(x.hi, y.hi)};
    case OP_max:     return (Interval){high_of(x.lo, y.lo), high_of(x.hi, y.hi)};
    case OP_select:  return either(y, known[g->operands.at[n->first + 2].i]);
    case OP_cast: case OP_broadcast: case OP_reshape: case OP_permute: case OP_slice: case OP_gather: case OP_after:
        return x;
    case OP_pad:     return either(x, (Interval){n->attr.pad.value.i, n->attr.pad.value.i});
    case OP_window:  return either(x, (Interval){n->attr.window.value.i, n->attr.window.value.i});
    case OP_concat:
        for (uint32_t k = 1; k < n->n; k++) all = either(all, known[g->operands.at[n->first + k].i]);
        return all;
    case OP_reduce:  return reduction(g, n, x);
    }
    return k_any;
}

static Interval of_node(const Graph *g, const Node *n, const Interval *known) {
    Interval in[2] = {k_any, k_any}, type = of_type((DType)n->dtype);
    if (n->dtype != DT_I32) return type;
    for (uint32_t k = 0; k < n->n && k < 2; k++) {
        Val x = g->operands.at[n->first + k];
        if (is_small((DType)g->nodes.at[x.i].dtype)) in[k] = known[x.i];
        else if (op_class((Op)n->op) == CLASS_ELT) return type;       /* of numbers that nothing is known about */
    }
    Interval it = of_i32(g, n, known, in[0], in[1]);
    return it.lo >= type.lo && it.hi <= type.hi ? it : type;
}

const Interval *intervals_of(Arena *a, const Graph *g) {
    Interval *known = PUSH(a, Interval, g->nodes.n);
    for (uint32_t i = 1; i < g->nodes.n; i++) known[i] = of_node(g, &g->nodes.at[i], known);
    return known;
}
