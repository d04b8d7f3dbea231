/* The verifier: the numbered constraints of ops.def, one function a family of ops, and the invariants of a graph as a
 * whole.  What every node obeys, whatever its op:
 *   node c1  operands are earlier nodes          node c2  as many operands as the op takes
 *   node c3  extents from 0, fewer than 2^40 elements
 *   node c4  a tuple is used by `result` alone   node c5  an effect is used by nothing */
#include "ir_parts.h"
#include "native.h"

typedef struct { const Graph *g; const Node *n; Buf *why; } Check;

static bool broken(Check *c, const char *rule, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool broken(Check *c, const char *rule, const char *fmt, ...) {
    const char *subject = rule[0] == 'n' ? "node" : op_name((Op)c->n->op);
    buf_printf(c->why, "%s %s: ", subject, rule[0] == 'n' ? rule + 1 : rule);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(c->why, fmt, ap);
    va_end(ap);
    return false;
}

static Val in_val(const Check *c, uint32_t k) { return c->g->operands.at[c->n->first + k]; }
static const Node *in(const Check *c, uint32_t k) { return &c->g->nodes.at[in_val(c, k).i]; }

static const char *text_of_type(const Check *c, DType t, Shape s) {
    Buf b = buf_make(c->why->arena);
    buf_printf(&b, "%s", dtype_name(t));
    buf_shape(&b, s);
    return b.s;
}
static const char *text_of(const Check *c, const Node *n) { return text_of_type(c, (DType)n->dtype, n->shape); }

static bool has_type(Check *c, const char *rule, DType t, Shape s) {
    if (c->n->dtype == t && shape_eq(c->n->shape, s)) {
        return true;
    }
    return broken(c, rule, "the result is %s where the rule gives %s", text_of(c, c->n), text_of_type(c, t, s));
}

/* ---- leaves ---- */
static bool check_arg(Check *c) {
    const Module *m = c->g->module;
    uint32_t id = c->n->attr.arg.id;
    switch (c->n->attr.arg.kind) {
    case ARG_VAR:
        return id >= m->vars.n ? broken(c, "c1", "there is no variable %u", id)
                               : has_type(c, "c2", m->vars.at[id].dtype, m->vars.at[id].shape);
    case ARG_COLUMN:
        return id >= c->g->columns.n ? broken(c, "c1", "there is no column %u", id)
                                     : has_type(c, "c2", c->g->columns.at[id].dtype, c->g->columns.at[id].shape);
    case ARG_UNIFORM:
        return id >= m->uniforms->outputs.n ? broken(c, "c1", "there is no uniform %u", id)
                                            : has_type(c, "c2", m->uniforms->outputs.at[id].dtype, (Shape){0});
    case ARG_BODY:
        return true;                              /* its type is declared by the scan: scan c1 */
    }
    return broken(c, "c1", "argument of no kind");
}

static bool check_random(Check *c) {
    for (uint32_t k = 0; k < 4; k++) {
        if (in(c, k)->dtype != DT_I32 || in(c, k)->shape.rank != 0) {
            return broken(c, "c1", "operand %u is %s, not i32[]", k, text_of(c, in(c, k)));
        }
    }
    DType t = c->n->attr.random.kind == RANDOM_WORD ? DT_I32 : DT_F32;
    return c->n->dtype == t ||
           broken(c, "c2", "%s are %s, not %s", t == DT_I32 ? "words" : "uniform and normal numbers",
                  dtype_name(t), dtype_name((DType)c->n->dtype));
}

/* ---- elementwise ---- */
static bool is_real(DType t) { return t == DT_F32 || t == DT_F64; }
static bool is_int(DType t) { return t == DT_I32 || t == DT_I64; }

/* Which operand types an elementwise op computes on; narrow types are cast first. */
static const char *fault_of_dtype(Op op, DType t) {
    MathFn fn;
    if (op_math(op, &fn)) {
        return is_real(t) ? NULL : "f32 or f64";
    }
    switch ((int)op) {
    case OP_div: case OP_mulz: case OP_sqrt: case OP_rint: case OP_floor: case OP_isnan:
        return is_real(t) ? NULL : "f32 or f64";
    case OP_idiv: case OP_mod:
        return is_int(t) ? NULL : "i32 or i64";
    case OP_and: case OP_or: case OP_not:
        return t == DT_BOOL ? NULL : "bool";
    case OP_lt: case OP_le: case OP_eq:
        return is_real(t) || is_int(t) || t == DT_U8 || t == DT_BOOL ? NULL : "f32, f64, i32, i64, u8 or bool";
    case OP_select: case OP_cast:
        return NULL;
    }
    return is_real(t) || is_int(t) ? NULL : "f32, f64, i32 or i64";
}

static bool check_elt(Check *c) {
    Op op = (Op)c->n->op;
    for (uint32_t k = 0; k < c->n->n; k++) {
        if (!shape_eq(in(c, k)->shape, c->n->shape)) {
            return broken(c, "c1", "operand %u is %s, the result %s", k, text_of(c, in(c, k)), text_of(c, c->n));
        }
    }
    if (op == OP_cast) {
        return true;
    }
    if (op == OP_select && in(c, 0)->dtype != DT_BOOL) {
        return broken(c, "c3", "the condition is %s, not bool", text_of(c, in(c, 0)));
    }
    uint32_t first = op == OP_select ? 1 : 0;
    DType t = (DType)in(c, first)->dtype;
    for (uint32_t k = first + 1; k < c->n->n; k++) {
        if (in(c, k)->dtype != t) {
            return broken(c, "c2", "operands are %s and %s", text_of(c, in(c, first)), text_of(c, in(c, k)));
        }
    }
    const char *fault = fault_of_dtype(op, t);
    if (fault != NULL) {
        return broken(c, "c4", "computes on %s, not on %s", fault, dtype_name(t));
    }
    bool truth = op == OP_lt || op == OP_le || op == OP_eq || op == OP_isnan;
    return has_type(c, "c2", truth ? DT_BOOL : t, c->n->shape);
}

/* ---- views ---- */
static bool same_dtype(Check *c, const char *rule) {
    return c->n->dtype == in(c, 0)->dtype
        || broken(c, rule, "the result is %s, the operand %s", text_of(c, c->n), text_of(c, in(c, 0)));
}

static bool check_broadcast(Check *c) {
    Shape from = in(c, 0)->shape, to = c->n->shape;
    const Attr *a = &c->n->attr;
    if (a->axes.n != from.rank) {
        return broken(c, "c1", "%u axes are named, the operand has %u", a->axes.n, from.rank);
    }
    for (uint32_t i = 0; i < from.rank; i++) {
        uint32_t at = a->axes.at[i];
        if (at >= to.rank || (i > 0 && at <= a->axes.at[i - 1])) {
            return broken(c, "c1", "axis %u goes to %u: axes must increase and be smaller than %u", i, at, to.rank);
        }
        if (from.dim[i] != to.dim[at]) {
            return broken(c, "c2", "axis %u of %lld becomes axis %u of %lld", i, (long long)from.dim[i], at,
                          (long long)to.dim[at]);
        }
    }
    return same_dtype(c, "c2");
}

static bool check_reshape(Check *c) {
    if (shape_count(in(c, 0)->shape) != shape_count(c->n->shape)) {
        return broken(c, "c1", "%s has another number of elements than %s", text_of(c, in(c, 0)), text_of(c, c->n));
    }
    return same_dtype(c, "c1");
}

static bool check_permute(Check *c) {
    Shape from = in(c, 0)->shape;
    Shape to = {.rank = from.rank};
    uint32_t seen = 0;
    const Attr *a = &c->n->attr;
    if (a->axes.n != from.rank) {
        return broken(c, "c1", "%u axes are named, the operand has %u", a->axes.n, from.rank);
    }
    for (uint32_t i = 0; i < from.rank; i++) {
        uint32_t at = a->axes.at[i];
        if (at >= from.rank || (seen >> at & 1) != 0) {
            return broken(c, "c1", "axis %u is not there or stands twice", at);
        }
        seen |= 1u << at;
        to.dim[i] = from.dim[at];
    }
    return has_type(c, "c1", (DType)in(c, 0)->dtype, to);
}

static bool check_slice(Check *c) {
    Shape from = in(c, 0)->shape, to = c->n->shape;
    if (from.rank != to.rank) {
        return broken(c, "c1", "%s of %s changes the rank", text_of(c, c->n), text_of(c, in(c, 0)));
    }
    for (uint32_t i = 0; i < to.rank; i++) {
        int64_t lo = c->n->attr.slice.lo[i], step = c->n->attr.slice.step[i], last;
        if (to.dim[i] == 0) {
            continue;
        }
        if (__builtin_mul_overflow(to.dim[i] - 1, step, &last) || __builtin_add_overflow(last, lo, &last) || lo < 0
            || lo >= from.dim[i] || last < 0 || last >= from.dim[i]) {
            return broken(c, "c1", "axis %u: %lld elements from %lld by %lld leave an extent of %lld", i,
                          (long long)to.dim[i], (long long)lo, (long long)step, (long long)from.dim[i]);
        }
    }
    return same_dtype(c, "c1");
}

static bool check_pad(Check *c) {
    Shape from = in(c, 0)->shape, to = c->n->shape;
    if (from.rank != to.rank) {
        return broken(c, "c1", "%s of %s changes the rank", text_of(c, c->n), text_of(c, in(c, 0)));
    }
    for (uint32_t i = 0; i < to.rank; i++) {
        int64_t lo = c->n->attr.pad.lo[i], hi = c->n->attr.pad.hi[i];
        if (lo < 0 || hi < 0 || lo > to.dim[i] || hi > to.dim[i] - lo || from.dim[i] != to.dim[i] - lo - hi) {
            return broken(c, "c1", "axis %u: %lld + %lld + %lld is not %lld", i, (long long)lo, (long long)from.dim[i],
                          (long long)hi, (long long)to.dim[i]);
        }
    }
    return same_dtype(c, "c1");
}

/* Is by*(n - 1) an i32, and added to *lo or *hi still one? */
static bool reach(int64_t by, int64_t n, int64_t *lo, int64_t *hi) {
    int64_t far;
    if (n == 0) {
        return true;
    }
    if (__builtin_mul_overflow(by, n - 1, &far) || far < INT32_MIN || far > INT32_MAX) {
        return false;
    }
    *(far < 0 ? lo : hi) += far;
    return *lo >= INT32_MIN && *hi <= INT32_MAX;
}

static bool check_window(Check *c) {
    Shape from = in(c, 0)->shape, to = c->n->shape;
    uint32_t axis = c->n->attr.window.axis;
    bool same = to.rank == from.rank + 1 && axis < from.rank;
    for (uint32_t i = 0; same && i < from.rank; i++) {
        same = i == axis || from.dim[i] == to.dim[i < axis ? i : i + 1];
    }
    if (!same) {
        return broken(c, "c1", "%s of %s", text_of(c, c->n), text_of(c, in(c, 0)));
    }
    int64_t pad = c->n->attr.window.pad;
    bool fits = c->n->attr.window.stride >= 1 && pad >= -INT32_MAX && pad <= INT32_MAX;
    int64_t lo = fits ? -pad : 0, hi = lo;
    if (!fits || !reach(c->n->attr.window.stride, to.dim[axis], &lo, &hi)
        || !reach(c->n->attr.window.dilation, to.dim[axis + 1], &lo, &hi)) {
        return broken(c, "c2", "a stride below 1 or positions outside of i32");
    }
    return same_dtype(c, "c1");
}

static bool check_concat(Check *c) {
    uint32_t axis = c->n->attr.axis;
    Shape to = c->n->shape;
    if (c->n->n == 0 || axis >= to.rank) {
        return broken(c, "c1", "needs operands and an axis below %u", to.rank);
    }
    int64_t sum = 0;
    for (uint32_t k = 0; k < c->n->n; k++) {
        Shape s = in(c, k)->shape, like = to;
        if (s.rank != to.rank) {
            return broken(c, "c1", "operand %u is %s in %s", k, text_of(c, in(c, k)), text_of(c, c->n));
        }
        like.dim[axis] = s.dim[axis];
        if (!shape_eq(s, like) || in(c, k)->dtype != c->n->dtype) {
            return broken(c, "c1", "operand %u is %s in %s", k, text_of(c, in(c, k)), text_of(c, c->n));
        }
        sum += s.dim[axis];
    }
    return sum == to.dim[axis]
        || broken(c, "c1", "the operands add up to %lld, not %lld", (long long)sum, (long long)to.dim[axis]);
}

/* `whole` is indexed along axis `batch`, `parts` is what the indices pick: one rule for gather and
 * scatter_add. */
static bool check_picks(Check *c, const Node *whole, const Node *parts) {
    const Node *index = in(c, 1);
    uint32_t batch = c->n->attr.gather.batch, rank = index->shape.rank;
    if (index->dtype != DT_I32) {
        return broken(c, "c2", "indices are %s, not i32", text_of(c, index));
    }
    if (batch > rank || batch >= whole->shape.rank || parts->shape.rank != rank + whole->shape.rank - batch - 1) {
        return broken(c, "c1", "%u batch axes do not fit %s, %s, %s", batch, text_of(c, whole), text_of(c, index),
                      text_of(c, parts));
    }
    bool fit = whole->dtype == parts->dtype && whole->shape.dim[batch] == c->n->attr.gather.extent;
    for (uint32_t i = 0; i < rank; i++) {
        int64_t d = index->shape.dim[i];
        fit = fit && d == parts->shape.dim[i] && (i >= batch || d == whole->shape.dim[i]);
    }
    for (uint32_t i = rank; i < parts->shape.rank; i++) {
        fit = fit && parts->shape.dim[i] == whole->shape.dim[batch + 1 + i - rank];
    }
    return fit || broken(c, "c1", "extents of %s, %s, %s do not agree", text_of(c, whole), text_of(c, index),
                         text_of(c, parts));
}

static bool check_gather(Check *c) {
    if (c->n->attr.gather.extent == 0 && shape_count(c->n->shape) > 0) {
        return broken(c, "c3", "picks from an axis of extent 0");
    }
    return check_picks(c, in(c, 0), c->n);
}

static bool check_scatter_add(Check *c) {
    DType t = (DType)c->n->dtype;
    if (!is_real(t) && !is_int(t)) {
        return broken(c, "c3", "adds f32, f64, i32 or i64, not %s", dtype_name(t));
    }
    return check_picks(c, c->n, in(c, 0));
}

/* ---- sums ---- */
static bool check_reduce(Check *c) {
    const Attr *a = &c->n->attr;
    Shape from = in(c, 0)->shape, to = {0};
    DType t = (DType)in(c, 0)->dtype;
    uint32_t gone = 0;
    if (a->reduce.n == 0) {
        return broken(c, "c1", "no axis");
    }
    for (uint32_t i = 0; i < a->reduce.n; i++) {
        if (a->reduce.at[i] >= from.rank || (gone >> a->reduce.at[i] & 1) != 0) {
            return broken(c, "c1", "axis %u is not there or stands twice", a->reduce.at[i]);
        }
        gone |= 1u << a->reduce.at[i];
    }
    for (uint32_t i = 0; i < from.rank; i++) {
        if ((gone >> i & 1) == 0) {
            to.dim[to.rank++] = from.dim[i];
        }
    }
    bool logic = a->reduce.kind == REDUCE_ANY || a->reduce.kind == REDUCE_ALL;
    bool moments = a->reduce.kind == REDUCE_MOMENTS;
    bool place = a->reduce.kind == REDUCE_ARGMAX || a->reduce.kind == REDUCE_ARGMIN;
    if (logic ? t != DT_BOOL : moments ? !is_real(t) : !is_real(t) && !is_int(t)) {
        return broken(c, "c2", "%s is not what it reduces", text_of(c, in(c, 0)));
    }
    return has_type(c, "c3", place ? DT_I32 : t, to);
}

/* ---- order ---- */
static bool check_order(Check *c) {
    const Node *x = in(c, 0);
    DType t = (DType)x->dtype;
    Op op = (Op)c->n->op;
    if (x->shape.rank == 0) {
        return broken(c, "c1", "%s has no axis", text_of(c, x));
    }
    if (!is_real(t) && (op == OP_recur || !is_int(t))) {
        return broken(c, "c2", "%s of %s", op_name(op), text_of(c, x));
    }
    if (op == OP_cumulative && c->n->attr.cumulative > REDUCE_MIN) {
        return broken(c, "c2", "not a kind of cumulative");
    }
    if (op == OP_recur && (in(c, 1)->dtype != t || !shape_eq(in(c, 1)->shape, x->shape))) {
        return broken(c, "c3", "%s and %s differ", text_of(c, x), text_of(c, in(c, 1)));
    }
    return has_type(c, "c3", op == OP_argsort ? DT_I32 : t, x->shape);
}

static bool holds(const Contract *k, uint32_t side, uint32_t dim) {
    for (uint32_t i = 0; i < k->rank[side]; i++) {
        if (k->dim[side][i] == dim) {
            return true;
        }
    }
    return false;
}

static uint32_t sides_of(const Contract *k, uint32_t dim) {      /* bits: 1 A, 2 B, 4 C */
    return (uint32_t)holds(k, 0, dim) | (uint32_t)holds(k, 1, dim) << 1 | (uint32_t)holds(k, 2, dim) << 2;
}

/* c2: each of A, B, C holds one role of each window; marks its dims in `used` and the one it sums over in
 * `summed`. */
static bool check_windows(Check *c, const Contract *k, uint32_t *used, uint32_t *summed) {
    for (uint32_t i = 0; i < k->n_windows; i++) {
        Window w = k->window[i];
        if (w.x >= k->n_dims || w.o >= k->n_dims || w.t >= k->n_dims || w.stride < 1 || w.dilation < 1) {
            return broken(c, "c2", "window %u has a role without a dim, or a step below 1", i);
        }
        uint32_t roles = 1u << w.x | 1u << w.o | 1u << w.t;
        uint32_t x = sides_of(k, w.x), o = sides_of(k, w.o), t = sides_of(k, w.t);
        if ((x | o | t) != 7 || x + o + t != 7 || __builtin_popcount(roles) != 3 || (*used & roles) != 0) {
            return broken(c, "c2", "window %u does not have one role in each of A, B, C", i);
        }
        *used |= roles;
        *summed |= 1u << (t == 4 ? w.o : w.t);
    }
    return true;
}

static bool check_over(Check *c, const Contract *k, uint32_t want) {
    uint32_t have = 0;
    for (uint32_t i = 0; i < k->n_over; i++) {
        uint32_t bit = k->over[i] < k->n_dims ? 1u << k->over[i] : 0;
        if (bit == 0 || (have & bit) != 0) {
            return broken(c, "c4", "a dim of `over` is not there or stands twice");
        }
        have |= bit;
    }
    return have == want ||
           broken(c, "c4",
                  "`over` is not the dims that C lacks (of a window: its taps, or its positions "
                  "when C holds the taps)");
}

static bool check_contract(Check *c) {
    const Contract *k = c->n->attr.contract;
    const Node *side[3] = {in(c, 0), in(c, 1), c->n};
    DType t = (DType)side[0]->dtype;
    if (!dtype_is_float(t) || side[1]->dtype != t || c->n->dtype != (t == DT_F64 ? DT_F64 : DT_F32)) {
        return broken(c, "c5", "%s and %s into %s", text_of(c, side[0]), text_of(c, side[1]), text_of(c, c->n));
    }
    if (k->rounded != DT_F32 && (t != DT_F32 || (k->rounded != DT_BF16 && k->rounded != DT_F16))) {
        return broken(c, "c6", "rounded to %s are operands of f32, not of %s",
                      k->rounded < DT_COUNT ? dtype_name((DType)k->rounded) : "?", dtype_name(t));
    }
    if (k->n_dims > MAX_DIMS || k->n_windows > MAX_WINDOWS || k->n_over > MAX_RANK * 2) {
        return broken(c, "c1", "too many dims");
    }
    for (uint32_t s = 0; s < 3; s++) {
        if (k->rank[s] != side[s]->shape.rank) {
            return broken(c, "c3", "%c names %u dims of %s", "ABC"[s], k->rank[s], text_of(c, side[s]));
        }
        uint32_t seen = 0;
        for (uint32_t i = 0; i < k->rank[s]; i++) {
            uint32_t d = k->dim[s][i];
            if (d >= k->n_dims || (seen >> d & 1) != 0) {
                return broken(c, "c1", "a dim of %c is not there or stands twice", "ABC"[s]);
            }
            seen |= 1u << d;
            if (k->extent[d] != side[s]->shape.dim[i]) {
                return broken(c, "c3", "dim %c is %lld, axis %u of %c is %lld", 'a' + (int)d,
                              (long long)k->extent[d], i, "ABC"[s], (long long)side[s] -> shape.dim[i]);
            }
        }
    }
    uint32_t window_dims = 0, over = 0;
    if (!check_windows(c, k, &window_dims, &over)) {
        return false;
    }
    for (uint32_t d = 0; d < k->n_dims; d++) {
        uint32_t sides = sides_of(k, d);
        if ((window_dims >> d & 1) == 0 && __builtin_popcount(sides) < 2) {
            return broken(c, "c1", "dim %c stands in fewer than two of A, B, C", 'a' + (int)d);
        }
        if ((window_dims >> d & 1) == 0 && (sides & 4) == 0) {
            over |= 1u << d;
        }
    }
    return check_over(c, k, over);
}

/* ---- control and effects ---- */
static bool check_shape(Check *c, Shape s) {
    int64_t count = 1;
    for (uint32_t i = 0; i < s.rank; i++) {
        if (s.dim[i] < 0 || s.dim[i] >= 1ll << 40 || (count *= s.dim[i]) >= 1ll << 40) {
            return broken(c, "nc3", "%s", text_of(c, c->n));
        }
    }
    return true;
}

static Type type_of_body_input(const Check *c, const Scan *s, uint32_t k) {
    Type t = {(DType)in(c, k)->dtype, in(c, k)->shape};
    if (k >= s->n_carries && k < s->n_carries + s->n_sequences && t.shape.rank > 0) {
        Shape step = {.rank = t.shape.rank - 1};
        for (uint32_t i = 0; i < step.rank; i++) {
            step.dim[i] = t.shape.dim[i + 1];
        }
        t.shape = step;
    }
    return t;
}

static bool type_is(const Node *n, Type t) { return n->dtype == t.dtype && shape_eq(n->shape, t.shape); }

static bool check_scan(Check *c) {
    const Scan *s = c->n->attr.scan;
    const Graph *body = s->body;
    if (s->length < 0 || s->n_carries > c->n->n || s->n_sequences > c->n->n - s->n_carries
        || body->outputs.n != s->n_carries + s->n_collected || body->outputs.n == 0) {
        return broken(c, "c1", "%u operands and %u body results do not hold %u carries, %u sequences, %u collected",
                      c->n->n, body->outputs.n, s->n_carries, s->n_sequences, s->n_collected);
    }
    for (uint32_t k = s->n_carries; k < s->n_carries + s->n_sequences; k++) {
        if (in(c, k)->shape.rank == 0 || in(c, k)->shape.dim[0] != s->length) {
            return broken(c, "c1", "sequence %u is %s, the length %lld", k, text_of(c, in(c, k)), (long long)s->length);
        }
    }
    for (uint32_t i = 1; i < body->nodes.n; i++) {
        const Node *n = &body->nodes.at[i];
        if (n->op == OP_commit) {
            return broken(c, "c2", "the body commits");
        }
        if (n->op != OP_arg || n->attr.arg.kind != ARG_BODY) {
            continue;
        }
        if (n->attr.arg.id >= c->n->n || !type_is(n, type_of_body_input(c, s, n->attr.arg.id))) {
            return broken(c, "c1", "body input %u is %s, which no operand gives", n->attr.arg.id, text_of(c, n));
        }
    }
    for (uint32_t k = 0; k < s->n_carries; k++) {
        const Node *out = &body->nodes.at[body->outputs.at[k].val.i];
        if (!type_is(out, (Type){(DType)in(c, k)->dtype, in(c, k)->shape})) {
            return broken(c, "c1", "carry %u begins as %s and goes on as %s", k, text_of(c, in(c, k)), text_of(c, out));
        }
    }
    for (uint32_t k = 0; k < s->n_collected; k++) {
        if (body->nodes.at[body->outputs.at[s->n_carries + k].val.i].shape.rank >= MAX_RANK) {
            return broken(c, "c1", "collected %u has no room for one more axis", k);
        }
    }
    return true;
}

/* Batch axes in front, and a type that C has. */
static bool check_extern_part(Check *c, const char *what, uint32_t k, DType t, Shape s) {
    const Extern *x = c->n->attr.external;
    Shape first = x->results[0].shape;
    bool fits = s.rank >= x->batch && shape_eq(shape_of(x->batch, s.dim), shape_of(x->batch, first.dim));
    if (!fits) {
        return broken(c, "c1", "%s %u does not begin with the %u axes it is called for", what, k, x->batch);
    }
    return native_takes(t) || broken(c, "c2", "%s %u is %s", what, k, dtype_name(t));
}

static bool check_extern(Check *c) {
    const Extern *x = c->n->attr.external;
    if (x->library.n == 0 || x->symbol.n == 0 || x->n_results == 0 || (x->nograd && x->gradient.n > 0)) {
        return broken(c, "c3", "no library, symbol or result, or two rules for its gradient");
    }
    for (uint32_t i = 0; i < x->n_extents; i++) {
        if (x->extents[i] < 0) {
            return broken(c, "c3", "extent %u is %lld", i, (long long)x->extents[i]);
        }
    }
    if (x->results[0].shape.rank < x->batch) {
        return broken(c, "c1", "result 0 has no %u axes", x->batch);
    }
    for (uint32_t i = 0; i < x->n_results; i++) {
        if (!check_shape(c, x->results[i].shape) ||
            !check_extern_part(c, "result", i, x->results[i].dtype, x->results[i].shape)) {
            return false;
        }
    }
    for (uint32_t k = 0; k < c->n->n; k++) {
        if (!check_extern_part(c, "operand", k, (DType)in(c, k)->dtype, in(c, k)->shape)) {
            return false;
        }
    }
    return has_type(c, "c4", x->results[0].dtype, x->results[0].shape);
}

static bool check_result(Check *c) {
    const Node *tuple = in(c, 0);
    uint32_t index = c->n->attr.index;
    if (!node_is_tuple(tuple) || index >= tuple_members(tuple)) {
        return broken(c, "c1", "the operand has no member %u", index);
    }
    Type t = result_type(c->g, in_val(c, 0), index);
    return has_type(c, "c1", t.dtype, t.shape);
}

static bool check_grad(Check *c) {
    if (c->n->n < 2 || in(c, 0)->dtype != DT_F32 || in(c, 0)->shape.rank != 0) {
        return broken(c, "c1", "needs f32[] and at least one value to differentiate by");
    }
    return has_type(c, "c1", (DType)in(c, 1)->dtype, in(c, 1)->shape);
}

static bool check_grad_as(Check *c) {
    if (c->n->n < 1 || c->n->n > 2) {
        return broken(c, "c1", "takes a value and at most one surrogate");
    }
    if (c->n->n == 2 && !shape_eq(in(c, 1)->shape, in(c, 0)->shape)) {
        return broken(c, "c1", "the surrogate is %s, the value %s", text_of(c, in(c, 1)), text_of(c, in(c, 0)));
    }
    return has_type(c, "c1", (DType)in(c, 0)->dtype, in(c, 0)->shape);
}

static bool check_commit(Check *c) {
    const Module *m = c->g->module;
    uint32_t var = c->n->attr.commit.var;
    if (var >= m->vars.n) {
        return broken(c, "c1", "there is no variable %u", var);
    }
    return has_type(c, "c1", m->vars.at[var].dtype, m->vars.at[var].shape)
        && has_type(c, "c1", (DType)in(c, 0)->dtype, in(c, 0)->shape);
}

static bool check_check(Check *c) {
    DType t = (DType)in(c, 0)->dtype;
    return dtype_is_float(t) || t == DT_BOOL ? has_type(c, "c1", t, in(c, 0)->shape)
                                             : broken(c, "c1", "%s is always finite", text_of(c, in(c, 0)));
}

static bool check_after(Check *c) {
    return (shape_eq(in(c, 0)->shape, c->n->shape) && in(c, 0)->dtype == c->n->dtype)
        || broken(c, "c1", "%s after another value is no %s", text_of(c, in(c, 0)), text_of(c, c->n));
}

static bool check_op(Check *c) {
    Op op = (Op)c->n->op;
    if (op_class(op) == CLASS_ELT) {
        return check_elt(c);
    }
    switch ((int)op) {
    case OP_arg:         return check_arg(c);
    case OP_const:       return c->n->shape.rank == 0 || broken(c, "c1", "a const of %s", text_of(c, c->n));
    case OP_iota:
        return (c->n->attr.axis < c->n->shape.rank && c->n->dtype == DT_I32)
            || broken(c, "c1", "axis %u of %s", c->n->attr.axis, text_of(c, c->n));
    case OP_random:      return check_random(c);
    case OP_broadcast:   return check_broadcast(c);
    case OP_reshape:     return check_reshape(c);
    case OP_permute:     return check_permute(c);
    case OP_slice:       return check_slice(c);
    case OP_pad:         return check_pad(c);
    case OP_window:      return check_window(c);
    case OP_concat:      return check_concat(c);
    case OP_gather:      return check_gather(c);
    case OP_after:       return check_after(c);
    case OP_scatter_add: return check_scatter_add(c);
    case OP_reduce:      return check_reduce(c);
    case OP_cumulative: case OP_recur: case OP_argsort: return check_order(c);
    case OP_contract:    return check_contract(c);
    case OP_scan:        return check_scan(c);
    case OP_extern:      return check_extern(c);
    case OP_result:      return check_result(c);
    case OP_grad:        return check_grad(c);
    case OP_grad_as:     return check_grad_as(c);
    case OP_check:       return check_check(c);
    case OP_commit:      return check_commit(c);
    }
    GR_BUG("no check for %s", op_name(op));
}

bool node_check(const Graph *g, const Node *node, Buf *why) {
    Check c = {g, node, why};
    int takes = op_operands((Op)node->op);
    if (takes >= 0 && node->n != (uint32_t)takes) {
        return broken(&c, "nc2", "%s takes %d operands, not %u", op_name((Op)node->op), takes, node->n);
    }
    ptrdiff_t self = node - g->nodes.at;
    for (uint32_t k = 0; k < node->n; k++) {
        Val v = in_val(&c, k);
        if (v.i == 0 || v.i >= self) {
            return broken(&c, "nc1", "operand %u is %%%u, which does not come before it", k, v.i);
        }
        if (op_class((Op)in(&c, k)->op) == CLASS_EFFECT) {
            return broken(&c, "nc5", "operand %u is %s, which has no value", k, op_name((Op)in(&c, k)->op));
        }
        if (node_is_tuple(in(&c, k)) && node->op != OP_result) {
            return broken(&c, "nc4", "operand %u is a tuple, taken apart by `result` only", k);
        }
    }
    return check_shape(&c, node->shape) && check_op(&c);
}

/* ---- the graph as a whole ---- */
static bool check_commits_once(const Graph *g, Diags *ds) {
    bool ok = true;
    for (uint32_t i = 0; i < g->effects.n; i++) {
        const Node *n = node_of(g, g->effects.at[i]);
        for (uint32_t j = 0; j < i && n->op == OP_commit; j++) {
            const Node *earlier = node_of(g, g->effects.at[j]);
            if (earlier->op == OP_commit && earlier->attr.commit.var == n->attr.commit.var) {
                Diag *d = diag_add(ds, DIAG_IR_INVALID, n->span, "%%%u: commit c2: `%.*s` is committed twice",
                                   g->effects.at[i].i, FSTR(g->module->vars.at[n->attr.commit.var].path));
                diag_label(d, earlier->span, "first here");
                ok = false;
            }
        }
    }
    return ok;
}

static bool check_outputs(const Graph *g, Diags *ds) {
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        Val v = g->outputs.at[i].val;
        if (v.i == 0 || v.i >= g->nodes.n || node_is_tuple(&g->nodes.at[v.i])
            || op_class((Op)g->nodes.at[v.i].op) == CLASS_EFFECT) {
            diag_add(ds, DIAG_IR_INVALID, (Span){0}, "output %u: node c1: %%%u is not one value", i, v.i);
            return false;
        }
    }
    return true;
}

bool graph_verify(const Graph *g, Diags *ds) {
    Arena *scratch = arena_create();
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        Buf why = buf_make(scratch);
        bool ok = (n->op != OP_scan || graph_verify(n->attr.scan->body, ds)) && node_check(g, n, &why);
        if (!ok) {
            if (why.n > 0) {
                diag_add(ds, DIAG_IR_INVALID, n->span, "%%%u: %s", i, why.s);
            }
            arena_destroy(scratch);
            return false;                         /* what comes after would only repeat it */
        }
    }
    arena_destroy(scratch);
    return check_outputs(g, ds) && check_commits_once(g, ds);
}
