/* Reducers.  The items of the bracket are new indices or conditions; the operand is evaluated with the new
 * indices as leads, an excluded element becomes the identity, and the leads are reduced in the order they
 * were written.  `[..]` reduces all dims of the operand in whole form.  A `sum` asks contract.c first. */
#include "data.h"

enum { MAX_CONDITIONS = 8 };
typedef struct {
    Lower *l;
    const Expr *e;
    Index *bound[MAX_RANK];
    uint32_t n_bound;
    const Expr *condition[MAX_CONDITIONS];
    uint32_t n_conditions;
    bool rest, failed;
    bool statistic;                  /* over rows of a data set: those that `member` says */
    Array member;
} Bracket;

static void bind(Bracket *b, Name name) {
    if (b->n_bound == MAX_RANK) {
        report(b->l, DIAG_REDUCE, name.at, "more than %d indices in one reducer", MAX_RANK);
        b->failed = true;
        return;
    }
    Index *i = index_new(b->l, name);
    if (i) {
        b->bound[b->n_bound++] = i;
    } else {
        b->failed = true;
    }
}

/* Names of a condition that nothing has yet are bound by it: `sum[i < j]`. */
static bool bind_free(void *user, const Expr *e) {
    Bracket *b = user;
    if (e->kind == EX_CALL) {
        for (uint32_t i = 0; i < e->call.args.n; i++) {
            walk_expr(e->call.args.at[i].value, bind_free, user);
        }
        return false;
    }
    if (e->kind == EX_NAME && !scope_index(b->l->frame, e->name.text) && !scope_try(b->l, e->name)) {
        bind(b, e->name);
    }
    return true;
}

/* `train` and `rows` in the formulas of a data set: the row is an index of the reducer. */
static bool is_rows(const Lower *l, const Expr *e) {
    return l->data && l->frame->kind == FRAME_DATA && e->kind == EX_NAME &&
           (str_is(e->name.text, "train") || str_is(e->name.text, "rows"));
}

static void over_rows(Bracket *b, Name name) {
    Index *row;
    if (b->statistic) {
        report(b->l, DIAG_REDUCE, name.at, "a statistic is over the rows of one split");
        b->failed = true;
    } else if (b->n_bound == MAX_RANK || !statistic_begin(b->l, name, &row, &b->member)) {
        b->failed = true;
    } else {
        b->statistic = true;
        b->bound[b->n_bound++] = row;
    }
}

static void read_items(Bracket *b) {
    const ItemVec *items = &b->e->reduce.items;
    Lower *l = b->l;
    if (items->n == 0) {
        report(l, DIAG_REDUCE, b->e->at, "`%s[]` reduces over nothing", reducer_text(b->e->reduce.op));
        b->failed = true;
    }
    for (uint32_t i = 0; i < items->n && !b->failed; i++) {
        const Item *item = &items->at[i];
        if (item->kind == ITEM_REST) {
            b->rest = true;
        } else if (item->kind != ITEM_EXPR) {
            report(l, DIAG_REDUCE, item->at, "the bracket of a reducer holds indices, conditions or `..`");
            b->failed = true;
        } else if (item->expr->kind == EX_ERROR) {
            b->failed = true;
        } else if (is_rows(l, item->expr)) {
            over_rows(b, item->expr->name);
        } else if (item->expr->kind == EX_NAME) {
            bind(b, item->expr->name);
        } else {
            walk_expr(item->expr, bind_free, b);
            if (b->n_conditions < MAX_CONDITIONS) {
                b->condition[b->n_conditions++] = item->expr;
            }
        }
    }
}

/* `k < K` with an index that nothing else gives an extent: K is the extent, and the condition is gone. */
static void extents_of_conditions(Bracket *b) {
    uint32_t kept = 0;
    for (uint32_t c = 0; c < b->n_conditions; c++) {
        const Expr *e = b->condition[c];
        b->condition[kept++] = e;
        if (e->kind != EX_BINARY || e->binary.op != BIN_LT || e->binary.l->kind != EX_NAME) {
            continue;
        }
        Index *i = scope_index(b->l->frame, e->binary.l->name.text);
        if (i == NULL || i->extent) {
            continue;
        }
        V v = eval(b->l, e->binary.r);
        if (v->kind == VAL_DIM && !v->d.real && shape_fits(b->l, e->at, 0, NULL, 1, &v->d.dim)) {
            i->extent = v->d.dim;
            i->extent_at = e->at;
            kept--;
        } else if (v->kind == VAL_POISON) {
            b->failed = true;
        }
    }
    b->n_conditions = kept;
}

/* ---- the operand ---- */

static double identity(Reducer r, DType t) {
    bool whole = dtype_elem(t) == ELEM_INT;
    switch (r) {
    case RED_SUM:
    case RED_MEAN: return whole ? 0.0 : -0.0;
    case RED_PROD: return 1;
    case RED_MAX:
    case RED_ARGMAX:
    case RED_LOGSUMEXP: return whole ? INT32_MIN : -__builtin_inf();
    case RED_MIN:
    case RED_ARGMIN: return whole ? INT32_MAX : __builtin_inf();
    case RED_ANY: return 0;
    case RED_ALL: return 1;
    case RED_COUNT: break;
    }
    GR_BUG("a reducer without identity");
}

/* The element type the reduction works in; false (reported) when the operand has none that fits. */
static bool operand_type(Bracket *b, const Array *x, DType *t) {
    Reducer r = b->e->reduce.op;
    Elem e = dtype_elem(x->dtype);
    bool truth = r == RED_ANY || r == RED_ALL, counts = r == RED_SUM || r == RED_MEAN;
    if (truth ? e != ELEM_BOOL : e == ELEM_BOOL && !counts) {
        Diag *d = report(b->l, DIAG_TYPE, b->e->reduce.x->at, "`%s` of %.*s", reducer_text(r),
                         FSTR(array_describe(b->l, x)));
        diag_help(d,
                  truth ? "compare first: `any[..] (x > 0)`" : "`any`, `all`, `sum` and `mean` take bools");
        return false;
    }
    if (truth) {
        *t = DT_BOOL;
    } else if (e == ELEM_REAL || r == RED_LOGSUMEXP || (r == RED_MEAN && e == ELEM_INT)) {
        *t = DT_F32;
    } else {
        *t = DT_I32;
    }
    return true;
}

static bool condition_mask(Bracket *b, Array *mask) {
    Lower *l = b->l;
    *mask = b->member;
    for (uint32_t i = 0; i < b->n_conditions; i++) {
        Array c;
        if (!eval_array(l, b->condition[i], &c)) {
            return false;
        }
        if (c.dtype != DT_BOOL || c.rank > 0) {
            report(l, DIAG_TYPE, b->condition[i]->at,
                   "a condition here is one bool for each index, this is %.*s", FSTR(array_describe(l, &c)));
            return false;
        }
        if (i > 0 || b->statistic) {
            Array both[2] = {*mask, c};
            const Span at[2] = {b->e->at, b->e->at};
            if (!whole_align(l, b->e->at, 2, both, at)) {
                return false;
            }
            c = array_make(l, build_2(&l->b, OP_and, both[0].val, both[1].val), both[0].n_lead, both[0].lead,
                           0, NULL);
        }
        *mask = c;
    }
    return true;
}

/* Where there is no sum, a factor that does not depend on the index changes nothing or everything: not meant.
 */
static bool factors_fine(Bracket *b) {
    Reducer r = b->e->reduce.op;
    if (r == RED_SUM || r == RED_MEAN || b->n_bound == 0 || b->e->reduce.x->parens) {
        return true;
    }
    const Expr *factor[16];
    uint32_t n = 0;
    product_factors(b->e->reduce.x, factor, &n, 16);
    for (uint32_t i = 0; i < n && n > 1; i++) {
        bool any = false;
        for (uint32_t k = 0; k < b->n_bound; k++) {
            any = any || walk_mentions(factor[i], b->bound[k]->name.text);
        }
        if (!any) {
            Diag *d = report(b->l, DIAG_REDUCE, factor[i]->at,
                             "this factor is inside `%s` and does not depend on `%.*s`", reducer_text(r),
                             FSTR(b->bound[0]->name.text));
            diag_help(d, "put the reducer in parentheses: `(%s[..] ..) * ..`", reducer_text(r));
            return false;
        }
    }
    return true;
}

/* The operand does not have the index: it lacks its brackets, or the index is one too many. */
static bool not_indexed(Bracket *b, const Array *x, const Index *k) {
    Lower *l = b->l;
    const Expr *operand = b->e->reduce.x;
    const char *word = reducer_text(b->e->reduce.op);
    Buf names = buf_make(l->a);
    for (uint32_t i = 0; i < l->frame->indices.n; i++) {
        const Index *index = l->frame->indices.at[i];
        if (array_lead_of(x, index) < 0) {
            buf_printf(&names, "%s%.*s", names.n ? "," : "", FSTR(index->name.text));
        }
    }
    uint32_t missing = 1;
    for (size_t i = 0; i < names.n; i++) {
        missing += names.s[i] == ',';
    }
    bool lacks = x->rank == missing && operand->kind != EX_BINARY;
    Diag *d = report(l, DIAG_INDEX, lacks ? operand->at : k->name.at,
                     "the operand of `%s` does not depend on `%.*s`", word, FSTR(k->name.text));
    if (lacks) {
        report_label(l, d, operand->at, "%.*s, as a whole", FSTR(array_describe(l, x)));
        diag_help(d, "say which element: `%.*s[%s]`; or reduce all dims: `%s[..]`",
                  FSTR(sources_text(l->p->sources, operand->at)), names.s, word);
        return false;
    }
    report_label(l, d, operand->at, "the operand: the product to the right, up to `/ + - ==`");
    diag_help(d, "take `%.*s` out of the bracket, or use it in the operand", FSTR(k->name.text));
    return false;
}

static bool indices_used(Bracket *b, const Array *x, const Array *mask) {
    for (uint32_t i = 0; i < b->n_bound; i++) {
        const Index *k = b->bound[i];
        if (array_lead_of(x, k) >= 0 || (mask && array_lead_of(mask, k) >= 0)) {
            continue;
        }
        return not_indexed(b, x, k);
    }
    return true;
}

/* ---- the reduction ---- */

/* A reduction of permuted axes is the same reduction of the axes themselves, when those that stay keep their
 * order. */
static Val reduce_unpermuted(Lower *l, ReduceKind k, Val x, uint32_t n, const uint8_t *axes) {
    const Node *node = node_of(l->b.g, x);
    uint8_t mapped[2 * MAX_RANK];
    bool gone[MAX_RANK] = {false}, ordered = node->op == OP_permute;
    for (uint32_t i = 0; i < n && ordered; i++) {
        mapped[i] = node->attr.axes.at[axes[i]];
        gone[axes[i]] = true;
    }
    int last = -1;
    for (uint32_t i = 0; i < node->shape.rank && ordered; i++) {
        if (!gone[i]) {
            ordered = node->attr.axes.at[i] > last;
            last = node->attr.axes.at[i];
        }
    }
    return ordered ? build_reduce(&l->b, k, operand(l->b.g, x, 0), n, mapped)
                   : build_reduce(&l->b, k, x, n, axes);
}

static Array reduce_axes(Bracket *b, ReduceKind k, Array x) {
    Lower *l = b->l;
    uint8_t axes[2 * MAX_RANK];
    uint32_t n = 0, n_lead = 0;
    const Index *lead[MAX_RANK];
    for (uint32_t i = 0; i < b->n_bound; i++) {
        axes[n++] = (uint8_t)array_lead_of(&x, b->bound[i]);
    }
    for (uint32_t i = 0; b->rest && i < x.rank; i++) {
        axes[n++] = (uint8_t)(x.n_lead + i);
    }
    for (uint32_t i = 0; i < x.n_lead; i++) {
        bool gone = false;
        for (uint32_t j = 0; j < b->n_bound; j++) {
            gone = gone || x.lead[i] == b->bound[j];
        }
        if (!gone) {
            lead[n_lead++] = x.lead[i];
        }
    }
    return array_make(l, reduce_unpermuted(l, k, x.val, n, axes), n_lead, lead, b->rest ? 0 : x.rank, x.dim);
}

static Array like(Lower *l, Val v, const Array *x) {
    return array_make(l, v, x->n_lead, x->lead, x->rank, x->dim);
}

/* How many elements a mean divides by: of all, the product of the extents; of some, those the mask lets in;
 * at least 1, so that the mean of nothing is 0. */
static Val divisor(Bracket *b, const Array *x, const Array *mask, const Array *result) {
    Lower *l = b->l;
    if (mask) {
        Array ones = like(l, build_cast(&l->b, DT_I32, mask->val), mask);
        Array n = reduce_axes(b, REDUCE_SUM, ones);
        Val least = build_2(&l->b, OP_max, n.val, build_const(&l->b, DT_I32, 1));
        return build_cast(&l->b, DT_F32, least);
    }
    Dim count = dim_const(l->a, 1);
    for (uint32_t i = 0; i < b->n_bound; i++) {
        count = dim_mul(l->a, count, b->bound[i]->extent);
    }
    for (uint32_t i = 0; b->rest && i < x->rank; i++) {
        count = dim_mul(l->a, count, x->dim[i]);
    }
    Val n = uniform_val(l, value_dim(l, b->e->at, dim_value(count) == 0 ? dim_const(l->a, 1) : count), DT_F32);
    return build_broadcast_like(&l->b, n, result->val);
}

/* log(sum(exp(x - m))) + m with m the maximum, taken as 0 where there is nothing above -inf. */
static Array logsumexp(Bracket *b, Array x) {
    Lower *l = b->l;
    Array m = reduce_axes(b, REDUCE_MAX, x);
    Val low = build_splat(&l->b, DT_F32, -__builtin_inf(), array_shape(&m));
    Val zero = build_splat(&l->b, DT_F32, 0, array_shape(&m));
    Val safe = build_select(&l->b, build_2(&l->b, OP_lt, low, m.val), m.val, zero);
    Array top = like(l, build_grad_as(&l->b, safe, (Val){0}), &m);
    Array both[2] = {x, top};
    const Span at[2] = {b->e->at, b->e->at};
    Array spread = array_spread(l, top, x.n_lead, x.lead);
    both[1] = spread;
    if (x.rank > 0 && b->rest) {
        uint8_t axes[MAX_RANK];
        for (uint32_t i = 0; i < spread.n_lead; i++) {
            axes[i] = (uint8_t)i;
        }
        both[1] = like(l, build_broadcast(&l->b, spread.val, array_shape(&x), axes), &x);
    }
    whole_align(l, b->e->at, 2, both, at);
    Array e = like(l, build_1(&l->b, OP_exp, build_2(&l->b, OP_sub, both[0].val, both[1].val)), &both[0]);
    Array s = reduce_axes(b, REDUCE_SUM, e);
    return like(l, build_2(&l->b, OP_add, build_1(&l->b, OP_log, s.val), top.val), &s);
}

static V reduced(Bracket *b, Array x, const Array *mask) {
    Lower *l = b->l;
    Array r;
    switch (b->e->reduce.op) {
    case RED_SUM: r = reduce_axes(b, REDUCE_SUM, x); break;
    case RED_MEAN:
        r = reduce_axes(b, REDUCE_SUM, x);
        r = like(l, build_2(&l->b, OP_div, build_cast(&l->b, DT_F32, r.val), divisor(b, &x, mask, &r)), &r);
        break;
    case RED_PROD: r = reduce_axes(b, REDUCE_PROD, x); break;
    case RED_MAX: r = reduce_axes(b, REDUCE_MAX, x); break;
    case RED_MIN: r = reduce_axes(b, REDUCE_MIN, x); break;
    case RED_ANY: r = reduce_axes(b, REDUCE_ANY, x); break;
    case RED_ALL: r = reduce_axes(b, REDUCE_ALL, x); break;
    case RED_ARGMAX: r = reduce_axes(b, REDUCE_ARGMAX, x); break;
    case RED_ARGMIN: r = reduce_axes(b, REDUCE_ARGMIN, x); break;
    case RED_LOGSUMEXP: r = logsumexp(b, x); break;
    case RED_COUNT: GR_BUG("a reducer without kind");
    }
    return value_array(l, b->e->at, r);
}

static V evaluate(Bracket *b) {
    Lower *l = b->l;
    Reducer r = b->e->reduce.op;
    bool masked = b->n_conditions > 0 || b->statistic;
    if (r == RED_SUM && !masked && !b->rest) {
        V v = contract_try(l, b->e, b->n_bound, b->bound);
        if (v) {
            return v;
        }
    }
    Array x, mask;
    DType t;
    if (!factors_fine(b) || !eval_array(l, b->e->reduce.x, &x) || !condition_mask(b, &mask) ||
        !operand_type(b, &x, &t)) {
        return value_poison(l);
    }
    if (!indices_used(b, &x, masked ? &mask : NULL)) {
        return value_poison(l);
    }
    if (b->rest && x.rank == 0) {
        Diag *d = report(l, DIAG_REDUCE, b->e->at, "`%s[..]` of one number", reducer_text(r));
        report_label(l, d, b->e->reduce.x->at, "%.*s has no dims to reduce", FSTR(array_describe(l, &x)));
        return value_poison(l);
    }
    x = array_cast(l, x, t);
    if (masked) {
        const Index *lead[2 * MAX_RANK];
        uint32_t n = leads_union(lead, leads_union(lead, 0, x.lead, x.n_lead), mask.lead, mask.n_lead);
        if (!shape_fits(l, b->e->at, n, lead, x.rank, x.dim)) {
            return value_poison(l);
        }
        x = array_spread(l, x, n, lead);
        mask = array_spread(l, mask, n, lead);
        Array wide = mask; /* over the dims of x as well */
        if (x.rank > 0) {
            uint8_t at[MAX_RANK];
            for (uint32_t i = 0; i < n; i++) {
                at[i] = (uint8_t)i;
            }
            wide = like(l, build_broadcast(&l->b, mask.val, array_shape(&x), at), &x);
        }
        if (b->rest) {
            mask = wide;
        }
        Val none = build_splat(&l->b, t, identity(r, t), array_shape(&x));
        x = like(l, build_select(&l->b, wide.val, x.val, none), &x);
        if (!b->rest && x.rank > 0 && r == RED_MEAN) {
            mask = wide;
        }
    }
    V v = reduced(b, x, masked ? &mask : NULL);
    return b->statistic ? statistic_reduced(l, b->e, v) : v;
}

V reduce_eval(Lower *l, const Expr *e) {
    uint32_t before = l->frame->indices.n, memos = l->memo.n;
    Bracket b = {.l = l, .e = e};
    WindowSink *sink = l->sink;
    l->sink = NULL;
    read_items(&b);
    V v = NULL;
    if (!b.failed) {
        index_infer(l, e->reduce.x);
        for (uint32_t i = 0; i < b.n_conditions; i++) {
            index_infer(l, b.condition[i]);
        }
        extents_of_conditions(&b);
        v = b.failed ? NULL : evaluate(&b);
    }
    for (uint32_t i = before; i < l->frame->indices.n && v && v->kind != VAL_POISON; i++) {
        if (l->frame->indices.at[i]->extent == NULL) {
            v = NULL;
        }
    }
    for (uint32_t i = before; i < l->frame->indices.n; i++) {
        vec_push(l->a, &l->closed, (Closed){l->frame->indices.at[i]->name, e});
    }
    index_drop(l, before);
    l->memo.n = memos;
    l->sink = sink;
    return v ? v : value_poison(l);
}
