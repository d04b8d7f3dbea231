/* Index form.  `y[n,i,:] = E` binds the indices n and i, evaluates E in whole form with them as leading dims of
 * whatever mentions them, and turns them back into dims of y.  Extents come from plain uses (`x[i]`), found before the
 * statement is evaluated, or are said on the left: `n < K`.  What an access does with an index is access.c. */
#include "affine.h"
#include <string.h>

/* ---- binding ---- */

Index *index_new(Lower *l, Name name) {
    Span at;
    Index *old = scope_index(l->frame, name.text);
    if (old) {
        Diag *d =
            report(l, DIAG_INDEX, name.at, "`%.*s` is bound already in this statement", FSTR(name.text));
        report_label(l, d, old->name.at, "bound here");
        diag_help(d, "give this one another letter");
        return NULL;
    }
    if (scope_is_value(l, name.text, &at)) {
        Place p = sources_place(l->p->sources, at);
        Diag *d =
            report(l, DIAG_INDEX_NAME, name.at,
                   "`%.*s` is the value of line %u; an index needs another letter", FSTR(name.text), p.line);
        report_label(l, d, at, "the value");
        return NULL;
    }
    Index *i = PUSH(l->a, Index, 1);
    *i = (Index){.name = name, .birth = ++l->births};
    vec_push(l->a, &l->frame->indices, i);
    return i;
}

void index_drop(Lower *l, uint32_t n_before) { l->frame->indices.n = n_before; }

/* ---- extents from plain uses ---- */

static Index *plain_index(Lower *l, const Item *item) {
    if (item->kind != ITEM_EXPR || item->expr->kind != EX_NAME) {
        return NULL;
    }
    return scope_index(l->frame, item->expr->name.text);
}

/* Does the expression depend on an index of this statement, or on one that a reducer will bind? */
typedef struct { Lower *l; bool found; } Depends;

static bool depends(void *user, const Expr *e) {
    Depends *d = user;
    if (e->kind == EX_NAME && (scope_index(d->l->frame, e->name.text) || scope_try(d->l, e->name) == NULL)) {
        d->found = true;
    }
    return !d->found;
}

/* The base of an access, when it can be known before the statement: a name, a column, or a call without
 * indices, which is made once and remembered. */
static V known_base(Lower *l, const Expr *base) {
    if (base->kind == EX_NAME) {
        const Binding *b = scope_find(l->frame, base->name.text);
        return b ? b->value : settings_value(l, base->name.text);
    }
    if (base->kind == EX_FIELD && base->field.base->kind == EX_NAME) {
        const Binding *b = scope_find(l->frame, base->field.base->name.text);
        return b && b->value->kind == VAL_BATCH ? eval(l, base) : NULL;
    }
    if (base->kind != EX_CALL && base->kind != EX_PIPE) {
        return NULL;
    }
    for (uint32_t i = 0; i < l->memo.n; i++) {
        if (l->memo.at[i].expr == base) {
            return l->memo.at[i].value;
        }
    }
    const Expr *callee = base->kind == EX_CALL ? base->call.callee : base->pipe.f;
    if (callee->kind == EX_FIELD) {
        return NULL;
    }
    Depends d = {l, false};
    walk_expr(base, depends, &d);
    if (d.found) {
        return NULL;
    }
    V v = eval(l, base);
    vec_push(l->a, &l->memo, (Memo){base, v});
    return v;
}

static bool infer(void *user, const Expr *e) {
    Lower *l = user;
    if (e->kind != EX_INDEX) {
        return true;
    }
    const ItemVec *items = &e->index.items;
    bool wanted = false;
    for (uint32_t i = 0; i < items->n; i++) {
        const Index *x = plain_index(l, &items->at[i]);
        wanted = wanted || (x && x->extent == NULL);
    }
    V v = wanted ? known_base(l, e->index.base) : NULL;
    for (uint32_t i = 0; v && v->kind == VAL_POISON && i < items->n; i++) {
        Index *x = plain_index(l, &items->at[i]);
        if (x && x->extent == NULL) {
            x->extent = dim_const(l->a, 1);
            x->poison = true;
        }
    }
    if (v == NULL || v->kind != VAL_ARRAY) {
        return true;
    }
    uint32_t explicit_items = 0, axis = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        explicit_items += items->at[i].kind != ITEM_REST;
    }
    if (explicit_items > v->array.rank) {
        return true;
    }
    for (uint32_t i = 0; i < items->n; i++) {
        if (items->at[i].kind == ITEM_REST) {
            axis += v->array.rank - explicit_items;
            continue;
        }
        Index *x = plain_index(l, &items->at[i]);
        if (x && x->extent == NULL) {
            x->extent = v->array.dim[axis];
            x->extent_at = e->at;
        }
        axis++;
    }
    return true;
}

void index_infer(Lower *l, const Expr *e) {
    for (uint32_t i = 0; i < l->frame->indices.n; i++) {
        if (l->frame->indices.at[i]->extent == NULL) {
            walk_expr(e, infer, l);
            return;
        }
    }
}

/* ---- `y[n,i,:] = E` ---- */

static bool bind_items(Lower *l, const Target *t) {
    bool fine = true;
    for (uint32_t k = 0; k < t->items.n; k++) {
        const TargetItem *item = &t->items.at[k];
        if (item->kind != TI_INDEX) {
            continue;
        }
        Index *i = index_new(l, item->name);
        fine = fine && i != NULL;
        if (i && item->extent) {
            Dim d;
            if (dim_expr_value(l, item->extent, &d) && shape_fits(l, item->at, 0, NULL, 1, &d)) {
                i->extent = d;
                i->extent_at = item->at;
            } else {
                i->extent = dim_const(l->a, 1);
                fine = false;
            }
        }
    }
    return fine;
}

/* The statement's indices become dims again, in the order of the target; `..` and `:` are the dims of the
 * value. */
static V close_form(Lower *l, const Target *t, Array x, Index *const *bound, uint32_t n_bound) {
    uint32_t whole = 0;
    bool rest = false;
    for (uint32_t k = 0; k < t->items.n; k++) {
        whole += t->items.at[k].kind == TI_ALL;
        rest = rest || t->items.at[k].kind == TI_REST;
    }
    if (rest ? x.rank < whole : x.rank != whole) {
        Diag *d = report(l, DIAG_SHAPE, t->at, "`%.*s` leaves %u dims to the right side, which is %.*s there",
                         FSTR(t->name.text), whole, FSTR(array_describe(l, &x)));
        diag_help(d, "a `:` in the brackets stands for each dim of the value, `..` for all of them");
        return value_poison(l);
    }
    for (uint32_t k = 0; k < n_bound; k++) {
        if (!affine_extent_known(l, bound[k], bound[k]->name.at)) {
            return value_poison(l);
        }
    }
    const Index *const *some = (const Index *const *)bound;
    const Index *all[2 * MAX_RANK];
    uint32_t n_all = leads_union(all, leads_union(all, 0, x.lead, x.n_lead), some, n_bound);
    if (!shape_fits(l, t->at, n_all, all, x.rank, x.dim)) {
        return value_poison(l);
    }
    x = array_spread(l, x, n_bound, some);
    uint8_t at[MAX_RANK];
    const Index *lead[MAX_RANK];
    Dim dim[MAX_RANK];
    uint32_t n_lead = 0, n = 0, rank = 0, next_bound = 0, next_dim = 0;
    for (uint32_t k = 0; k < x.n_lead; k++) {
        bool mine = false;
        for (uint32_t j = 0; j < n_bound; j++) {
            mine = mine || x.lead[k] == bound[j];
        }
        if (!mine) {
            at[n++] = (uint8_t)k;
            lead[n_lead++] = x.lead[k];
        }
    }
    for (uint32_t k = 0; k < t->items.n; k++) {
        uint32_t take = t->items.at[k].kind == TI_REST ? x.rank - whole : 1;
        if (t->items.at[k].kind == TI_INDEX) {
            at[n++] = (uint8_t)array_lead_of(&x, bound[next_bound]);
            dim[rank++] = bound[next_bound++]->extent;
            continue;
        }
        for (uint32_t j = 0; j < take; j++, next_dim++) {
            at[n++] = (uint8_t)(x.n_lead + next_dim);
            dim[rank++] = x.dim[next_dim];
        }
    }
    return value_array(l, t->at, array_make(l, build_permute(&l->b, x.val, at), n_lead, lead, rank, dim));
}

V index_form(Lower *l, const Target *t, const Expr *value) {
    uint32_t before = l->frame->indices.n, memos = l->memo.n, closed = l->closed.n;
    uint32_t saved_name = l->b.name;
    l->b.name = name_id(l, t->name.text);
    V v;
    if (!t->indexed) {
        v = eval(l, value);
    } else if (!bind_items(l, t)) {
        v = value_poison(l);
    } else {
        Array x;
        index_infer(l, value);
        v = eval_array(l, value, &x)
                ? close_form(l, t, x, l->frame->indices.at + before, l->frame->indices.n - before)
                : value_poison(l);
    }
    index_drop(l, before);
    l->memo.n = memos;
    l->closed.n = closed;
    l->b.name = saved_name;
    return v;
}

/* The indices of a further target, in its order: those of the first one.  False: reported. */
static bool same_indices(Lower *l, const Target *t, bool first, uint32_t before, Index **out) {
    uint32_t bound = l->frame->indices.n - before, n = 0;
    for (uint32_t k = 0; k < t->items.n; k++) {
        if (t->items.at[k].kind != TI_INDEX) {
            continue;
        }
        Index *i = NULL;
        for (uint32_t j = before; j < l->frame->indices.n; j++) {
            Index *have = l->frame->indices.at[j];
            i = str_eq(have->name.text, t->items.at[k].name.text) ? have : i;
        }
        for (uint32_t j = 0; j < n && i; j++) {
            i = out[j] == i ? NULL : i;
        }
        if (i == NULL || (t->items.at[k].extent && !first)) {
            n = bound + 1;
            break;
        }
        out[n++] = i;
    }
    if (n != bound) {
        Diag *d = report(l, DIAG_INDEX, t->at, "results of one call have the same indices, in any order");
        diag_help(d, "extents like `n < N` stand at the first of them; `_` drops a result");
    }
    return n == bound;
}

static V part_of(Lower *l, const Target *t, bool first, V v, uint32_t before) {
    Index *bound[MAX_RANK];
    Elem e;
    Array x;
    if (v->kind == VAL_POISON || (!t->indexed && str_is(t->name.text, "_"))) {
        return v;
    }
    if (!value_elem(v, &e)) {
        report(l, DIAG_TYPE, t->at, "in index form a result is a tensor or number, this is %.*s",
               FSTR(value_describe(l, v)));
        return value_poison(l);
    }
    if (!same_indices(l, t, first, before, bound)) {
        return value_poison(l);
    }
    array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(e), &x);
    return close_form(l, t, x, bound, l->frame->indices.n - before);
}

/* `a[n,:], b[n] = f(x[n])`: the indices of the first target are those of all. */
V index_form_several(Lower *l, const TargetVec *ts, const Expr *value) {
    uint32_t before = l->frame->indices.n, memos = l->memo.n, closed = l->closed.n, first = 0;
    while (!ts->at[first].indexed) {
        first++;
    }
    V v = value_poison(l);
    if (bind_items(l, &ts->at[first])) {
        index_infer(l, value);
        v = eval(l, value);
    }
    if ((v->kind == VAL_TUPLE || v->kind == VAL_LIST) && v->list.n == ts->n) {
        Value *parts = PUSH(l->a, Value, 1);
        *parts = *v;
        parts->list.at = PUSH(l->a, V, ts->n);
        for (uint32_t i = 0; i < ts->n; i++) {
            uint32_t saved_name = l->b.name;
            l->b.name = name_id(l, ts->at[i].name.text);
            parts->list.at[i] = part_of(l, &ts->at[i], i == first, v->list.at[i], before);
            l->b.name = saved_name;
        }
        v = parts;
    }
    index_drop(l, before);
    l->memo.n = memos;
    l->closed.n = closed;
    return v;
}
