/* The entry RUN.sample (or RUN.conflict) computes a training step without its update, with the gradient of each term
 * apart (frontend/lang/sample.c).  It runs before the step, on the same weights, batch and random numbers, and writes
 * no variable: bits do not know of it.  Which steps are looked at depends on their number alone, so a run that is
 * resumed has the samples of one that was not broken off.  A last, smaller batch is not looked at. */
#include "sample.h"
#include <string.h>

static const char k_units[] = "units.largest.";

GrStatus sample_entry(Trainer *t, const RecipeRun *run, int64_t rows, const PlanEntry **out) {
    const TrainJob *job = t->s.job;
    const Feed *feed = &t->phase->feeds.at[0];
    int64_t full = t->s.phase->rows < feed->split->n ? t->s.phase->rows : feed->split->n;
    *out = NULL;
    if (!every(job->sample_steps, t->s.state.step) || t->s.counters.phase >> 16 != 0 || rows != full)
        return GR_OK;
    Str name = str_format(t->values, "%.*s.%s", FSTR(run->name), job->conflict ? "conflict" : "sample");
    return session_entry(&t->s, name, rows, out);
}

/* ---- the batch ---- */
static const PlanBinding *column_named(const Plan *p, const PlanEntry *e, Str name) {
    for (uint32_t i = e->first_column; i < e->first_column + e->n_columns; i++) {
        if (str_eq(p->bindings.at[i].name, name))
            return &p->bindings.at[i];
    }
    return NULL;
}

/* Columns of different entries may lie on top of each other: those of the step are kept aside meanwhile. */
static char *keep_batch(Trainer *t, const PlanEntry *e) {
    const Plan *p = exec_plan(t->s.job->exec);
    size_t bytes = 0;
    for (uint32_t i = e->first_column; i < e->first_column + e->n_columns; i++)
        bytes += p->buffers.at[p->bindings.at[i].buffer].bytes;
    char *kept = PUSH(t->values, char, bytes + 1), *at = kept;
    for (uint32_t i = e->first_column; i < e->first_column + e->n_columns; i++) {
        const PlanBuffer *b = &p->buffers.at[p->bindings.at[i].buffer];
        memcpy(at, exec_buffer(t->s.job->exec, p->bindings.at[i].buffer), b->bytes);
        at += b->bytes;
    }
    return kept;
}

/* Into the columns of `to` that have the names of those of `from`. */
static void put_batch(Trainer *t, const PlanEntry *from, const char *kept, const PlanEntry *to) {
    const Plan *p = exec_plan(t->s.job->exec);
    for (uint32_t i = from->first_column; i < from->first_column + from->n_columns; i++) {
        const PlanBinding *b = column_named(p, to, p->bindings.at[i].name);
        size_t bytes = p->buffers.at[p->bindings.at[i].buffer].bytes;
        if (b != NULL) {
            GR_ASSERT(p->buffers.at[b->buffer].bytes == bytes);
            memcpy(exec_buffer(t->s.job->exec, b->buffer), kept, bytes);
        }
        kept += bytes;
    }
}

/* ---- what it gives ---- */
/* "kl.gradient.encoder" is of the term `kl`; what is of none is of the whole. */
static Str term_of(const RecipeObjective *o, Str name) {
    Str term = STR("total");
    for (uint32_t i = 0; i < o->losses.n; i++) {
        Str loss = o->losses.at[i].name;
        if (loss.n < name.n && name.s[loss.n] == '.' && str_eq((Str){name.s, loss.n}, loss))
            term = loss;
    }
    return term;
}

static void add_value(Trainer *t, const RecipeObjective *o, Str term, Str name, float x, TrainValues *out) {
    TrainValue v = {.whole = str_format(t->values, "train.%.*s.%.*s", FSTR(o->name), FSTR(name)),
                    .values = memcpy(PUSH(t->values, float, 1), &x, sizeof x)};
    v.name = terms_alone(t, term) ? str_format(t->values, "train.%.*s", FSTR(name)) : v.whole;
    vec_push(t->values, &out->at, v);
}

static void read_outputs(Trainer *t, const RecipeRun *run, const PlanEntry *entry, TrainValues *out) {
    const RecipeObjective *o = &t->s.job->recipe->objectives.at[run->objective];
    const Plan *p = exec_plan(t->s.job->exec);
    for (uint32_t i = entry->first_output; i < entry->first_output + entry->n_outputs; i++) {
        const PlanBinding *b = &p->bindings.at[i];
        const float *at = exec_buffer(t->s.job->exec, b->buffer);
        GR_ASSERT(p->buffers.at[b->buffer].dtype == DT_F32);
        if (!str_starts(b->name, k_units)) {
            add_value(t, o, term_of(o, b->name), b->name, *at, out);
            continue;
        }
        Str layer = {b->name.s + sizeof k_units - 1, b->name.n - (uint32_t)(sizeof k_units - 1)};
        double dead = health_units(t, run, layer, at, shape_count(p->buffers.at[b->buffer].shape));
        Str name = str_format(t->values, "units.dead.%.*s", FSTR(layer));
        add_value(t, o, STR("total"), name, (float)dead, out);
    }
}

GrStatus sample_take(Trainer *t, const RecipeRun *run, const PlanEntry *entry, const PlanEntry *step) {
    ArenaMark mark = arena_mark(t->values);
    TrainValues values = {0};
    const char *kept = keep_batch(t, step);
    put_batch(t, step, kept, entry);
    exec_run(t->s.job->exec, entry, session_uniforms(&t->s));
    read_outputs(t, run, entry, &values);
    put_batch(t, step, kept, step);
    if (t->s.state.step > 0 || t->s.job->sample_first)
        TRY(record_values(t, STR("sample"), &values));
    session_progress(&t->s, TRAIN_SAMPLE, t->s.counters.epoch_steps, &values, false);
    GrStatus status = health_sample(t, run, &values);
    arena_pop(mark);
    return status;
}

int64_t train_sample_steps(const Recipe *r) {
    enum { STEPS_A_GRADIENT = 100 };
    uint32_t most = 0;
    for (uint32_t i = 0; i < r->objectives.n; i++)
        most = r->objectives.at[i].losses.n > most ? r->objectives.at[i].losses.n : most;
    return STEPS_A_GRADIENT * (int64_t)(most + 1);
}
