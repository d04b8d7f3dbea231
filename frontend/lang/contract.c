/* What is a contraction (semantics 1), decided by the form of the source: a `sum` whose operand, after the
 * factors without its indices are taken out, is a product of exactly two accesses of tensors, by plain
 * indices or a window `s*o + d*t - p`, one of which has a result index that the other lacks.  `a @ b` always
 * is one.  All else is elementwise work and a reduction. */
#include "lower.h"

void product_factors(const Expr *e, const Expr **out, uint32_t *n, uint32_t max) {
    if (e->kind == EX_BINARY && e->binary.op == BIN_MUL) {
        product_factors(e->binary.l, out, n, max);
        product_factors(e->binary.r, out, n, max);
    } else {
        if (*n < max) {
            out[*n] = e;
        }
        (*n)++;
    }
}

enum { FACTORS = 16 };
typedef struct {
    Lower *l;
    uint32_t n_over;
    Index *const *over;
    const Index *of_dim[MAX_DIMS]; /* the index a dim stands for; NULL for a dim of whole form */
    Contract *c;
    Dim result_dim[MAX_RANK];
} Product;

static bool mentions_any(Product *p, const Expr *e) {
    for (uint32_t i = 0; i < p->n_over; i++) {
        if (walk_mentions(e, p->over[i]->name.text)) {
            return true;
        }
    }
    return false;
}

static bool is_over(const Product *p, const Index *i) {
    for (uint32_t k = 0; k < p->n_over; k++) {
        if (p->over[k] == i) {
            return true;
        }
    }
    return false;
}

/* An access whose reduced indices stand plainly or in an affine form: no gather depends on them. */
static bool plain_access(Product *p, const Expr *e) {
    if (e->kind != EX_INDEX || mentions_any(p, e->index.base)) {
        return false;
    }
    for (uint32_t i = 0; i < e->index.items.n; i++) {
        const Item *item = &e->index.items.at[i];
        const Expr *x = item->kind == ITEM_EXPR ? item->expr : NULL;
        if (item->kind == ITEM_SLICE &&
            ((item->lo && mentions_any(p, item->lo)) || (item->hi && mentions_any(p, item->hi)))) {
            return false;
        }
        bool simple = x == NULL || x->kind == EX_NAME || x->kind == EX_NUMBER || x->kind == EX_BINARY ||
                      x->kind == EX_UNARY;
        if (!simple) {
            return false;
        }
    }
    return true;
}

static uint8_t dim_of_index(Product *p, const Index *i) {
    Contract *c = p->c;
    for (uint8_t k = 0; k < c->n_dims; k++) {
        if (p->of_dim[k] == i) {
            return k;
        }
    }
    GR_ASSERT(c->n_dims < MAX_DIMS);
    p->of_dim[c->n_dims] = i;
    c->extent[c->n_dims] = dim_value(i->extent);
    return c->n_dims++;
}

static uint8_t whole_dim(Product *p, Dim d) {
    Contract *c = p->c;
    GR_ASSERT(c->n_dims < MAX_DIMS);
    c->extent[c->n_dims] = dim_value(d);
    return c->n_dims++;
}

/* Lists the dims of operand k: its leads by index, its other dims shared with the longer operand's tail.  A
 * contract reads its operands in any order of dims, so a permutation before it is undone. */
static void list_operand(Product *p, uint32_t k, Array *x, const uint8_t *tail, uint32_t n_tail) {
    Contract *c = p->c;
    uint8_t list[MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->n_lead; i++) {
        list[n++] = dim_of_index(p, x->lead[i]);
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        list[n++] = tail[n_tail - x->rank + i];
    }
    const Graph *g = p->l->b.g;
    const Node *node = node_of(g, x->val);
    bool permuted = node->op == OP_permute;
    for (uint32_t i = 0; i < n; i++) {
        c->dim[k][permuted ? node->attr.axes.at[i] : i] = list[i];
    }
    c->rank[k] = (uint8_t)n;
    if (permuted) {
        x->val = operand(g, x->val, 0);
    }
}

/* Each window has its position in one operand, its reduced index in the other, and its result index in
 * neither.  Fills the windows of the contract; false when they do not fit (then it is no contract). */
static bool windows_fit(Product *p, const WindowSink *sink, const Array *x, const Array *y) {
    for (uint32_t i = 0; i < sink->n; i++) {
        const WindowUse *w = &sink->at[i];
        uint32_t o = is_over(p, w->of[0]) ? 1 : 0, t = 1 - o;
        if (is_over(p, w->of[o]) || !is_over(p, w->of[t]) || i >= MAX_WINDOWS || w->factor[o] < 1 ||
            w->factor[t] < 1 || w->factor[o] > INT32_MAX || w->factor[t] > INT32_MAX ||
            -w->offset > INT32_MAX || -w->offset < INT32_MIN) {
            return false;
        }
        bool in_x = array_lead_of(x, w->position) >= 0;
        const Array *other = in_x ? y : x, *own = in_x ? x : y;
        if (array_lead_of(other, w->of[t]) < 0 || array_lead_of(own, w->of[t]) >= 0 ||
            array_lead_of(x, w->of[o]) >= 0 || array_lead_of(y, w->of[o]) >= 0) {
            return false;
        }
        p->c->window[p->c->n_windows++] =
            (Window){dim_of_index(p, w->position), dim_of_index(p, w->of[o]), dim_of_index(p, w->of[t]),
                     (int32_t)w->factor[o],        (int32_t)w->factor[t],     (int32_t)-w->offset};
    }
    return true;
}

static bool in_window(const Product *p, uint8_t dim) {
    for (uint32_t i = 0; i < p->c->n_windows; i++) {
        const Window *w = &p->c->window[i];
        if (w->x == dim || w->o == dim || w->t == dim) {
            return true;
        }
    }
    return false;
}

static bool has_dim(const Contract *c, uint32_t k, uint8_t dim) {
    for (uint32_t i = 0; i < c->rank[k]; i++) {
        if (c->dim[k][i] == dim) {
            return true;
        }
    }
    return false;
}

/* The reduced indices must stand in both operands, or be taps of a window. */
static bool over_fits(Product *p) {
    Contract *c = p->c;
    for (uint32_t i = 0; i < p->n_over; i++) {
        uint8_t d = dim_of_index(p, p->over[i]);
        bool both = has_dim(c, 0, d) && has_dim(c, 1, d);
        if (!both && !in_window(p, d)) {
            return false;
        }
        c->over[c->n_over++] = d;
    }
    return true;
}

/* Lists the dims of the result: indices by birth, then the dims of whole form.  False when neither operand
 * has one that the other lacks: then a reduction reads less. */
static bool list_result(Product *p, const Array *x, const Array *y, const uint8_t *tail, uint32_t n_tail,
                        Array *out) {
    Contract *c = p->c;
    const Index *lead[3 * MAX_RANK], *kept[MAX_RANK];
    uint32_t n = leads_union(lead, leads_union(lead, 0, x->lead, x->n_lead), y->lead, y->n_lead), n_kept = 0;
    bool one_sided = x->rank != y->rank;
    for (uint32_t i = 0; i < c->n_windows; i++) {
        const Index *o = p->of_dim[c->window[i].o];
        n = leads_union(lead, n, &o, 1);
        one_sided = true;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint8_t d = dim_of_index(p, lead[i]);
        bool position = false;
        for (uint32_t k = 0; k < c->n_windows; k++) {
            position = position || c->window[k].x == d;
        }
        if (is_over(p, lead[i]) || position) {
            continue;
        }
        if (n_kept + n_tail == MAX_RANK) {
            return false;
        }
        one_sided = one_sided || has_dim(c, 0, d) != has_dim(c, 1, d);
        c->dim[2][c->rank[2]++] = d;
        kept[n_kept++] = lead[i];
    }
    for (uint32_t i = 0; i < n_tail; i++) {
        c->dim[2][c->rank[2]++] = tail[i];
    }
    const Array *big = x->rank >= y->rank ? x : y;
    *out = *big;
    out->n_lead = (uint8_t)n_kept;
    for (uint32_t i = 0; i < n_kept; i++) {
        out->lead[i] = kept[i];
    }
    return one_sided;
}

/* The contract of two tensors over the product's indices; false when the two do not make one. */
static bool contract_of(Product *p, const WindowSink *sink, Array x, Array y, Array *out) {
    Lower *l = p->l;
    const Array *big = x.rank >= y.rank ? &x : &y, *small = big == &x ? &y : &x;
    for (uint32_t i = 0; i < small->rank; i++) {
        if (!dim_eq(small->dim[i], big->dim[big->rank - small->rank + i])) {
            return false;
        }
    }
    if (dtype_elem(x.dtype) == ELEM_BOOL || dtype_elem(y.dtype) == ELEM_BOOL ||
        (dtype_elem(x.dtype) == ELEM_INT && dtype_elem(y.dtype) == ELEM_INT) ||
        x.n_lead + y.n_lead + big->rank + 6 > MAX_DIMS) {
        return false;
    }
    p->c = contract_new(l->m->arena);
    p->c->rounded = precision_of_product(l);
    uint8_t tail[MAX_RANK];
    for (uint32_t i = 0; i < big->rank; i++) {
        tail[i] = whole_dim(p, big->dim[i]);
    }
    x = array_cast(l, x, DT_F32);
    y = array_cast(l, y, DT_F32);
    list_operand(p, 0, &x, tail, big->rank);
    list_operand(p, 1, &y, tail, big->rank);
    Array result;
    if (!windows_fit(p, sink, &x, &y) || !over_fits(p) || !list_result(p, &x, &y, tail, big->rank, &result)) {
        return false;
    }
    if (!shape_fits(l, l->b.at, result.n_lead, result.lead, result.rank, result.dim)) {
        return false;
    }
    p->c->winograd = p->c->n_windows > 0 && winograd_of_product(l);
    Val v = build_contract(&l->b, x.val, y.val, p->c);
    *out = array_make(l, v, result.n_lead, result.lead, result.rank, result.dim);
    return true;
}

V contract_try(Lower *l, const Expr *sum, uint32_t n, Index *const *over) {
    Product p = {.l = l, .n_over = n, .over = over};
    const Expr *factor[FACTORS], *access[2];
    uint32_t n_factors = 0, n_access = 0;
    product_factors(sum->reduce.x, factor, &n_factors, FACTORS);
    if (n == 0 || n_factors > FACTORS) {
        return NULL;
    }
    for (uint32_t i = 0; i < n_factors; i++) {
        if (!mentions_any(&p, factor[i])) {
            continue;
        }
        if (n_access == 2 || !plain_access(&p, factor[i])) {
            return NULL;
        }
        access[n_access++] = factor[i];
    }
    if (n_access != 2) {
        return NULL;
    }
    WindowSink sink = {0}, *saved = l->sink;
    uint32_t memos = l->memo.n;
    V side[2];
    l->sink = &sink;
    side[0] = eval(l, access[0]);
    side[1] = eval(l, access[1]);
    l->sink = saved;
    if (side[0]->kind == VAL_POISON || side[1]->kind == VAL_POISON) {
        return value_poison(l);
    }
    Array r;
    bool is_contract = side[0]->kind == VAL_ARRAY && side[1]->kind == VAL_ARRAY &&
                       contract_of(&p, &sink, side[0]->array, side[1]->array, &r);
    if (!is_contract) {
        for (uint32_t i = 0; i < 2 && sink.n == 0; i++) { /* do not evaluate them again */
            vec_push(l->a, &l->memo, (Memo){access[i], side[i]});
        }
        return NULL;
    }
    V v = value_array(l, sum->at, r);
    for (uint32_t i = 0; i < n_factors; i++) {
        if (factor[i] != access[0] && factor[i] != access[1]) {
            V f = eval(l, factor[i]);
            if (f->kind == VAL_POISON) {
                return f;
            }
            Expr times = *sum->reduce.x;
            times.kind = EX_BINARY;
            times.binary.op = BIN_MUL;
            times.binary.l = (Expr *)(uintptr_t)sum;
            times.binary.r = (Expr *)(uintptr_t)factor[i];
            v = whole_binary(l, &times, BIN_MUL, v, f);
            if (v->kind == VAL_POISON) {
                return v;
            }
        }
    }
    l->memo.n = memos;
    return v;
}

/* ---- a @ b ---- */

static V matmul_error(Lower *l, const Expr *e, const Array *x, const Array *y, const char *why) {
    Str a = array_describe(l, x), b = array_describe(l, y);
    Diag *d = report(l, DIAG_SHAPE, e->op_at, "`%.*s @ %.*s`: %s", FSTR(a), FSTR(b), why);
    report_label(l, d, e->binary.l->at, "%.*s", FSTR(a));
    report_label(l, d, e->binary.r->at, "%.*s", FSTR(b));
    Str left = sources_text(l->p->sources, e->binary.l->at);
    Str right = sources_text(l->p->sources, e->binary.r->at);
    if (x->rank >= 2 && y->rank >= 2 && left.n + right.n < 60) {
        if (dim_eq(y->dim[y->rank - 1], x->dim[x->rank - 2])) {
            diag_help(d, "in the other order they fit: `%.*s @ %.*s`", FSTR(right), FSTR(left));
        } else if (dim_eq(y->dim[y->rank - 1], x->dim[x->rank - 1])) {
            diag_help(d, "with the last two dims of the right swapped they fit: `%.*s @ %.*s'`", FSTR(left),
                      FSTR(right));
        }
    }
    diag_help(d, "`@` takes the last dim of the left with the last but one of the right; other pairs: "
                 "`sum[k] a[i,k] * b[k,j]`");
    return value_poison(l);
}

V contract_matmul(Lower *l, const Expr *e, V vx, V vy) {
    Elem t;
    if (!value_elem(vx, &t) || !value_elem(vy, &t) || vx->kind != VAL_ARRAY || vy->kind != VAL_ARRAY) {
        report(l, DIAG_TYPE, e->op_at, "`@` of %.*s and %.*s", FSTR(value_describe(l, vx)),
               FSTR(value_describe(l, vy)));
        return value_poison(l);
    }
    Array x = vx->array, y = vy->array;
    if (x.rank < 1 || y.rank < 2) {
        return matmul_error(l, e, &x, &y,
                            x.rank < 1 ? "the left has no dim" : "the right has no last but one dim");
    }
    if (!dim_eq(x.dim[x.rank - 1], y.dim[y.rank - 2])) {
        return matmul_error(l, e, &x, &y, "the dims that are summed differ");
    }
    uint32_t group = y.rank - 2;
    for (uint32_t i = 0; i < group; i++) {
        if (x.rank != y.rank || !dim_eq(x.dim[i], y.dim[i])) {
            return matmul_error(l, e, &x, &y, "the leading dims must be equal, or absent on the right");
        }
    }
    Elem ex = dtype_elem(x.dtype), ey = dtype_elem(y.dtype);
    if (ex == ELEM_BOOL || ey == ELEM_BOOL) {
        return matmul_error(l, e, &x, &y, "bools cannot be multiplied");
    }
    const Index *lead[2 * MAX_RANK];
    uint32_t n_lead = leads_union(lead, leads_union(lead, 0, x.lead, x.n_lead), y.lead, y.n_lead), rank = 0;
    Dim dim[MAX_RANK];
    for (uint32_t i = 0; i + 1 < x.rank; i++) {
        dim[rank++] = x.dim[i];
    }
    dim[rank++] = y.dim[y.rank - 1];
    if (!shape_fits(l, e->at, n_lead, lead, rank, dim)) {
        return value_poison(l);
    }
    x = array_cast(l, x, DT_F32);
    y = array_cast(l, y, DT_F32);
    Product p = {.l = l, .c = contract_new(l->m->arena)};
    Contract *c = p.c;
    c->rounded = precision_of_product(l);
    uint8_t left[MAX_RANK], right[MAX_RANK];
    for (uint32_t i = 0; i < x.rank; i++) {
        left[i] = whole_dim(&p, x.dim[i]);
    }
    for (uint32_t i = 0; i < group; i++) {
        right[i] = left[i];
    }
    right[group] = left[x.rank - 1];
    right[group + 1] = whole_dim(&p, y.dim[y.rank - 1]);
    list_operand(&p, 0, &x, left, x.rank);
    list_operand(&p, 1, &y, right, y.rank);
    for (uint32_t i = 0; i < n_lead; i++) {
        c->dim[2][c->rank[2]++] = dim_of_index(&p, lead[i]);
    }
    for (uint32_t i = 0; i + 1 < x.rank; i++) {
        c->dim[2][c->rank[2]++] = left[i];
    }
    c->dim[2][c->rank[2]++] = right[group + 1];
    c->over[c->n_over++] = left[x.rank - 1];
    return value_array(l, e->at,
                       array_make(l, build_contract(&l->b, x.val, y.val, c), n_lead, lead, rank, dim));
}
