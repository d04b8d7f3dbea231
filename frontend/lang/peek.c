/* Named values, for those who want to look at them.  An objective is lowered once more with every binding noted under
 * its path (`encoder.h`, `vae.kl`), its model's and functions' included; whoever asks for one gets it as an output of
 * that graph.  Nothing else changes: what is seen is what the losses are computed from, in training mode with its
 * dropout and batch statistics, or in evaluation mode. */
#include "lower.h"

struct PeekLower { Lower *l; VEC(V) values; Val total; };

static void note(Peek *p, NamedValue x, V value) {
    vec_push(p->lower->l->a, &p->at, x);
    vec_push(p->lower->l->a, &p->lower->values, value);
}

/* All columns, also those that nothing reads. */
static void note_columns(Peek *p, Str path, const Batch *b, V batch) {
    Lower *l = p->lower->l;
    const RecipeData *d = &l->p->recipe->data.at[b->data_id];
    for (uint32_t i = 0; i < d->columns.n; i++) {
        const RecipeColumn *c = &d->columns.at[i];
        note(p,
             (NamedValue){.path = str_format(l->a, "%.*s.%.*s", FSTR(path), FSTR(c->name)),
                          .type = str_of(dtype_name(c->dtype)),
                          .column = c->name,
                          .at = c->span,
                          .tensor = true},
             batch);
    }
}

/* A dim that carries an index of the caller (index form) stands in front, as in memory. */
static Str describe(Lower *l, V v) {
    if (v->kind != VAL_ARRAY || v->array.n_lead == 0) {
        return value_describe(l, v);
    }
    Array a = v->array;
    a.rank = (uint8_t)(a.n_lead + a.rank);
    for (uint32_t i = 0; i < a.rank; i++) {
        a.dim[i] = i < a.n_lead ? a.lead[i]->extent : v->array.dim[i - a.n_lead];
    }
    return array_describe(l, &a);
}

void peek_note(Lower *l, Name name, V v) {
    const Frame *f = l->frame;
    bool inside = f->kind == FRAME_OBJECTIVE || f->kind == FRAME_MODEL || f->kind == FRAME_DEF;
    if (!inside || v->kind == VAL_FUNCTION || v->kind == VAL_POISON) {
        return;
    }
    Str path = str_format(l->a, "%.*s.%.*s", FSTR(f->path), FSTR(name.text));
    if (v->kind == VAL_BATCH) {
        note_columns(l->peek, path, v->batch, v);
        return;
    }
    bool loop = v->kind == VAL_ARRAY && v->array.graph != l->main_graph;
    note(l->peek,
         (NamedValue){.path = path,
                      .type = describe(l, v),
                      .at = name.at,
                      .call = f->kind == FRAME_OBJECTIVE ? (Span){0} : report_site(l, f->call_at),
                      .tensor = !loop && (value_scalar(v) || v->kind == VAL_ARRAY),
                      .in_loop = loop,
                      .minor = v->kind == VAL_DIM || in_library(l->p, name.at)},
         v);
}

/* The first run of the first phase that trains the objective; false: none does. */
static bool find_run(const Recipe *r, Str objective, Lower *l) {
    for (uint32_t i = 0; i < r->phases.n; i++) {
        for (uint32_t k = 0; k < r->phases.at[i].runs.n; k++) {
            if (str_eq(r->objectives.at[r->phases.at[i].runs.at[k].objective].name, objective)) {
                l->phase = i;
                l->run = k;
                l->train = phase_decl(l->p, i);
                return true;
            }
        }
    }
    return false;
}

static const Decl *find_objective(const Program *p, Str name) {
    for (uint32_t i = 0; i < p->main->decls.n; i++) {
        const Decl *d = p->main->decls.at[i];
        if (d->kind == DECL_OBJECTIVE && str_eq(d->name.text, name)) {
            return d;
        }
    }
    GR_BUG("no objective `%.*s`", FSTR(name));
}

Peek *program_peek(Program *p, Str objective, bool training, int64_t rows, Diags *ds) {
    Peek *out = PUSH(p->arena, Peek, 1);
    Lower *l = lower_begin(p, LOWER_PEEK, str_format(p->arena, "%.*s.peek", FSTR(objective)), rows, ds);
    out->lower = PUSH(p->arena, struct PeekLower, 1);
    out->lower->l = l;
    out->graph = l->main_graph;
    l->peek = out;
    if (training) {
        find_run(p->recipe, objective, l);
    }
    const Decl *d = find_objective(p, objective);
    if (!objective_run(l, d, training, rows)) {
        return NULL;
    }
    Val *total = &out->lower->total;
    if (objective_total(l, total)) {
        Array x = array_make(l, *total, 0, NULL, 0, NULL);
        peek_note(l, (Name){STR("total"), d->name.at}, value_array(l, d->name.at, x));
    }
    out->graph->outputs.n = 0;             /* only what is asked for */
    l->peek = NULL;
    vec_push(p->arena, &p->lowered, (Lowered){LOWER_PEEK, str_copy(p->arena, objective), rows, out->graph});
    vec_push(p->module->arena, &p->module->graphs, out->graph);
    return out;
}

/* The value as a tensor of the graph; types of columns are known when they are taken. */
static Array tensor_of(Lower *l, NamedValue *x, V v) {
    Array out = {0};
    if (v->kind == VAL_BATCH) {
        v = batch_column(l, v->batch, (Name){x->column, x->at});
        x->type = describe(l, v);
    }
    Elem e;
    bool number = value_elem(v, &e) && array_from(l, v, v->kind == VAL_ARRAY ? v->array.dtype : elem_dtype(e), &out);
    GR_ASSERT(number);
    return out;
}

bool peek_take(Peek *p, uint32_t i, bool gradient) {
    NamedValue *x = &p->at.at[i];
    Lower *l = p->lower->l;
    GR_ASSERT(x->tensor);
    l->b.at = x->at;
    Array a = tensor_of(l, x, p->lower->values.at[i]);
    Val v = a.val;
    if (gradient) {
        if (a.dtype != DT_F32 || p->lower->total.i == 0) {
            return false;
        }
        v = build_result(&l->b, build_grad(&l->b, p->lower->total, 1, &v), 0);
    }
    graph_output(p->graph, OUT_VALUE, name_id(l, str_format(l->a, "%u", i)), v);
    return true;
}
