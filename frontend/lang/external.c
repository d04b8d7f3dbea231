/* `extern def f(..) -> (..) from "lib.so" gradient g`: a function written in C.  Its types are those that C has,
 * with dims that are names and numbers; names that only its arguments bind are the extents it is told.  A call is
 * one node: in index form the function is called for each value of the indices.  The library is looked at when it
 * is there; whoever runs the program needs it. */
#include "lower.h"
#include "native.h"

/* ---- the declaration ---- */

static bool part_fits(Lower *l, const Param *p, bool result) {
    const TypeSyntax *t = p->type;
    DType dtype;
    if (t == NULL || !type_element(t, &dtype) || !native_takes(dtype)) {
        Diag *d = report(l, DIAG_EXTERN, t ? t->at : p->name.at, "`%.*s` needs a type that C has", FSTR(p->name.text));
        diag_help(d, "`real` or `f32` is float, `f64` double, `int` or `i32` int32_t, `i64` int64_t, `u8` uint8_t, "
                     "`bool` uint8_t");
        return false;
    }
    if (t->bound) {
        report(l, DIAG_EXTERN, t->bound->at, "nothing checks a bound of what goes to C or comes from it");
        return false;
    }
    for (uint32_t i = 0; t->has_dims && i < t->dims.n; i++) {
        if (t->dims.at[i].kind != DIM_EXPR) {
            Diag *d = report(l, DIAG_EXTERN, t->dims.at[i].at, "a function in C has dims with a name or number each");
            diag_help(d, result ? "make it of the names in the arguments' types"
                                : "name it: `real[K, 3]`; in index form, `y[n] = f(x[n])`, it is called for each n");
            return false;
        }
    }
    return true;
}

/* Is the function in the library?  Nothing is said when there is no such file yet. */
static bool look_for(Lower *l, Str library, Name symbol, Span library_at) {
    Error e = {0};
    void *function;
    GrStatus status = native_find(library, symbol.text, &function, &e);
    if (status == GR_OK || status == GR_IO) {
        return true;
    }
    bool loaded = status == GR_DATA;
    Diag *d = report(l, DIAG_EXTERN, loaded ? symbol.at : library_at, "%s", e.what);
    if (loaded) {
        report_label(l, d, library_at, "looked for here");
    }
    diag_help(d, "%s", e.help);
    return loaded;
}

/* Beside the text that says it. */
static Str library_path(Lower *l, const Decl *d) {
    Str s = d->external.library.text, folder = scope_of(l->p, d->at)->folder;
    bool absolute = s.n > 0 && s.s[0] == '/';
    return str_format(l->m->arena, "%.*s%.*s", absolute ? 0 : (int)folder.n, folder.s, FSTR(s));
}

static void declare(Lower *l, const Decl *d) {
    bool fine = d->name.text.n > 0;               /* else the parser has said what is wrong */
    for (uint32_t i = 0; i < d->external.sig.args.n; i++) {
        fine = part_fits(l, &d->external.sig.args.at[i], false) && fine;
    }
    for (uint32_t i = 0; i < d->external.sig.results.n; i++) {
        fine = part_fits(l, &d->external.sig.results.at[i], true) && fine;
    }
    if (fine && d->external.sig.results.n == 0) {
        report(l, DIAG_EXTERN, d->name.at, "`%.*s` gives nothing: what it changes elsewhere, nothing waits for",
               FSTR(d->name.text));
    } else if (fine && str_is(sources_text(l->p->sources, d->external.library.at), "\"\"")) {
        report(l, DIAG_EXTERN, d->external.library.at, "the library has no name");
    } else if (fine && d->external.library.text.n > 0) {
        Str library = library_path(l, d);
        bool loaded = look_for(l, library, d->name, d->external.library.at);
        if (loaded && d->external.gradient.text.n > 0) {
            look_for(l, library, d->external.gradient, d->external.library.at);
        }
    }
}

void extern_declare(Lower *l) {
    for (uint32_t i = 0; i < l->p->scopes.n; i++) {
        const Scope *s = l->p->scopes.at[i];
        for (uint32_t k = 0; k < s->decls.n; k++) {
            if (s->decls.at[k]->kind == DECL_EXTERN) {
                declare(l, s->decls.at[k]);
            }
        }
    }
}

/* ---- a call ---- */

/* The arguments as they are passed, all with the same indices in front. */
static bool operands(Lower *l, const ParamVec *ps, Array *in, uint32_t *n_lead, const Index **lead) {
    *n_lead = 0;
    for (uint32_t i = 0; i < ps->n; i++) {
        V v = scope_find(l->frame, ps->at[i].name.text)->value;
        DType t;
        if (!type_element(ps->at[i].type, &t) || !array_from(l, v, v->kind == VAL_ARRAY ? t : elem_dtype(dtype_elem(t)),
                                                             &in[i])) {
            return false;
        }
        in[i] = array_cast(l, in[i], t);
        *n_lead = leads_union(lead, *n_lead, in[i].lead, in[i].n_lead);
    }
    for (uint32_t i = 0; i < ps->n; i++) {
        if (!shape_fits(l, l->frame->call_at, *n_lead, lead, in[i].rank, in[i].dim)) {
            return false;
        }
        in[i] = array_spread(l, in[i], *n_lead, lead);
    }
    return true;
}

/* The extents that the arguments bound, in the order of their names in the signature. */
static void extents(Lower *l, Extern *x) {
    int64_t *at = PUSH(l->m->arena, int64_t, l->frame->names.n + 1);
    for (uint32_t i = 0; i < l->frame->names.n; i++) {
        const Binding *b = &l->frame->names.at[i];
        if (b->extent && b->value->kind == VAL_DIM) {
            at[x->n_extents++] = dim_value(b->value->d.dim);
        }
    }
    x->extents = at;
}

static Type type_at(const Array *a) { return (Type){a->dtype, array_shape(a)}; }

/* What a result will be; its node is not there yet. */
static bool result_type_of(Lower *l, const TypeSyntax *t, uint32_t n_lead, const Index *const *lead, Array *out) {
    uint32_t rank;
    *out = (Array){.n_lead = (uint8_t)n_lead};
    if (!type_element(t, &out->dtype) || !type_dims(l, t, &rank, out->dim) ||
        !shape_fits(l, l->frame->call_at, n_lead, lead, rank, out->dim)) {
        return false;
    }
    out->rank = (uint8_t)rank;
    for (uint32_t i = 0; i < n_lead; i++) {
        out->lead[i] = lead[i];
    }
    return true;
}

static V results_of(Lower *l, const ParamVec *rs, Val call, const Array *types) {
    Value *v = PUSH(l->a, Value, 1);
    *v = (Value){.kind = VAL_TUPLE};
    v->list.n = rs->n;
    v->list.at = PUSH(l->a, V, rs->n);
    v->list.names = PUSH(l->a, Str, rs->n);
    for (uint32_t i = 0; i < rs->n; i++) {
        const Array *t = &types[i];
        Array a = array_make(l, build_result(&l->b, call, i), t->n_lead, t->lead, t->rank, t->dim);
        v->list.at[i] = value_array(l, rs->at[i].name.at, a);
        v->list.names[i] = rs->at[i].name.text;
    }
    return rs->n == 1 ? v->list.at[0] : v;
}

static bool typed(const ParamVec *ps) {
    for (uint32_t i = 0; i < ps->n; i++) {
        DType dtype;
        if (ps->at[i].type == NULL || !type_element(ps->at[i].type, &dtype) || !native_takes(dtype)) {
            return false;
        }
    }
    return true;
}

/* Does the declaration say all that a call needs?  What is missing has been told where it stands. */
static bool complete(const Decl *d) {
    return d->name.text.n > 0 && d->external.library.text.n > 0 && d->external.sig.results.n > 0 &&
           typed(&d->external.sig.args) && typed(&d->external.sig.results);
}

bool extern_body(Lower *l, const Decl *d, V *out) {
    const ParamVec *ps = &d->external.sig.args, *rs = &d->external.sig.results;
    const Index *lead[2 * MAX_RANK] = {0};
    uint32_t n_lead, n_errors = diags_errors(l->ds);
    *out = value_poison(l);
    if (!complete(d)) {
        return false;
    }
    Array *in = PUSH(l->a, Array, ps->n + 1), *types = PUSH(l->a, Array, rs->n + 1);
    Val *vals = PUSH(l->a, Val, ps->n + 1);
    Type *results = PUSH(l->m->arena, Type, rs->n + 1);
    if (!operands(l, ps, in, &n_lead, lead)) {
        return false;
    }
    for (uint32_t i = 0; i < rs->n; i++) {
        if (!result_type_of(l, rs->at[i].type, n_lead, lead, &types[i])) {
            return false;
        }
        results[i] = type_at(&types[i]);
    }
    for (uint32_t i = 0; i < ps->n; i++) {
        vals[i] = in[i].val;
    }
    Extern *x = PUSH(l->m->arena, Extern, 1);
    *x = (Extern){.library = library_path(l, d), .symbol = d->name.text, .nograd = d->external.nograd,
                  .batch = (uint8_t)n_lead, .n_results = rs->n, .results = results};
    x->gradient = x->nograd ? (Str){0} : d->external.gradient.text;
    extents(l, x);
    *out = results_of(l, rs, build_extern(&l->b, x, ps->n, vals), types);
    return diags_errors(l->ds) == n_errors;
}
