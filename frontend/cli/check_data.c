/* What is known of the data before they are read: the batches of an epoch, and columns that will not be. */
#include "check.h"
#include "dataset.h"
#include "run.h"
#include "table.h"

int64_t check_rows(const Check *c, uint32_t data) {
    Arena *scratch = arena_create();
    int64_t n = dataset_count(scratch, &c->s->recipe->data.at[data], STR("train"));
    arena_destroy(scratch);
    return n;
}

static bool mixes(const Check *c, const RecipePhase *p) {
    for (uint32_t i = 0; i < p->runs.n; i++) {
        const RunFacts *f = program_facts(c->s->program, p->runs.at[i].name);
        for (uint32_t k = 0; f && k < f->losses.n; k++)
            if (f->losses.at[k].mixed.n) return true;
    }
    return false;
}

static Str batches_text(const Check *c, const RecipePhase *p, int64_t rows) {
    Buf b = buf_make(c->s->arena);
    long long whole = rows / p->batch, batch = p->batch, last = rows % p->batch;
    if (whole > 0) buf_printf(&b, "%lld × %lld", whole, batch);
    if (last > 0 && p->drop_tail) buf_printf(&b, "; %lld %s left out", last, last == 1 ? "row is" : "rows are");
    else if (last > 0) buf_printf(&b, "%s1 × %lld", whole > 0 ? " and " : "", last);
    if (last == 1 && !p->drop_tail && mixes(c, p)) buf_printf(&b, "; rows are mixed, and it has one: `drop tail`");
    return buf_str(&b);
}

void check_batches(const Check *c, const RecipePhase *p) {
    const RecipeObjective *o = &c->s->recipe->objectives.at[p->runs.at[0].objective];
    const RecipeData *d = &c->s->recipe->data.at[o->data];
    int64_t rows = check_rows(c, o->data);
    if (rows < 0) return;
    Str text = batches_text(c, p, rows);
    if (c->json) {
        json_t *j = json_object();
        json_object_set_new(j, "data", json_text(d->name));
        json_object_set_new(j, "phase", json_text(p->name));
        json_object_set_new(j, "rows", json_integer(rows));
        json_object_set_new(j, "batch", json_integer(p->batch));
        json_object_set_new(j, "last", json_integer(p->drop_tail ? 0 : rows % p->batch));
        check_object(c, "batches", j);
        return;
    }
    Str of = check_of_phase(c, p), count = count_text(c->s->arena, (uint64_t)rows);
    printf("batches%.*s  %.*s rows of %.*s: %.*s\n", FSTR(of), FSTR(count), FSTR(d->name), FSTR(text));
}

/* Whether the rows that are trained on are other ones in each epoch. */
void check_renewals(const Check *c) {
    for (uint32_t i = 0; i < c->s->recipe->data.n; i++) {
        const RecipeData *d = &c->s->recipe->data.at[i];
        if (!d->renews && d->settled.n == 0) continue;
        if (c->json) {
            json_t *j = json_object();
            json_object_set_new(j, "data", json_text(d->name));
            json_object_set_new(j, "each_epoch", json_boolean(d->renews));
            check_object(c, "fresh", j);
        } else if (d->renews) {
            printf("fresh  rows of %.*s are new in each epoch\n", FSTR(d->name));
        } else {
            printf("fresh  rows of %.*s are made once: draws decide which there are (line %u)\n", FSTR(d->name),
                   sources_place(c->s->files, d->settled).line);
        }
    }
}

static bool is_input(const RecipeData *d, const RecipeColumn *c) {
    for (uint32_t i = 0; i < d->inputs.n; i++)
        if (str_eq(d->inputs.at[i].name, c->name)) return true;
    return false;
}

/* Raw columns that a formula reads are known when its graph has been lowered. */
static void find_inputs(Session *s, const RecipeData *d) {
    bool unread = false;
    Entries stages = {0};
    for (uint32_t k = 0; k < d->columns.n; k++)
        unread = unread || (d->columns.at[k].raw && !d->columns.at[k].used && !is_input(d, &d->columns.at[k]));
    if (!unread || !d->has_graph || !run_stages(s, d, true, &stages)) return;
    for (uint32_t k = 0; k < stages.at.n; k++)
        lower_graph(s->program, LOWER_DATA, stages.at.at[k].name, stages.at.at[k].rows, s->diags);
}

void check_columns(const Check *c) {
    for (uint32_t i = 0; i < c->s->recipe->data.n; i++) {
        const RecipeData *d = &c->s->recipe->data.at[i];
        find_inputs(c->s, d);
        json_t *names = json_array();
        Buf b = buf_make(c->s->arena);
        for (uint32_t k = 0; k < d->columns.n; k++) {
            const RecipeColumn *x = &d->columns.at[k];
            if (!x->raw || x->used || is_input(d, x)) continue;
            buf_printf(&b, "%s`%.*s`", b.n ? ", " : "", FSTR(x->name));
            json_array_append_new(names, json_text(x->name));
        }
        json_t *j = json_object();
        json_object_set_new(j, "data", json_text(d->name));
        json_object_set_new(j, "columns", names);
        if (b.n > 0 && c->json) check_object(c, "not_read", json_incref(j));
        if (b.n > 0 && !c->json) printf("not read  %.*s of %.*s\n", FSTR(buf_str(&b)), FSTR(d->name));
        json_decref(j);
    }
}

/* Of the labels that an objective sees: what accuracies and cross-entropies have to beat. */
void check_baselines(const Check *c) {
    for (uint32_t i = 0; i < c->s->recipe->data.n; i++) {
        const RecipeData *d = &c->s->recipe->data.at[i];
        for (uint32_t k = 0; k < d->columns.n; k++) {
            const RecipeColumn *x = &d->columns.at[k];
            DataBaseline b;
            if (!x->used || !dataset_baseline(c->s->arena, d, k, STR("train"), &b)) continue;
            if (c->json) {
                json_t *j = json_object();
                json_object_set_new(j, "data", json_text(d->name));
                json_object_set_new(j, "column", json_text(x->name));
                json_object_set_new(j, "value", json_integer(b.value));
                json_object_set_new(j, "share", json_real(b.share));
                json_object_set_new(j, "entropy", json_real(b.entropy));
                check_object(c, "baseline", j);
                continue;
            }
            printf("baseline  %.*s of %.*s: always %lld is right in %.4g %%, a constant answer has ",
                   FSTR(x->name), FSTR(d->name), (long long)b.value, 100 * b.share);
            printf("cross-entropy %.4g\n", b.entropy);
        }
    }
}
