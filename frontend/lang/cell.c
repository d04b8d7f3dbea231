/* Variables: `param` and `state` of layers, and of optimisers.  A variable is found by its path, so every
 * graph of the program that walks the same text names the same one; whoever makes it first also writes its
 * initial value into the graph `init`. Within a step a variable has a value that `<-` replaces at once; what
 * was written is committed at the end. */
#include "lower.h"

uint32_t name_id(Lower *l, Str s) { return intern_id(l->m->names, s); }

uint32_t cell_find(Lower *l, Str path) { return strmap_get(&l->p->var_places, path); }

void cell_rename(Lower *l, uint32_t var, Str path) {
    strmap_put(l->m->arena, &l->p->var_places, l->m->vars.at[var].path, 0);
    strmap_put(l->m->arena, &l->p->var_places, path, var + 1);
    l->m->vars.at[var].path = path;
}

uint32_t cell_var(Lower *l, VarKind k, Str path, DType t, Shape shape, Span at, bool *fresh) {
    uint32_t found = cell_find(l, path);
    *fresh = found == 0;
    if (found) {
        return found - 1;
    }
    Str model = l->frame ? l->frame->model : (Str){0};
    Var v = {.kind = k,
             .path = str_copy(l->m->arena, path),
             .dtype = t,
             .shape = shape,
             .span = at,
             .model = model.n ? name_id(l, model) : 0,
             .of = k == VAR_OPTIM ? l->optim_of : 0};
    vec_push(l->m->arena, &l->m->vars, v);
    strmap_put(l->m->arena, &l->p->var_places, v.path, l->m->vars.n);
    return l->m->vars.n - 1;
}

static VarNow *slot(Lower *l, uint32_t var) {
    while (l->now.n <= var) {
        vec_push(l->a, &l->now, (VarNow){0});
    }
    return &l->now.at[var];
}

Val cell_now(Lower *l, uint32_t var) {
    VarNow *s = slot(l, var);
    if (s->now.i == 0) {
        const Var *v = &l->m->vars.at[var];
        Build b = {l->main_graph, v->span, name_id(l, v->path)};
        s->now = build_arg(&b, ARG_VAR, var, (Type){v->dtype, v->shape});
    }
    s->read = true;
    return s->now;
}

void cell_set(Lower *l, uint32_t var, Val v) {
    VarNow *s = slot(l, var);
    s->now = v;
    s->dirty = true;
}

Array cell_array(Lower *l, uint32_t var, uint32_t rank, const Dim *dim) {
    Array here;
    if (scan_state(l, var, &here)) {
        return here;
    }
    Array a = {.val = cell_now(l, var),
               .graph = l->main_graph,
               .dtype = l->m->vars.at[var].dtype,
               .rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++) {
        a.dim[i] = dim[i];
    }
    return a;
}

void cell_write(Lower *l, uint32_t var, Array x) {
    if (!scan_set_state(l, var, x)) {
        cell_set(l, var, x.val);
    }
}

void cell_commit(Lower *l) {
    for (uint32_t i = 0; i < l->now.n; i++) {
        if (l->now.at[i].dirty) {
            build_commit(&l->b, i, l->now.at[i].now);
        }
    }
}

/* The initial value, in the graph `init`: a draw in it has the variable's shape and path. */
void cell_init(Lower *l, uint32_t var, const Expr *init, uint32_t rank, const Dim *dim) {
    Build saved = l->b;
    ScanScope *scan = l->scan;
    l->scan = NULL;
    l->b =
        (Build){l->p->init, init ? init->at : l->m->vars.at[var].span, name_id(l, l->m->vars.at[var].path)};
    Array like = {.graph = l->p->init, .rank = (uint8_t)rank}, x;
    for (uint32_t i = 0; i < rank; i++) {
        like.dim[i] = dim[i];
    }
    l->draw_like = &like;
    l->draw_path = follow_original(l, l->m->vars.at[var].path);
    V v = init ? eval(l, init) : value_number(l, saved.at, 0);
    l->draw_like = NULL;
    Elem t;
    if (v->kind != VAL_POISON && (!value_elem(v, &t) || t == ELEM_BOOL)) {
        report(l, DIAG_TYPE, init->at, "an initial value is a number or tensor, this is %.*s",
               FSTR(value_describe(l, v)));
    } else if (v->kind != VAL_POISON && array_from(l, v, DT_F32, &x)) {
        Array both[2] = {x, like};
        bool scalar = x.rank == 0, same = x.rank == rank;
        for (uint32_t i = 0; same && i < rank; i++) {
            same = dim_eq(both[0].dim[i], dim[i]);
        }
        if (x.n_lead == 0 && (scalar || same)) {
            build_commit(&l->b, var, build_broadcast(&l->b, x.val, l->m->vars.at[var].shape, NULL));
        } else {
            report(l, DIAG_SHAPE, init->at, "an initial value of %.*s for a variable of %.*s",
                   FSTR(array_describe(l, &x)),
                   FSTR(array_describe(
                       l, &(Array){.dtype = DT_F32,
                                   .rank = like.rank,
                                   .dim = {like.dim[0], like.dim[1], like.dim[2], like.dim[3], like.dim[4],
                                           like.dim[5], like.dim[6], like.dim[7]}})));
        }
    }
    l->b = saved;
    l->scan = scan;
}

static const Frame *root_of(const Frame *f) {
    while (f->caller && f->kind != FRAME_OBJECTIVE && f->kind != FRAME_EXPORT && f->kind != FRAME_OPTIMIZER) {
        f = f->caller;
    }
    return f;
}

/* `b.x` of `linear(b.x, 1)`; empty when the call is written in another way. */
static Str first_argument(Str call, Str maker) {
    if (call.n <= maker.n + 1 || call.n > 60 || !str_eq((Str){call.s, maker.n}, maker) || call.s[maker.n] != '(') {
        return (Str){0};
    }
    uint32_t from = maker.n + 1, end = from;
    for (int depth = 0; end < call.n; end++) {
        char c = call.s[end];
        if (depth == 0 && (c == ',' || c == ')')) {
            return (Str){call.s + from, end - from};
        }
        if (c == '=' || c == '\n') {
            break;
        }
        depth += (c == '(' || c == '[') - (c == ')' || c == ']');
    }
    return (Str){0};
}

/* `linear` in an objective: no export could reach those weights. */
static void no_weights_here(Lower *l, Span at) {
    const Frame *root = root_of(l->frame), *f = l->frame;
    const char *holder = root->kind == FRAME_OBJECTIVE   ? "an objective"
                         : root->kind == FRAME_EXPORT    ? "an export"
                         : root->kind == FRAME_OPTIMIZER ? "an optimizer"
                                                         : "this place";
    Str maker = f->decl && f->kind == FRAME_DEF ? f->decl->name.text : STR("param");
    Span site = f->kind == FRAME_DEF ? f->call_at : at;
    Diag *d = report(l, DIAG_WEIGHTS, site, "`%.*s` makes weights, %s holds none", FSTR(maker), holder);
    Str text = sources_text(l->p->sources, site), first = first_argument(text, maker);
    if (first.n) {
        Str rest = {first.s + first.n, (uint32_t)(text.s + text.n - (first.s + first.n))};
        diag_help(d, "declare `model part(x : real[N, ..]) -> (y : real[N, ..]) { y = %.*s(x%.*s }` and write "
                     "`part(%.*s)` here: an export can then use the same weights",
                  FSTR(maker), FSTR(rest), FSTR(first));
    } else {
        diag_help(d, "put it in a `model`: then an export can use the same weights");
    }
}

static bool cell_shape(Lower *l, const Stmt *s, uint32_t *rank, Dim *dim) {
    const TypeSyntax *t = s->cell.type;
    DType e;
    *rank = 0;
    if (t == NULL) {
        return true;
    }
    if (!type_element(t, &e) || e != DT_F32) {
        report(l, DIAG_TYPE, t->at, "a variable is real, with dims that are known");
        return false;
    }
    if (!type_dims(l, t, rank, dim)) {
        return false;
    }
    for (uint32_t i = 0; i < *rank; i++) {
        int64_t x;
        if (!dim_known(dim[i], &x) || x < 1) {
            report(l, DIAG_SHAPE, t->dims.at[i].at,
                   "an extent of a variable is fixed and at least 1, this is %.*s",
                   FSTR(value_describe(l, value_dim(l, t->at, dim[i]))));
            return false;
        }
    }
    return true;
}

static void poison_names(Lower *l, const Stmt *s) {
    for (uint32_t i = 0; i < s->cell.names.n; i++) {
        scope_bind(l, s->cell.names.at[i], value_poison(l));
    }
}

/* Each turn of a `for` has its own. */
static Str cell_path(Lower *l, Name name) {
    const Frame *f = l->frame;
    return str_format(l->a, "%.*s%s%.*s%.*s", FSTR(f->path), f->path.n ? "." : "", FSTR(name.text), FSTR(f->turn));
}

/* One variable, made or found; the copy of one also makes what it follows. */
static uint32_t variable(Lower *l, const Stmt *s, Name name, VarKind k, Shape shape, const Dim *dim) {
    Str path = cell_path(l, name);
    const Decl *follows = l->frame->follows;
    bool fresh;
    uint32_t var = cell_var(l, follows ? VAR_STATE : k, path, DT_F32, shape, name.at, &fresh);
    if (!fresh) {
        return var;
    }
    cell_init(l, var, s->cell.init, shape.rank, dim);
    if (follows) {
        Str original = follow_original(l, path);
        Str copy = follow_prefix(l, follows);
        l->m->vars.at[var].model = name_id(l, (Str){copy.s, copy.n - 1});
        l->frame->follows = NULL;
        uint32_t of = cell_var(l, k, original, DT_F32, shape, name.at, &fresh);
        if (fresh) {
            cell_init(l, of, s->cell.init, shape.rank, dim);
        }
        l->frame->follows = follows;
        follow_note(l, var, of);
    }
    return var;
}

/* Makes or finds the variables of one statement and binds their names. */
static void declare(Lower *l, const Stmt *s, VarKind k, uint32_t rank, const Dim *dim) {
    Shape shape = {.rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++) {
        shape.dim[i] = dim_value(dim[i]);
    }
    for (uint32_t i = 0; i < s->cell.names.n; i++) {
        Name name = s->cell.names.at[i];
        if (str_is(name.text, "_")) {
            report(l, DIAG_NAME, name.at, "a variable has a name: checkpoints are read by it");
            continue;
        }
        uint32_t var = variable(l, s, name, k, shape, dim);
        if (!shape_eq(l->m->vars.at[var].shape, shape)) {
            Diag *d = report(l, DIAG_SHAPE, name.at, "`%.*s` has another shape here than at an earlier call",
                             FSTR(l->m->vars.at[var].path));
            diag_help(d, "calls that share weights need arguments of the same extents");
            scope_bind(l, name, value_poison(l));
            continue;
        }
        scope_bind(l, name, value_array(l, name.at, cell_array(l, var, rank, dim)));
        scope_find(l->frame, name.text)->var = k == VAR_PARAM ? 0 : var + 1;
    }
}

void cell_param(Lower *l, const Stmt *s) {
    uint32_t rank;
    Dim dim[MAX_RANK];
    if (l->frame->model.n == 0) {
        no_weights_here(l, s->at);
        poison_names(l, s);
    } else if (!cell_shape(l, s, &rank, dim)) {
        poison_names(l, s);
    } else {
        declare(l, s, VAR_PARAM, rank, dim);
    }
}

void cell_state(Lower *l, const Stmt *s) {
    uint32_t rank;
    Dim dim[MAX_RANK];
    FrameKind root = root_of(l->frame)->kind;
    if (l->uniform_only && l->frame->path.n > 0) {
        schedule_state(l, s);
        return;
    }
    if (l->frame->path.n == 0 || (root == FRAME_FILE && l->frame->model.n == 0)) {
        Diag *d = report(l, DIAG_TYPE, s->at, "nothing keeps a state here");
        diag_help(d, "a model, an objective or a schedule in a `train` may have one");
        poison_names(l, s);
        return;
    }
    if (!cell_shape(l, s, &rank, dim)) {
        poison_names(l, s);
        return;
    }
    if (l->frame->kind == FRAME_OPTIMIZER && s->cell.type == NULL) {
        Shape p = l->m->vars.at[l->optim_of - 1].shape;
        for (rank = 0; rank < p.rank; rank++) {
            dim[rank] = dim_const(l->a, p.dim[rank]);
        }
    }
    declare(l, s, root == FRAME_OPTIMIZER ? VAR_OPTIM : VAR_STATE, rank, dim);
}

void cell_update(Lower *l, const Stmt *s) {
    Binding *b = scope_find(l->frame, s->update.name.text);
    if (b && b->value->kind == VAL_POISON) {
        return;
    }
    if (b && b->schedule) {
        schedule_update(l, s, b);
        return;
    }
    if (b == NULL || b->var == 0) {
        Diag *d = report(l, DIAG_TYPE, s->update.name.at, "`%.*s` is no state, `<-` cannot write it",
                         FSTR(s->update.name.text));
        if (b) {
            report_label(l, d, b->at, "bound here");
            diag_help(d, "a name is bound anew with `=`");
        } else {
            scope_suggest(l, d, s->update.name.text);
        }
        return;
    }
    bool frozen = pattern_freezes(l, l->m->vars.at[b->var - 1].path);
    if ((l->frame->kind != FRAME_OPTIMIZER && (!l->frame->training || frozen)) || l->frame->follows) {
        return;
    }
    uint32_t var = b->var - 1;
    Array x, old = b->value->array;
    Span at = s->update.value->at;
    V v = eval(l, s->update.value);
    Elem t;
    if (v->kind == VAL_POISON) {
        return;
    }
    if (!value_elem(v, &t) || t == ELEM_BOOL || !array_from(l, v, DT_F32, &x)) {
        report(l, DIAG_TYPE, at, "a state is real, this is %.*s", FSTR(value_describe(l, v)));
        return;
    }
    bool same = x.rank == 0 || x.rank == old.rank;
    for (uint32_t i = 0; same && i < x.rank; i++) {
        same = dim_eq(x.dim[i], old.dim[i]);
    }
    if (!same || x.n_lead > 0) {
        Diag *d = report(l, DIAG_SHAPE, at, "`%.*s` is %.*s and would become %.*s", FSTR(s->update.name.text),
                         FSTR(array_describe(l, &old)), FSTR(array_describe(l, &x)));
        if (x.n_lead > 0) {
            diag_help(d, "a state has one value a step: it cannot be written for every index");
        }
        return;
    }
    Val now_val = build_broadcast(&l->b, x.val, l->m->vars.at[var].shape, NULL);
    cell_write(l, var, array_make(l, now_val, 0, NULL, old.rank, old.dim));
    Name name = {b->name, b->at};
    Array now = cell_array(l, var, old.rank, old.dim);
    scope_bind(l, name, value_array(l, name.at, now));
    scope_find(l->frame, name.text)->var = var + 1;
}
