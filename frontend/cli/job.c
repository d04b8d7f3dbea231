/* Putting a job together.  Which entries a recipe needs follows from the rows of its splits: full batches
 * and the last, smaller one, for training and for each split that is evaluated. */
#include "job.h"
#include "estimate.h"
#include "hash.h"
#include "replay.h"
#include <string.h>

/* Full batches of a split, and its tail. */
static void add_batches(Arena *a, Entries *r, EntryRequest of, int64_t rows, int64_t batch, bool tail) {
    of.rows = batch;
    if (rows >= batch) entries_add(a, r, of);
    of.rows = rows % batch;
    if (rows % batch && (tail || rows < batch)) entries_add(a, r, of);
}

/* Of every split: which ones are evaluated is not known before. */
static void add_evaluation(const Session *s, Dataset *const *data, uint32_t objective, int64_t batch, Entries *r) {
    const RecipeObjective *o = &s->recipe->objectives.at[objective];
    const Splits *splits = &data[o->data]->splits;
    for (uint32_t k = 0; k < splits->at.n; k++)
        add_batches(s->arena, r, (EntryRequest){LOWER_EVAL, o->name, 0, objective}, splits->at.at[k].n, batch, true);
    entries_add(s->arena, r, (EntryRequest){LOWER_BEGIN, o->name, 0, objective});
    entries_add(s->arena, r, (EntryRequest){LOWER_FINISH, o->name, 0, objective});
}

static void add_phase(const Session *s, Dataset *const *data, const RecipePhase *p, Entries *r) {
    uint32_t o;
    for (uint32_t i = 0; i < p->runs.n; i++) {
        const RecipeRun *run = &p->runs.at[i];
        const Split *train = splits_find(&data[s->recipe->objectives.at[run->objective].data]->splits, STR("train"));
        EntryRequest entry = {LOWER_TRAIN, run->name, 0, run->objective};
        if (train) add_batches(s->arena, r, entry, train->n, p->rows, !p->drop_tail);
        if (p->shards > 1) entries_add(s->arena, r, (EntryRequest){LOWER_UPDATE, run->name, 0, run->objective});
    }
    for (uint32_t i = 0; recipe_measured(s->recipe, p, STR("train"), i, &o); i++)
        add_evaluation(s, data, o, p->rows, r);
    for (uint32_t i = 0; recipe_measured(s->recipe, p, STR("val"), i, &o); i++)
        add_evaluation(s, data, o, p->rows, r);
}

/* Behind all others, whose places and kernels do not depend on them. */
static void add_samples(const Session *s, const Common *c, Dataset *const *data, const RecipePhase *p, Entries *r) {
    for (uint32_t i = 0; i < p->runs.n; i++) {
        const RecipeRun *run = &p->runs.at[i];
        const Split *train = splits_find(&data[s->recipe->objectives.at[run->objective].data]->splits, STR("train"));
        int64_t rows = train && train->n < p->rows ? train->n : p->rows;
        LowerKind kind = c->conflict ? LOWER_CONFLICT : LOWER_SAMPLE;
        if (rows > 0) entries_add(s->arena, r, (EntryRequest){kind, run->name, rows, run->objective});
    }
}

static Entries requests_of(const Job *j, LowerKind first) {
    Session *s = j->s;
    Dataset *const *data = j->data;
    Entries r = {0};
    entries_add(s->arena, &r, (EntryRequest){LOWER_INIT, STR("init"), 0, 0});
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) add_phase(s, data, &s->recipe->phases.at[i], &r);
    for (uint32_t i = 0; i < s->recipe->objectives.n && first == LOWER_EVAL; i++)
        add_evaluation(s, data, i, train_evaluation_batch(s->recipe, i), &r);
    for (uint32_t i = 0; i < s->recipe->phases.n && first == LOWER_TRAIN && j->samples; i++)
        add_samples(s, j->c, data, &s->recipe->phases.at[i], &r);
    return r;
}

static void wait_behind(Job *j) {
    if (j->behind.started) pthread_join(j->behind.thread, NULL);
    j->behind.started = false;
}

static GrStatus ensure_entry(void *user, Str name, int64_t rows, const PlanEntry **out, Error *e) {
    Job *j = user;
    const Plan *p = j->compiled.planned.plan;
    const PlanEntry *entry = plan_entry(p, name.s, rows, j->job.variant.s);
    if (!entry) return fail(e, GR_DATA, "the plan has no entry `%.*s` for %lld rows", FSTR(name), (long long)rows);
    *out = entry;
    if (exec_ready(j->exec, entry)) return GR_OK;
    if (j->behind.started) {
        wait_behind(j);
        if (j->behind.status != GR_OK) *e = j->behind.error;
        TRY(j->behind.status);
    } else {
        TRY(compile_load(j->c, &j->compiled, 1, &entry, e));
    }
    j->code = code_table(j->compiled.code);
    return exec_update(j->exec, p, &j->code, e);
}

bool job_idle(const Job *j) { return !j->behind.started || j->behind.done; }

static void *compile_rest(void *user) {
    Job *j = user;
    j->behind.status = compile_load(j->c, &j->compiled, 0, NULL, &j->behind.error);
    j->behind.done = true;
    return NULL;
}

void job_compile_behind(Job *j) {
    j->behind.started = pthread_create(&j->behind.thread, NULL, compile_rest, j) == 0;
}

/* The entries that the first batch needs, in one go, so that their kernels are compiled side by side. */
static GrStatus load_first(Job *j, LowerKind first, const Entries *r, Error *e) {
    const Plan *p = j->compiled.planned.plan;
    const PlanEntry **entries = PUSH(j->s->arena, const PlanEntry *, p->entries.n + 1);
    uint32_t n = 0;
    bool batch = false, sampled = false;
    for (uint32_t i = 0; i < r->at.n; i++) {
        LowerKind kind = r->at.at[i].kind;
        if ((kind == LOWER_SAMPLE || kind == LOWER_CONFLICT) && !sampled) {
            sampled = true;                /* the first step is looked at */
            entries[n++] = &p->entries.at[i];
            continue;
        }
        bool start = kind == LOWER_BEGIN || (kind == LOWER_INIT && first == LOWER_TRAIN);
        if (!start && (kind != first || batch)) continue;
        batch = batch || kind == first;
        entries[n++] = &p->entries.at[i];
    }
    return compile_load(j->c, &j->compiled, n, entries, e);
}

uint64_t job_program(const Session *s) {
    Buf text = buf_make(s->arena);
    program_print(s->program, &text);
    for (uint32_t i = 0; i < s->recipe->settings.n; i++) {
        const RecipeSetting *x = &s->recipe->settings.at[i];
        if (x->structural) buf_printf(&text, "%.*s=%.*s\n", FSTR(x->name), FSTR(x->text));
    }
    return hash_str(SEMANTICS_VERSION, buf_str(&text));
}

static size_t bytes_of(const Dataset *d, int64_t rows) {
    size_t bytes = 0;
    for (uint32_t k = 0; k < d->columns.n; k++) bytes += d->columns.at[k].row_bytes * (size_t)rows;
    return bytes;
}

/* A thread of its own pays off only when gathering a batch takes longer than handing it over. */
static bool batches_are_large(const Session *s, Dataset *const *data) {
    enum { LARGE_BYTES = 1 << 20 };
    for (uint32_t i = 0; i < s->recipe->data.n; i++)
        if (room_filed(data[i]->room) > 0) return true;              /* a disk has to be waited for */
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) {
        const RecipePhase *p = &s->recipe->phases.at[i];
        for (uint32_t k = 0; k < p->runs.n; k++) {
            const RecipeObjective *o = &s->recipe->objectives.at[p->runs.at[k].objective];
            size_t bytes = bytes_of(data[o->data], p->batch);
            for (uint32_t m = 0; m < o->more.n; m++)
                bytes += bytes_of(data[o->more.at[m].data], recipe_batch(p, o->more.at[m].data));
            if (bytes > LARGE_BYTES) return true;
        }
    }
    return false;
}

GrStatus job_open_data(Session *s, const Common *c, bool renews, Str checkpoint, Job *out, Error *e) {
    uint32_t n = s->recipe->data.n;
    *out = (Job){.s = s, .c = c, .data = PUSH(s->arena, Dataset *, n + 1), .lasting = PUSH(s->arena, Formula *, n + 1)};
    for (uint32_t i = 0; i < n; i++)
        TRY(run_open_data(s, c, i, checkpoint, &out->data[i], renews ? &out->lasting[i] : NULL, e));
    return GR_OK;
}

void job_settle_data(Job *j) {
    for (uint32_t i = 0; j->data && i < j->s->recipe->data.n; i++) run_settle_data(j->data[i], &j->lasting[i]);
}

static GrStatus plan(Job *j, const char *variant, const Entries *r, Error *e) {
    if (!compile_graphs(j->s, j->c, r->at.n, r->at.at, &j->compiled))
        return fail(e, GR_PROGRAM, "the program has errors");
    return compile_plan(j->s, j->c, &j->compiled, variant, e);
}

GrStatus job_plan(Job *j, const char *variant, Error *e) {
    j->samples = j->c->sample_steps > 0;
    Entries r = requests_of(j, LOWER_TRAIN);
    return plan(j, variant, &r, e);
}

GrStatus job_start(Job *j, const char *variant, Error *e) {
    Session *s = j->s;
    j->code = code_table(j->compiled.code);
    TRY(exec_create(s->arena, j->compiled.planned.plan, &j->code, (ExecOptions){j->c->threads}, &j->exec, e));
    j->job = (TrainJob){.recipe = s->recipe,
                        .exec = j->exec,
                        .data = j->data,
                        .variant = str_of(variant),
                        .program = job_program(s),
                        .load_ahead = batches_are_large(s, j->data),
                        .user = j,
                        .ensure_entry = ensure_entry,
                        .explain = replay_explain,
                        .sample_steps = j->samples ? j->c->sample_steps : 0,
                        .sample_first = j->c->sample_first,
                        .conflict = j->c->conflict};
    for (uint32_t i = 0; i < MONITOR_COUNT; i++) j->job.monitors[i] = LEVEL_WARN;
    return GR_OK;
}

/* Compiling what looks at steps takes about as long as half the kernels do; in this training, less than a hundredth.
 * Its memory is not taken where somebody counts it. */
static bool is_long(const Job *j) {
    static const double k_kernel_s = 0.0025, k_times = 100;
    return j->c->max_memory == 0 &&
           estimate_training(j) > k_times * k_kernel_s * (double)j->compiled.planned.kernels.n;
}

GrStatus job_open_program(Job *j, const char *variant, LowerKind first, Error *e) {
    j->samples = first == LOWER_TRAIN && j->c->sample_steps > 0 && !j->c->sample_if_long;
    Entries r = requests_of(j, first);
    TRY(plan(j, variant, &r, e));
    if (first == LOWER_TRAIN && j->c->sample_if_long && is_long(j)) {
        j->samples = true;
        r = requests_of(j, first);
        TRY(plan(j, variant, &r, e));
    }
    TRY(load_first(j, first, &r, e));
    return job_start(j, variant, e);
}

GrStatus job_open(Session *s, const Common *c, const char *variant, LowerKind first, Str checkpoint, Job *out,
                  Error *e) {
    TRY(job_open_data(s, c, first == LOWER_TRAIN, checkpoint, out, e));
    return job_open_program(out, variant, first, e);
}

void job_close(Job *j) {
    wait_behind(j);
    job_settle_data(j);
    for (uint32_t i = 0; j->data && i < j->s->recipe->data.n; i++) dataset_close(j->data[i]);
    exec_destroy(j->exec);
    compile_close(&j->compiled);
}

void job_print_cleaned(const Job *j, FILE *out) {
    for (uint32_t i = 0; i < j->s->recipe->data.n; i++) {
        const Dataset *d = j->data[i];
        if (d->rows == d->rows_read) continue;
        fprintf(out, "%-11.*s %lld rows, %lld after cleaning:", FSTR(d->recipe->name), (long long)d->rows_read,
                (long long)d->rows);
        for (uint32_t k = 0; k < d->splits.at.n; k++)
            fprintf(out, "%s %.*s %lld", k ? "," : "", FSTR(d->splits.at.at[k].name), (long long)d->splits.at.at[k].n);
        fputc('\n', out);
    }
}

void job_print_values(const TrainValues *v, FILE *out) {
    for (uint32_t i = 0; i < v->at.n; i++) {
        const TrainValue *x = &v->at.at[i];
        int64_t n = shape_count(x->shape), row = x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 1;
        fprintf(out, "  %-20.*s", FSTR(x->name));
        for (int64_t k = 0; k < n; k++)
            fprintf(out, "%s%10.6g", k && row && k % row == 0 ? "\n                      " : " ",
                    (double)x->values[k]);
        fputc('\n', out);
    }
}
