/* graphc peek: named values of a batch, the `print` of a language without one.  Without NAME a line for each value that
 * the file's own text names; with it everything about the values of that name. */
#include "changes.h"
#include "look.h"
#include "numbers.h"
#include "table.h"
#include <string.h>

typedef struct { Common common; const char *name, *run, *split; bool gradient; } Options;
enum { KEY_RUN = 0x200, KEY_SPLIT, KEY_GRAD };

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_RUN: o->run = arg; return 0;
    case KEY_SPLIT: o->split = arg; return 0;
    case KEY_GRAD: o->gradient = true; return 0;
    case ARGP_KEY_ARG:
        if (!o->common.file) return ARGP_ERR_UNKNOWN;          /* it is FILE, of the common options */
        if (o->name) argp_error(state, "one NAME at a time: `%s` and `%s`", o->name, arg);
        o->name = arg;
        return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &o->common; return 0;
    case ARGP_KEY_END:
        if (o->gradient && !o->name) argp_error(state, "--grad needs a NAME: the gradient by which value?");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"run", KEY_RUN, "DIR", 0, "with the weights of this trained model (as a training begins)", 2},
    {"split", KEY_SPLIT, "NAME", 0,
     "train (the default): the first batch of the training, in training mode; val, test: the first rows, in "
     "evaluation mode", 2},
    {"grad", KEY_GRAD, 0, 0, "of the total by the value, in place of the value", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options, .parser = parse, .args_doc = "FILE [NAME]", .children = children,
    .doc = "Shows a named value of a batch: its shape, range, mean, zeros and first numbers. NAME is a value of an "
           "objective (`x`), inside a model (`encoder.h`), a weight (`encoder.linear1.w`), a column (`b.image`), a "
           "loss, or `total`. Without NAME: a line for each that the file names."};

/* ---- which values ---- */
/* `vae.h` is `h` in the objective `vae`. */
static Str without_objective(Str path, Str objective) {
    uint32_t own = objective.n;
    bool inside = path.n > own && path.s[own] == '.' && str_eq((Str){path.s, own}, objective);
    return inside ? (Str){path.s + own + 1, path.n - own - 1} : path;
}

static bool is_called(Str path, Str objective, Str name) {
    return str_eq(path, name) || str_eq(without_objective(path, objective), name);
}

static Str last_part(Str path) {
    uint32_t n = path.n;
    while (n > 0 && path.s[n - 1] != '.') n--;
    return (Str){path.s + n, path.n - n};
}

static void add_path(Arena *a, Buf *b, Str path) {
    Str quoted = str_format(a, "`%.*s`", FSTR(path));
    if (b->n && strstr(b->s, quoted.s)) return;
    buf_printf(b, "%s%.*s", b->n ? ", " : "", FSTR(quoted));
}

/* Nothing has the name: what ends so, or what is near. */
static GrStatus no_value(Session *s, const Look *looks, const char *wanted, Error *e) {
    Str name = str_of(wanted), last = last_part(name);
    Nearest near = nearest_to(name), near_last = nearest_to(last);
    Buf same = buf_make(s->arena), close = buf_make(s->arena);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t o = 0; o < s->recipe->objectives.n; o++)
            for (uint32_t i = 0; i < looks[o].peek->at.n; i++) {
                Str path = without_objective(looks[o].peek->at.at[i].path, s->recipe->objectives.at[o].name);
                if (pass == 0) nearest_consider(&near, path), nearest_consider(&near_last, last_part(path));
                else if (str_eq(last_part(path), last)) add_path(s->arena, &same, path);
                else if (near_last.best.n && str_eq(last_part(path), near_last.best)) add_path(s->arena, &close, path);
            }
    fail(e, GR_PROGRAM, "no value is called `%s`", wanted);
    if (same.n) fail_help(e, "`%.*s` is bound in other places: %.*s", FSTR(last), FSTR(buf_str(&same)));
    else if (near.best.n) fail_help(e, "did you mean `%.*s`? without a name, all are listed", FSTR(near.best));
    else if (close.n) fail_help(e, "did you mean %.*s? without a name, all are listed", FSTR(buf_str(&close)));
    else fail_help(e, "without a name, all are listed");
    return GR_PROGRAM;
}

/* ---- one value ---- */
static void print_summary(const Summary *s) {
    if (s->n == 0) {
        puts("  no elements");
        return;
    }
    if (s->nan + s->infinite < s->n)
        printf("  %.5g to %.5g  mean %.5g  sd %.4g  zeros %.3g %%\n", s->least, s->most, s->mean, s->deviation,
               100.0 * (double)s->zeros / (double)s->n);
    if (s->nan + s->infinite)
        printf("  NOT FINITE: %lld of %lld (%lld nan, %lld infinite)\n", (long long)(s->nan + s->infinite),
               (long long)s->n, (long long)s->nan, (long long)s->infinite);
}

static void print_place(Session *s, const char *word, Span at) {
    Place p = sources_place(s->files, at);
    if (p.path.n == 0) return;
    Str text = p.line_text;
    while (text.n && *text.s == ' ') text.s++, text.n--;
    printf("  %s%.*s:%u  %.*s\n", word, FSTR(p.path), p.line, FSTR(text));
}

static const PlanBuffer *output(const Look *l, uint32_t k, const void **at) {
    const Plan *p = l->compiled.planned.plan;
    uint32_t b = p->bindings.at[l->entry->first_output + k].buffer;
    *at = exec_buffer(l->exec, b);
    return &p->buffers.at[b];
}

static void print_value(const Look *l, const Options *o, const NamedValue *x, uint32_t k, uint32_t of) {
    const void *at;
    const PlanBuffer *b = output(l, k, &at);
    printf("%s%.*s", o->gradient ? "gradient of the total by " : "", FSTR(x->path));
    if (of > 1) printf("  (%u of %u)", k + 1, of);
    printf("  %.*s", FSTR(x->type));
    Buf shape = buf_make(l->s->arena);
    buf_shape(&shape, b->shape);
    printf("%s%.*s\n", b->shape.rank ? " = " : "", b->shape.rank ? (int)shape.n : 0, b->shape.rank ? shape.s : "");
    print_place(l->s, "", x->at);
    print_place(l->s, "called at ", x->call);
    Summary s = summary_of(b->dtype, at, shape_count(b->shape));
    if (b->shape.rank) print_summary(&s);
    numbers_print_first(b->dtype, at, b->shape);
}

static void print_batch(const Look *l, const Options *o) {
    bool training = strcmp(o->split, "train") == 0;
    printf("%.*s, the first %lld rows of %s, in %s mode; weights %s%.*s\n",
           FSTR(l->s->recipe->objectives.at[l->objective].name), (long long)l->rows,
           training ? "the training" : o->split, training ? "training" : "evaluation",
           o->run ? "of " : "as they begin", FSTR(l->checkpoint));
}

/* Values that are no tensors: what they are is known without a run. */
static GrStatus cannot_take(Session *s, const NamedValue *x, Error *e) {
    Place p = sources_place(s->files, x->at);
    fail(e, GR_PROGRAM, "`%.*s` (%.*s:%u) is %.*s%s", FSTR(x->path), FSTR(p.path), p.line, FSTR(x->type),
         x->in_loop ? " of one turn of a `scan`" : ", no tensor");
    if (x->in_loop) fail_help(e, "`collect` it in the loop: then it has a name outside");
    return GR_PROGRAM;
}

/* Takes all that have the name; `found` in order. */
static GrStatus take_called(Look *l, const Options *o, uint32_t *found, uint32_t *n, Error *e) {
    Str objective = l->s->recipe->objectives.at[l->objective].name;
    *n = 0;
    for (uint32_t i = 0; i < l->peek->at.n; i++) {
        const NamedValue *x = &l->peek->at.at[i];
        if (!is_called(x->path, objective, str_of(o->name))) continue;
        if (!x->tensor) return cannot_take(l->s, x, e);
        if (!peek_take(l->peek, i, o->gradient)) {
            fail(e, GR_PROGRAM, "there is no gradient by `%.*s`, which is %.*s", FSTR(x->path),
                 FSTR(l->peek->at.at[i].type));
            fail_help(e, "gradients are of a total of losses, by values that are `real`");
            return GR_PROGRAM;
        }
        found[(*n)++] = i;
    }
    return GR_OK;
}

static GrStatus show_one(Session *s, Look *looks, const Options *o, Error *e) {
    for (uint32_t i = 0; i < s->recipe->objectives.n; i++) {
        Look *l = &looks[i];
        uint32_t *found = PUSH(s->arena, uint32_t, l->peek->at.n + 1), n;
        TRY(take_called(l, o, found, &n, e));
        if (n == 0) continue;
        TRY(look_run(l, e));
        for (uint32_t k = 0; k < n; k++) print_value(l, o, &l->peek->at.at[found[k]], k, n);
        print_batch(l, o);
        return GR_OK;
    }
    return no_value(s, looks, o->name, e);
}

/* ---- all values ---- */
static void list_row(Table *t, const Look *l, const NamedValue *x, uint32_t k) {
    const void *at;
    const PlanBuffer *b = output(l, k, &at);
    Summary s = summary_of(b->dtype, at, shape_count(b->shape));
    table_cell(t, "  %.*s", FSTR(x->path));
    table_cell(t, "%.*s", FSTR(x->type));
    if (s.n > s.nan + s.infinite) {
        table_cell(t, "%.4g", s.least);
        table_cell(t, "%.4g", s.mean);
        table_cell(t, "%.4g", s.most);
        table_cell(t, "%.3g %%", 100.0 * (double)s.zeros / (double)s.n);
    }
    if (s.nan + s.infinite) table_cell(t, "%lld not finite", (long long)(s.nan + s.infinite));
    table_end_row(t);
}

static GrStatus show_all(Session *s, Look *l, const Options *o, Error *e) {
    uint32_t *found = PUSH(s->arena, uint32_t, l->peek->at.n + 1), n = 0;
    for (uint32_t i = 0; i < l->peek->at.n; i++) {
        const NamedValue *x = &l->peek->at.at[i];
        if (!x->tensor || x->minor || x->column.n) continue;
        peek_take(l->peek, i, false);
        found[n++] = i;
    }
    TRY(look_run(l, e));
    print_batch(l, o);
    Table t = table_make(s->arena, 7, "..rrrr");
    static const char *const heads[] = {"  value", "type", "least", "mean", "most", "zeros"};
    for (uint32_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&t, "%s", heads[i]);
    table_end_row(&t);
    for (uint32_t k = 0; k < n; k++) list_row(&t, l, &l->peek->at.at[found[k]], k);
    table_print(&t, stdout);
    return GR_OK;
}

static GrStatus peek(Session *s, const Options *o, Look *looks, Error *e) {
    uint32_t n = s->recipe->objectives.n;
    for (uint32_t i = 0; i < n; i++)
        TRY(look_open(s, &o->common, i, o->split, o->run, &looks[i], e));
    if (o->name) return show_one(s, looks, o, e);
    for (uint32_t i = 0; i < n; i++) TRY(show_all(s, &looks[i], o, e));
    return GR_OK;
}

int cmd_peek(int argc, char **argv) {
    Options o = {.common = common_make(), .split = "train"};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    uint32_t n = s.recipe->objectives.n;
    if (n == 0) return session_leave(&s, report_no_objective(&o.common));
    Look *looks = PUSH(s.arena, Look, n);
    Error e = {0};
    GrStatus done = peek(&s, &o, looks, &e);
    if (done == GR_CHANGED) changes_explain(&s, str_of(o.run), &e);
    int status = done == GR_OK ? 0 : report_error(&o.common, &e);
    session_report(&s, &o.common);
    for (uint32_t i = 0; i < n; i++) look_close(&looks[i]);
    session_close(&s);
    return status;
}
