/* `repeat x = E until c`: rejection.  A row cannot loop for itself, so a fixed number of attempts is drawn side
 * by side, with the attempt as one more index, and each row takes its first that fits.  A row that has none reads
 * outside the attempts, which stops the run. */
#include "data.h"

enum { MOST_ATTEMPTS = 64 };

/* The last lead of x, which is the attempt, as its first dim. */
static bool attempts_first(Lower *l, const Stmt *s, const char *what, const Index *attempt, Array *x) {
    if (x->n_lead == 0 || x->lead[x->n_lead - 1] != attempt) {
        Diag *d = report(l, DIAG_DATA_DECL, s->at, "%s is the same at every attempt", what);
        diag_help(d, "`repeat` draws anew: `repeat x = normal() until x > 0`");
        return false;
    }
    Dim dim[MAX_RANK];
    dim[0] = attempt->extent;
    for (uint32_t i = 0; i < x->rank; i++) {
        dim[i + 1] = x->dim[i];
    }
    *x = array_make(l, x->val, x->n_lead - 1u, x->lead, x->rank + 1u, dim);
    return true;
}

/* The number of the first attempt that fits, one too many where none does. */
static Array first_fitting(Lower *l, Array fits) {
    uint8_t axis = fits.n_lead;
    Val first = build_reduce(&l->b, REDUCE_ARGMAX, build_cast(&l->b, DT_I32, fits.val), 1, &axis);
    Val any = build_reduce(&l->b, REDUCE_ANY, fits.val, 1, &axis);
    Array r = array_make(l, first, fits.n_lead, fits.lead, 0, NULL);
    Val none = build_splat(&l->b, DT_I32, MOST_ATTEMPTS, array_shape(&r));
    return array_make(l, build_select(&l->b, any, first, none), r.n_lead, r.lead, 0, NULL);
}

static V accepted(Lower *l, const Stmt *s, V v, const Index *attempt) {
    Array x, fits;
    Elem t;
    if (!eval_array(l, s->repeat.until, &fits) || v->kind == VAL_POISON || !value_elem(v, &t) ||
        !array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(t), &x)) {
        return value_poison(l);
    }
    if (fits.dtype != DT_BOOL || fits.rank > 0) {
        report(l, DIAG_TYPE, s->repeat.until->at, "`until` asks for one bool, this is %.*s",
               FSTR(array_describe(l, &fits)));
        return value_poison(l);
    }
    fits = array_here(l, fits);
    x = array_here(l, x);
    if (!attempts_first(l, s, "the condition", attempt, &fits) ||
        !attempts_first(l, s, "the value", attempt, &x) ||
        !index_gather(l, x, 0, first_fitting(l, fits), &x)) {
        return value_poison(l);
    }
    return value_array(l, s->repeat.target.at, x);
}

void repeat_eval(Lower *l, const Stmt *s) {
    Frame *f = l->frame;
    Name name = s->repeat.target.name;
    if (l->data == NULL || f->kind != FRAME_DATA || f->n_ambient == MAX_RANK) {
        Diag *d = report(l, DIAG_DATA_DECL, s->at, "`repeat` belongs into `data`");
        diag_help(d, "a loop whose length depends on what is drawn has no place in a training step");
        scope_bind(l, name, value_poison(l));
        return;
    }
    l->p->recipe->data.at[l->data->data].repeats = true;
    Index *attempt = PUSH(l->a, Index, 1);
    *attempt = (Index){.name = {STR("attempt"), s->at}, .birth = ++l->births,
                       .extent = dim_const(l->a, MOST_ATTEMPTS)};
    f->ambient[f->n_ambient++] = attempt;
    V v = index_form(l, &s->repeat.target, s->repeat.value);
    scope_bind(l, name, v);
    V kept = accepted(l, s, v, attempt);
    f->n_ambient--;
    scope_bind(l, name, kept);
}
