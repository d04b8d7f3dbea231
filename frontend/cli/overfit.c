/* `train --overfit N`: the classical question to a new program.  A model that cannot learn a handful of rows by heart
 * has a mistake (a loss that does not reach it, a wrong rate, targets that cannot be told from the input), which the
 * whole data set would hide for hours.  Validation is on the same rows: only the mode differs. */
#include "few.h"
#include "table.h"
#include <math.h>
#include <string.h>

enum { PASSES = 300 };

/* A loss in a phase, in its first pass over the rows and in the last one. */
typedef struct { const RecipePhase *phase; Str name; double first, last; } Fall;
typedef struct { Job job; bool quiet; VEC(Fall) falls; } Overfit;

static bool is_given(const Common *c, Str phase) {
    for (uint32_t i = 0; i < c->n_settings; i++) {
        Str name = c->settings[i].name;
        bool own = name.n > phase.n && str_eq((Str){name.s, phase.n}, phase) && name.s[phase.n] == '.';
        if (own) name = (Str){name.s + phase.n + 1, name.n - phase.n - 1};
        if (str_is(name, "epochs") || str_is(name, "steps")) return true;
    }
    return false;
}

/* As many passes as it takes, unless somebody says how many; nothing ends it before. */
static void lengthen(const Session *s, const Common *c, int64_t batches) {
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) {
        RecipePhase *p = &s->recipe->phases.at[i];
        p->patience = p->save_epochs = 0;
        if (is_given(c, p->name) || p->called) continue;
        p->epochs = (PASSES + batches - 1) / batches;
        p->steps = 0;
    }
}

static bool is_loss(const Recipe *r, const TrainValue *v) {
    if (!str_starts(v->name, "train.") || shape_count(v->shape) != 1) return false;
    Str whole = {v->whole.s + 6, v->whole.n - 6};
    for (uint32_t k = 0; k < r->objectives.n; k++) {
        const RecipeObjective *o = &r->objectives.at[k];
        if (str_eq(whole, str_format(r->arena, "%.*s.total", FSTR(o->name)))) return true;
        for (uint32_t i = 0; i < o->losses.n; i++) {
            Str name = str_format(r->arena, "%.*s.%.*s", FSTR(o->name), FSTR(o->losses.at[i].name));
            if (str_eq(whole, name)) return true;
        }
    }
    return false;
}

static void keep_value(Overfit *o, const TrainProgress *p, const TrainValue *v) {
    Arena *a = o->job.s->arena;
    uint32_t i = 0;
    while (i < o->falls.n && (o->falls.at[i].phase != p->phase || !str_eq(o->falls.at[i].name, v->name))) i++;
    if (i == o->falls.n) vec_push(a, &o->falls, (Fall){p->phase, str_copy(a, v->name), v->values[0], 0});
    o->falls.at[i].last = v->values[0];
}

/* Epochs 1, 2, 5, 10, 20, 50 .. */
static bool worth_a_line(int64_t epoch) {
    while (epoch >= 10 && epoch % 10 == 0) epoch /= 10;
    return epoch == 1 || epoch == 2 || epoch == 5;
}

static void print_line(const Overfit *o, const TrainProgress *p) {
    if (o->job.s->recipe->phases.n > 1) printf("%.*s  ", FSTR(p->phase->name));
    printf("epoch %4lld", (long long)p->epoch);
    for (uint32_t i = 0; i < o->falls.n; i++) {
        const Fall *f = &o->falls.at[i];
        if (f->phase == p->phase) printf("  %.*s %.5g", FSTR(f->name), f->last);
    }
    printf("  %.1f s\n", p->seconds);
    fflush(stdout);
}

static void progress(void *user, const TrainProgress *p) {
    Overfit *o = user;
    if (p->event != TRAIN_EPOCH || p->phase->called) return;      /* inner phases begin anew: nothing to follow */
    for (uint32_t i = 0; i < p->values->at.n; i++)
        if (is_loss(o->job.s->recipe, &p->values->at.at[i])) keep_value(o, p, &p->values->at.at[i]);
    if (!o->quiet && (worth_a_line(p->epoch) || p->step == p->steps)) print_line(o, p);
}

/* What a total that went from `first` to `last` says. */
static void print_verdict(const Fall *f, bool several) {
    if (several) printf("%.*s  ", FSTR(f->phase->name));
    printf("%.*s went from %.5g to %.5g: ", FSTR(f->name), f->first, f->last);
    if (f->first <= 0 || f->last < 0) {
        puts("it can be negative, so near zero says nothing; it should have fallen");
    } else if (f->last < 0.02 * f->first) {
        puts("near zero, these rows are learnt by heart");
    } else if (f->last < 0.7 * f->first) {
        printf("%.0f %% of what it was, not near zero\n", 100 * f->last / f->first);
        puts("  more passes may do (`-s epochs=1000`), or a larger rate; or the loss has a floor above zero:\n"
             "  noise, dropout, a KL term, a cross-entropy with targets that are neither 0 nor 1");
    } else {
        puts("it hardly falls");
        puts("  `graphc check` tells which weights each loss reaches, `graphc peek` what arrives where (`--grad`);\n"
             "  try another rate; do these rows differ from each other in what the model sees?");
    }
}

static void print_verdicts(const Overfit *o) {
    for (uint32_t i = 0; i < o->falls.n; i++)
        if (str_ends(o->falls.at[i].name, ".total")) print_verdict(&o->falls.at[i], o->job.s->recipe->phases.n > 1);
}

static GrStatus overfit(Session *s, const Common *c, uint32_t batches, Overfit *o,
                        const volatile sig_atomic_t *interrupted, Error *e) {
    TRY(job_open_data(s, c, false, (Str){0}, &o->job, e));
    few_batches(&o->job, batches, FEW_VALIDATE_TRAINED);
    lengthen(s, c, batches);
    TRY(job_open_program(&o->job, "fused", LOWER_TRAIN, e));
    o->job.job.interrupted = interrupted;
    o->job.job.progress = progress;
    return train_run(&o->job.job, e);
}

int few_overfit(Session *s, const Common *c, uint32_t batches, bool quiet, const volatile sig_atomic_t *interrupted) {
    Overfit o = {.quiet = quiet};
    Error e = {0};
    GrStatus status = overfit(s, c, batches, &o, interrupted, &e);
    print_verdicts(&o);
    session_report(s, c);
    int code = status == GR_OK ? 0 : status == GR_INTERRUPTED ? EXIT_INTERRUPTED : report_error(c, &e);
    job_close(&o.job);
    return status == GR_STOPPED ? EXIT_STOPPED : code;
}
