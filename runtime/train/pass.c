/* Every pass sees the same batches and the same noise: rows in the order of the split, draws by the batch's number. */
#include "pass.h"

static Str entry_name(Arena *a, const RecipeObjective *o, const char *what) {
    return str_format(a, "%.*s.%s", FSTR(o->name), what);
}

static bool has_rows(const Dataset *d, Str split) {
    const Split *s = splits_find(&d->splits, split);
    return s != NULL && s->n > 0;
}

bool pass_possible(const TrainJob *job, const RecipeObjective *o, Str split) {
    bool possible = has_rows(job->data[o->data], split);
    for (uint32_t i = 0; i < o->more.n; i++)
        possible = possible && has_rows(job->data[o->more.at[i].data], split);
    return possible;
}

GrStatus pass_open(Session *s, Arena *a, const RecipeObjective *o, Str split, int64_t batch, Pass *out) {
    FeedUser user = {o, entry_name(a, o, "eval")};
    *out = (Pass){.objective = o};
    TRY(feeds_open(s, a, 1, &user, split, NULL, batch, &out->feeds));
    out->split = out->feeds.at[0].split;
    return GR_OK;
}

void pass_close(Pass *p) { feeds_close(&p->feeds); }

static GrStatus run_batch(Session *s, const Pass *p, const PlanEntry *entry) {
    const UValue *uniforms = session_uniforms(s);
    uint32_t health = exec_run(s->job->exec, entry, uniforms);
    if (health == 0)
        return GR_OK;
    fail(s->e, health & HEALTH_INDEX ? GR_DATA : GR_NONFINITE, "`%.*s.eval`, batch %lld: %s",
         FSTR(p->objective->name), (long long)s->counters.clock,
         health & HEALTH_INDEX ? "an index is outside its tensor" : "a loss is not finite");
    session_explain(s, entry, uniforms, health);
    return s->e->status;
}

static GrStatus run_batches(Session *s, Arena *a, Pass *p) {
    int64_t batches = feeds_batches(&p->feeds);
    Str name = entry_name(a, p->objective, "eval");
    for (s->counters.clock = 0;; s->counters.clock++) {
        const PlanEntry *entry;
        int64_t rows = feeds_rows(&p->feeds);
        if (rows == 0)
            return GR_OK;
        TRY(session_entry(s, name, rows, &entry));
        feeds_fill(s, &p->feeds, p->objective, entry);
        s->counters.rows = rows;
        TRY(run_batch(s, p, entry));
        session_progress(s, TRAIN_EVAL, batches, NULL, false);
        if (session_interrupted(s))
            return fail(s->e, GR_INTERRUPTED, "interrupted in `%.*s`", FSTR(name));
    }
}

GrStatus pass_run(Session *s, Arena *a, Pass *p, TrainValues *out) {
    const PlanEntry *finish;
    s->counters.rows = 0;
    s->counters.clock = 0;
    s->counters.update = s->state.step;
    inputs_batches(&s->counters, p->objective, NULL);
    TRY(session_run(s, entry_name(a, p->objective, "begin"), NULL));
    feeds_begin(&p->feeds, 0, NULL, 0, p->split->n, 0);
    for (uint32_t i = 1; i < p->feeds.n; i++)
        feeds_begin(&p->feeds, i, NULL, 0, feeds_batches(&p->feeds) * p->feeds.at[i].batch, 0);
    GrStatus status = run_batches(s, a, p);
    feeds_end(&p->feeds);
    TRY(status);
    s->counters.rows = p->split->n;
    TRY(session_run(s, entry_name(a, p->objective, "finish"), &finish));
    session_values(s, a, finish, p->split->name, p->objective, out);
    return GR_OK;
}
