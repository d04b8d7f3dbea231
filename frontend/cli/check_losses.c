/* The losses of a run: a table of which weights each reaches, with its effective weight beside, and below it what a
 * reader of the formula might not have seen. */
#include "check.h"
#include "table.h"
#include <math.h>
#include <string.h>

typedef VEC(Str) Notes;
typedef struct {
    const Check *c;
    const RecipeObjective *o;
    const RunFacts *facts;
    GradientTable t;
    Notes *notes;                  /* by loss; behind the last: of the run */
} Losses;

static void note(Losses *x, uint32_t loss, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void note(Losses *x, uint32_t loss, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Buf b = buf_make(x->c->s->arena);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    for (uint32_t i = 0; i < x->notes[loss].n; i++)
        if (str_eq(x->notes[loss].at[i], buf_str(&b))) return;
    vec_push(x->c->s->arena, &x->notes[loss], buf_str(&b));
}

/* ---- gradients ---- */

static const GradientCell *cell_of(const Losses *x, uint32_t loss, uint32_t model) {
    return &x->t.cells[loss * x->t.n_models + model];
}

static const char *cell_text(const GradientCell *c) {
    switch (c->way.reach) {
    case REACH_YES: return c->masked ? "reached*" : "reached";
    case REACH_ZERO: return "zero";
    case REACH_STOPPED: return "stopped";
    case REACH_NONE: return "-";
    }
    return "";
}

/* The operation as it is written. */
static const char *operation(const Node *n) {
    static const char *const names[OP_COUNT] = {
        [OP_rint] = "round", [OP_cast] = "int", [OP_gather] = "an index", [OP_argsort] = "an order",
        [OP_grad_as] = "stop_gradient", [OP_lt] = "a comparison", [OP_le] = "a comparison", [OP_eq] = "a comparison"};
    if (n->op == OP_reduce) return n->attr.reduce.kind == REDUCE_ARGMIN ? "argmin" : "argmax";
    return names[n->op] ? names[n->op] : op_name((Op)n->op);
}

enum { LONG_TEXT = 40 };

/* "line 22", with the file where it is another. */
static Str line_of(const Losses *x, Val v) {
    const Session *s = x->c->s;
    Place p = sources_place(s->files, node_of(x->t.graph, v)->span);
    if (str_eq(p.path, s->main->path)) return str_format(s->arena, "line %u", p.line);
    uint32_t skip = p.path.n;
    while (skip > 0 && p.path.s[skip - 1] != '/') skip--;
    return str_format(s->arena, "%.*s line %u", (int)(p.path.n - skip), p.path.s + skip, p.line);
}

/* Its name, else what was written; empty where neither would help. */
static Str value_text(const Losses *x, Val v, Str loss, bool *written) {
    const Session *s = x->c->s;
    const Node *n = node_of(x->t.graph, v);
    Str name = n->name ? intern_str(s->module->names, n->name) : (Str){0};
    *written = name.n == 0 || str_eq(name, loss);
    if (*written) name = sources_text(s->files, n->span);
    return name.n == 0 || name.n > LONG_TEXT || memchr(name.s, '\n', name.n) ? (Str){0} : name;
}

/* `target` (argmax, line 22) */
static Str cause_text(const Losses *x, Val by, Str loss) {
    bool written;
    Str name = value_text(x, by, loss, &written);
    const char *what = operation(node_of(x->t.graph, by));
    Str line = line_of(x, by);
    if (name.n == 0) return str_format(x->c->s->arena, "%s (%.*s)", what, FSTR(line));
    return str_format(x->c->s->arena, "`%.*s` (%s%s%.*s)", FSTR(name), written ? "" : what, written ? "" : ", ",
                      FSTR(line));
}

static void note_mask(Losses *x, uint32_t loss, const Cut *c) {
    bool written;
    Str name = value_text(x, c->operand, x->o->losses.at[loss].name, &written);
    if (name.n == 0) name = STR("its condition");
    else name = str_format(x->c->s->arena, "`%.*s`", FSTR(name));
    Str line = line_of(x, c->by);
    note(x, loss, "* only where %.*s holds (%s, %.*s)", FSTR(name), operation(node_of(x->t.graph, c->by)), FSTR(line));
}

/* A named value that the loss depends on through `by` alone: the first one made of parameters, ` to \`r\``; else
 * empty. */
static Str only_through(Losses *x, uint32_t loss, Val by) {
    const Graph *g = x->t.graph;
    Session *s = x->c->s;
    bool *live = PUSH(s->arena, bool, g->nodes.n), *behind = PUSH(s->arena, bool, g->nodes.n);
    reach_back(g, gradient_loss(g, loss), live);
    behind[by.i] = true;
    uint32_t first = 0;
    for (uint32_t i = by.i; i > 0; i--) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; k < n->n && behind[i]; k++) behind[operand(g, (Val){i}, k).i] = true;
        bool written = n->name && program_library_name(s->program, n->span).n == 0 && n->op != OP_arg;
        if (behind[i] && !live[i] && x->t.learned[i] && written && i != by.i) first = i;
    }
    const Node *n = &g->nodes.at[first];
    if (first == 0 || n->name == node_of(g, by)->name) return (Str){0};
    return str_format(s->arena, " to `%.*s`", FSTR(intern_str(s->module->names, n->name)));
}

static void note_cuts(Losses *x, uint32_t loss) {
    for (uint32_t i = 0; i < x->t.cuts[loss].n; i++) {
        const Cut *c = &x->t.cuts[loss].at[i];
        Str cause = cause_text(x, c->by, x->o->losses.at[loss].name);
        const Node *by = node_of(x->t.graph, c->by);
        bool stopped = by->op == OP_grad_as || (by->op == OP_extern && by->attr.external->nograd);
        Str to = only_through(x, loss, c->by);
        if (c->mask) note_mask(x, loss, c);
        else if (stopped) note(x, loss, "%.*s is stopped on purpose", FSTR(cause));
        else note(x, loss, "%.*s carries no gradient%.*s", FSTR(cause), FSTR(to));
    }
}

/* Of the models that it does not reach: what is in the way, each thing once. */
static void note_ends(Losses *x, uint32_t loss) {
    for (uint32_t m = 0; m < x->t.n_models; m++) {
        const Reached *r = &cell_of(x, loss, m)->way;
        bool said = r->by.i == 0 || r->reach == REACH_YES;
        for (uint32_t k = 0; k < m; k++) said = said || val_eq(cell_of(x, loss, k)->way.by, r->by);
        for (uint32_t k = 0; k < x->t.cuts[loss].n; k++) said = said || val_eq(x->t.cuts[loss].at[k].by, r->by);
        if (said) continue;
        Str cause = cause_text(x, r->by, x->o->losses.at[loss].name);
        note(x, loss, r->reach == REACH_STOPPED ? "stopped on purpose: %.*s" : "zero almost everywhere: %.*s",
             FSTR(cause));
    }
}

/* A number of the program for all elements; of literals not 0, under which a hinge or a rectifier lies. */
static bool is_level(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    if (n->op == OP_cast || n->op == OP_broadcast) return is_level(g, operand(g, v, 0));
    return (n->op == OP_const && n->attr.constant.f != 0) || (n->op == OP_arg && n->attr.arg.kind == ARG_UNIFORM);
}

/* A sum, perhaps divided by a number or repeated. */
static bool is_sum(const Graph *g, Val v) {
    const Node *n = node_of(g, v);
    bool scaled = n->op == OP_div || n->op == OP_mul || n->op == OP_reshape || n->op == OP_broadcast;
    if (scaled) return is_sum(g, operand(g, v, 0));
    return n->op == OP_reduce && n->attr.reduce.kind == REDUCE_SUM;
}

/* `max(kl, 3)` of a mean: below the number nothing has a gradient, and a sum looks as if it were held. */
static void note_floors(Losses *x, uint32_t loss) {
    const Graph *g = x->t.graph;
    bool *live = PUSH(x->c->s->arena, bool, g->nodes.n);
    reach_back(g, gradient_loss(g, loss), live);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        if (!live[i] || n->op != OP_max || program_library_name(x->c->s->program, n->span).n > 0) continue;
        for (uint32_t k = 0; k < 2; k++) {
            Val under = operand(g, (Val){i}, k);
            if (!x->t.learned[under.i] || !is_sum(g, under) || !is_level(g, operand(g, (Val){i}, 1 - k))) continue;
            Str text = sources_text(x->c->s->files, n->span), line = line_of(x, (Val){i});
            note(x, loss, "`%.*s` (%.*s) is a floor: below it the gradient is zero", FSTR(text), FSTR(line));
        }
    }
}

/* ---- weights ---- */

static Str weight_text(const Losses *x, uint32_t loss) {
    const LossFacts *f = &x->facts->losses.at[loss];
    Buf b = buf_make(x->c->s->arena);
    double number = f->scheduled ? f->factor : f->weight * f->factor;
    if (x->o->losses.at[loss].nograd) buf_printf(&b, "nograd · ");
    if (f->scheduled) buf_printf(&b, "weight · ");
    if (number == -1) buf_printf(&b, "-");
    else if (number != 1) buf_printf(&b, "%.4g · ", number);
    buf_printf(&b, "%.*s", FSTR(f->reduction));
    return buf_str(&b);
}

static bool is_removed(const LossFacts *f) { return !f->scheduled && f->weight == 0; }

/* Made of the same latent values, as far as the models tell. */
static bool reaches_what(const Losses *x, uint32_t loss, uint32_t kl) {
    for (uint32_t m = 0; m < x->t.n_models; m++)
        if (cell_of(x, kl, m)->way.reach == REACH_YES && cell_of(x, loss, m)->way.reach != REACH_YES) return false;
    return true;
}

/* A divergence is summed over its dims; what it is held against should be summed over its elements. */
static void note_beta(Losses *x, uint32_t kl) {
    const LossFacts *f = &x->facts->losses.at[kl];
    double low = INFINITY, high = 0, weight = f->scheduled ? 1 : f->weight;
    Buf names = buf_make(x->c->s->arena);
    uint32_t n = 0;
    if (!f->divergence || f->elements == 0 || is_removed(f)) return;
    for (uint32_t i = 0; i < x->facts->losses.n; i++) {
        const LossFacts *g = &x->facts->losses.at[i];
        double share = g->weight * g->per_row;
        if (i == kl || g->divergence || g->elements == 0 || g->scheduled || share <= 0 || !reaches_what(x, i, kl) ||
            fabs(fabs(f->per_row) / g->per_row - 1) < 0.01)
            continue;
        Str elements = count_text(x->c->s->arena, (uint64_t)g->elements);
        if (n++ < 2) buf_printf(&names, "%s`%.*s` over %.*s", n > 1 ? ", " : "", FSTR(g->name), FSTR(elements));
        else if (n == 3) buf_printf(&names, ", ..");
        low = fmin(low, weight * fabs(f->per_row) / share);
        high = fmax(high, weight * fabs(f->per_row) / share);
    }
    if (names.n == 0) return;
    Str range = high > 1.01 * low ? str_format(x->c->s->arena, "%.3g to %.3g", low, high)
                                  : str_format(x->c->s->arena, "%.3g", high);
    note(x, kl, "against the ELBO (sums: %.*s, `%.*s` over %lld) %s %.*s", FSTR(buf_str(&names)), FSTR(f->name),
         (long long)f->elements, f->scheduled ? "a weight of 1 is a beta of" : "the effective beta is", FSTR(range));
}

static void note_removed(Losses *x, uint32_t loss) {
    const LossFacts *f = &x->facts->losses.at[loss];
    if (!is_removed(f)) return;
    if (f->divergence && f->scale.n)
        note(x, loss, "weight 0: the term and its gradient are removed, and nothing holds `%.*s` back", FSTR(f->scale));
    else
        note(x, loss, "weight 0: the term and its gradient are removed");
}

/* Parameters that only terms of weight 0 reach, by their layers. */
static void note_left_alone(Losses *x) {
    const Graph *g = x->t.graph;
    Session *s = x->c->s;
    bool *with = PUSH(s->arena, bool, g->nodes.n), *without = PUSH(s->arena, bool, g->nodes.n);
    for (uint32_t l = 0; l < x->t.n_losses; l++)
        reach_back(g, gradient_loss(g, l), is_removed(&x->facts->losses.at[l]) ? without : with);
    Buf names = buf_make(s->arena);
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *v = &g->nodes.at[i];
        if (!without[i] || with[i] || v->op != OP_arg || v->attr.arg.kind != ARG_VAR) continue;
        const Var *var = &s->module->vars.at[v->attr.arg.id];
        if (var->kind != VAR_PARAM) continue;
        if (n++ < 3) buf_printf(&names, "%s`%.*s`", names.n ? ", " : "", FSTR(var->path));
    }
    if (n > 3) buf_printf(&names, " and %u more", n - 3);
    if (n > 0) note(x, x->t.n_losses, "only terms of weight 0 reach %.*s", FSTR(buf_str(&names)));
}

/* "fit, kl (`batchnorm`), pairs (`nt_xent`)" */
static void note_mixed(Losses *x) {
    Session *s = x->c->s;
    Buf all = buf_make(s->arena);
    for (uint32_t i = 0; i < x->facts->losses.n; i++) {
        Str by = x->facts->losses.at[i].mixed;
        bool said = by.n == 0;
        if (x->facts->losses.at[i].grows) note(x, i, "a sum over rows: it grows with `batch`");
        for (uint32_t k = 0; k < i; k++) said = said || str_eq(x->facts->losses.at[k].mixed, by);
        for (uint32_t k = i, n = 0; k < x->facts->losses.n && !said; k++) {
            if (!str_eq(x->facts->losses.at[k].mixed, by)) continue;
            buf_printf(&all, "%s%.*s", n++ || all.n ? ", " : "", FSTR(x->facts->losses.at[k].name));
        }
        if (!said) buf_printf(&all, " (%.*s)", FSTR(by));
    }
    if (all.n) note(x, x->t.n_losses, "rows of a batch are mixed, so `batch` is part of %.*s", FSTR(buf_str(&all)));
}

/* ---- out ---- */

static void print_text(const Losses *x) {
    Session *s = x->c->s;
    Table out = table_make(s->arena, x->t.n_models + 2, "");
    table_cell(&out, "losses of %.*s", FSTR(x->o->name));
    for (uint32_t m = 0; m < x->t.n_models; m++)
        table_cell(&out, "%.*s", FSTR(intern_str(s->module->names, x->t.models[m])));
    table_cell(&out, "effective weight");
    for (uint32_t l = 0; l < x->t.n_losses; l++) {
        table_cell(&out, "  %.*s", FSTR(x->o->losses.at[l].name));
        for (uint32_t m = 0; m < x->t.n_models; m++) table_cell(&out, "%s", cell_text(cell_of(x, l, m)));
        Str weight = weight_text(x, l);
        table_cell(&out, "%.*s", FSTR(weight));
    }
    table_print(&out, stdout);
    for (uint32_t l = 0; l < x->t.n_losses; l++)
        for (uint32_t i = 0; i < x->notes[l].n; i++)
            printf("    %.*s: %.*s\n", FSTR(x->o->losses.at[l].name), FSTR(x->notes[l].at[i]));
    for (uint32_t i = 0; i < x->notes[x->t.n_losses].n; i++) printf("    %.*s\n", FSTR(x->notes[x->t.n_losses].at[i]));
}

static json_t *notes_json(const Notes *n) {
    json_t *out = json_array();
    for (uint32_t i = 0; i < n->n; i++) json_array_append_new(out, json_text(n->at[i]));
    return out;
}

static void print_json(const Losses *x) {
    Session *s = x->c->s;
    for (uint32_t l = 0; l < x->t.n_losses; l++) {
        const LossFacts *f = &x->facts->losses.at[l];
        json_t *j = json_object(), *models = json_object();
        for (uint32_t m = 0; m < x->t.n_models; m++) {
            Str name = intern_str(s->module->names, x->t.models[m]);
            json_object_setn_new(models, name.s, name.n, json_string(cell_text(cell_of(x, l, m))));
        }
        json_object_set_new(j, "run", json_text(x->facts->run));
        json_object_set_new(j, "name", json_text(f->name));
        json_object_set_new(j, "reaches", models);
        json_object_set_new(j, "weight", json_real(f->weight));
        json_object_set_new(j, "scheduled", json_boolean(f->scheduled));
        json_object_set_new(j, "effective", json_text(weight_text(x, l)));
        json_object_set_new(j, "remarks", notes_json(&x->notes[l]));
        check_object(x->c, "loss", j);
    }
    if (x->notes[x->t.n_losses].n == 0) return;
    json_t *j = json_object();
    json_object_set_new(j, "run", json_text(x->facts->run));
    json_object_set_new(j, "remarks", notes_json(&x->notes[x->t.n_losses]));
    check_object(x->c, "run", j);
}

void check_losses(const Check *c, const RecipePhase *p, const RecipeRun *run) {
    Session *s = c->s;
    Graph *g = lower_graph(s->program, LOWER_TRAIN, run->name, p->rows, s->diags);
    Losses x = {.c = c, .o = &s->recipe->objectives.at[run->objective], .facts = program_facts(s->program, run->name)};
    if (!g || !x.facts) return;
    x.t = gradient_table(s, run->objective, g);
    x.notes = PUSH(s->arena, Notes, x.t.n_losses + 1);
    for (uint32_t l = 0; l < x.t.n_losses; l++) {
        note_cuts(&x, l);
        note_ends(&x, l);
        note_floors(&x, l);
        note_beta(&x, l);
        note_removed(&x, l);
    }
    note_left_alone(&x);
    note_mixed(&x);
    if (c->json) print_json(&x);
    else print_text(&x);
}
