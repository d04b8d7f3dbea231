/* Schedules as small plots: the value of an optimizer's argument or of a loss's weight over the phase, from the uniform
 * program with the counters of each moment.  Steps of an epoch are known when the number of rows is. */
#include "check.h"
#include "inputs.h"
#include "table.h"
#include <math.h>
#include <string.h>

enum { MOST_SAMPLES = 24 };
typedef struct {
    Counters totals;               /* epoch_steps 0: not known */
    int64_t epochs;                /* that are sampled; 0: the phase counts steps, and they are */
    uint32_t n;
    int64_t at[MOST_SAMPLES];      /* epoch or step of each sample */
    double value[MOST_SAMPLES];
    bool open;                     /* measured series move it */
} Samples;

/* Does it read an input whose name begins so? */
static bool reads(const Check *c, uint32_t inst, const char *prefix) {
    static const uint8_t operands[] = {
#define X(id, name, n) n,
        UOP_LIST(X)
#undef X
    };
    const Uniforms *u = c->s->module->uniforms;
    bool *used = PUSH(c->s->arena, bool, inst + 1);
    used[inst] = true;
    for (uint32_t i = inst + 1; i-- > 0;) {
        const UInst *x = &u->insts.at[i];
        if (used[i] && x->op == U_INPUT && str_starts(u->inputs.at[x->input].name, prefix)) return true;
        for (uint32_t k = 0; used[i] && k < operands[x->op]; k++) used[x->in[k]] = true;
    }
    return false;
}

static Samples moments(const Check *c, const RecipePhase *p) {
    Samples x = {.totals = {.batch = p->batch, .rows = p->rows, .batch_rows = p->batch, .seed = p->seed, .update = 1}};
    int64_t rows = check_rows(c, c->s->recipe->objectives.at[p->runs.at[0].objective].data);
    int64_t per_epoch = rows <= 0 ? 0 : p->drop_tail ? rows / p->batch : (rows + p->batch - 1) / p->batch;
    x.totals.epoch_steps = per_epoch;
    x.totals.epochs = p->steps == 0 ? p->epochs : per_epoch ? (p->steps + per_epoch - 1) / per_epoch : 0;
    x.totals.steps = p->steps ? p->steps : p->epochs * per_epoch;
    x.epochs = p->steps ? 0 : p->epochs;
    int64_t last = (p->steps ? p->steps : p->epochs) - 1;
    x.n = (uint32_t)(last + 1 < MOST_SAMPLES ? last + 1 : MOST_SAMPLES);
    for (uint32_t i = 0; i < x.n; i++) x.at[i] = x.n > 1 ? (int64_t)((double)last * i / (x.n - 1) + 0.5) : 0;
    return x;
}

/* Steps are needed and nobody knows how many an epoch has. */
static bool unknown(const Check *c, const Samples *x, uint32_t inst) {
    if (x->totals.epoch_steps > 0) return false;
    return x->epochs == 0 ? reads(c, inst, "epoch") : reads(c, inst, "step") || reads(c, inst, "epoch_steps");
}

static void sample(const Check *c, Samples *x, uint32_t inst) {
    const Uniforms *u = c->s->module->uniforms;
    UniformRun run = {.arena = c->s->arena, .recipe = c->s->recipe};
    TrainState state = {0};
    x->open = reads(c, inst, "series.") || reads(c, inst, "schedule.");
    for (uint32_t i = 0; i < x->n; i++) {
        Counters at = x->totals;
        at.epoch = x->epochs ? x->at[i] : at.epoch_steps ? x->at[i] / at.epoch_steps : 0;
        at.step = x->epochs ? x->at[i] * at.epoch_steps : x->at[i];
        at.clock = at.step;
        x->value[i] = inputs_value(&run, u, inst, &at, &state);
    }
}

/* A bar for each sample, between the least and the most; none where nothing changes. */
static Str plot(const Check *c, const Samples *x) {
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    enum { BARS = sizeof bars / sizeof *bars };
    double low = INFINITY, high = -INFINITY;
    Buf b = buf_make(c->s->arena);
    for (uint32_t i = 0; i < x->n; i++) {
        low = fmin(low, x->value[i]);
        high = fmax(high, x->value[i]);
    }
    for (uint32_t i = 0; i < x->n && high > low && isfinite(high - low); i++) {
        int bar = isfinite(x->value[i]) ? (int)((x->value[i] - low) / (high - low) * (BARS - 1) + 0.5) : 0;
        buf_printf(&b, "%s", bars[bar]);
    }
    return buf_str(&b);
}

static Str ends(const Check *c, const Samples *x) {
    const char *unit = x->epochs ? "epoch" : "step";
    Buf b = buf_make(c->s->arena);
    if (x->open) return str_format(c->s->arena, "%.3g at first, then as measured", x->value[0]);
    buf_printf(&b, "%.3g at %s %lld", x->value[0], unit, (long long)x->at[0]);
    uint32_t most = 0;
    for (uint32_t i = 0; i < x->n; i++) most = x->value[i] > x->value[most] ? i : most;
    double last = x->value[x->n - 1];
    if (x->value[most] > fmax(x->value[0], last))
        buf_printf(&b, ", %.3g at %lld", x->value[most], (long long)x->at[most]);
    if (x->n > 1) buf_printf(&b, ", %.3g at %lld", last, (long long)x->at[x->n - 1]);
    return buf_str(&b);
}

static void print_json(const Check *c, const Schedule *f, const Samples *x, bool known) {
    json_t *j = json_object(), *at = json_array(), *values = json_array();
    for (uint32_t i = 0; i < x->n && known; i++) {
        json_array_append_new(at, json_integer(x->at[i]));
        json_array_append_new(values, isfinite(x->value[i]) ? json_real(x->value[i]) : json_null());
    }
    json_object_set_new(j, "name", json_text(f->name));
    json_object_set_new(j, "line", json_integer(sources_place(c->s->files, f->span).line));
    json_object_set_new(j, x->epochs ? "epochs" : "steps", at);
    json_object_set_new(j, "values", values);
    json_object_set_new(j, "measured", json_boolean(x->open));
    check_object(c, "schedule", j);
}

/* A step that is given such a number ends the training, or is undone. */
static void find_not_finite(const Check *c, const Schedule *f, const Samples *x) {
    for (uint32_t i = 0; i < x->n && !x->open; i++) {
        if (isfinite(x->value[i])) continue;
        Diag *d = diag_add_found(c->found, SEV_WARNING, "schedule", f->span, "%.*s is %g at %s %lld", FSTR(f->name),
                                 x->value[i], x->epochs ? "epoch" : "step", (long long)x->at[i]);
        diag_help(d, "epochs and steps count from 0: `epoch + 1` where 0 is divided by, or its logarithm taken");
        return;
    }
}

static void add_run(const Check *c, Table *out, const RunFacts *facts, Samples *x, uint32_t *rows) {
    for (uint32_t i = 0; i < facts->schedules.n; i++) {
        const Schedule *f = &facts->schedules.at[i];
        bool known = !unknown(c, x, f->inst);
        if (known) sample(c, x, f->inst);
        if (known) find_not_finite(c, f, x);
        if (c->json) {
            print_json(c, f, x, known);
            continue;
        }
        table_cell(out, "  %.*s", FSTR(f->name));
        if (known) {
            Str bars = plot(c, x), text = ends(c, x);
            table_cell(out, "%.*s", FSTR(bars));
            table_cell(out, "%.*s", FSTR(text));
        } else {
            table_cell(out, "counts steps of an epoch, which the data will tell");
        }
        table_end_row(out);
        (*rows)++;
    }
}

void check_schedules(const Check *c, const RecipePhase *p) {
    Table out = table_make(c->s->arena, 3, "");
    Samples x = moments(c, p);
    uint32_t rows = 0;
    for (uint32_t i = 0; i < p->runs.n && x.n > 0; i++) {
        const RunFacts *facts = program_facts(c->s->program, p->runs.at[i].name);
        if (facts) add_run(c, &out, facts, &x, &rows);
    }
    if (rows == 0) return;
    Str of = check_of_phase(c, p);
    printf("schedules%.*s\n", FSTR(of));
    table_print(&out, stdout);
}
