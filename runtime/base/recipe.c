/* Questions about a recipe.  The round of a phase: its runs in text order, each `times` times.  Steps walk through
 * it and begin again, so that everything about turns follows from the number of a step. */
#include "recipe.h"

static int64_t round_length(const RecipePhase *p) {
    int64_t n = 0;
    for (uint32_t i = 0; i < p->runs.n; i++)
        n += p->runs.at[i].times;
    return n;
}

uint32_t recipe_run_at(const RecipePhase *p, int64_t step) {
    int64_t at = step % round_length(p);
    uint32_t run = 0;
    while (at >= p->runs.at[run].times)
        at -= p->runs.at[run++].times;
    return run;
}

int64_t recipe_runs_before(const RecipePhase *p, int64_t step, uint32_t run) {
    int64_t round = round_length(p), times = p->runs.at[run].times, rest = step % round;
    for (uint32_t i = 0; i < run; i++)
        rest -= p->runs.at[i].times;
    return step / round * times + (rest <= 0 ? 0 : rest < times ? rest : times);
}

uint32_t recipe_phase_from(const Recipe *r, uint32_t from) {
    while (from < r->phases.n && r->phases.at[from].called)
        from++;
    return from;
}

const RecipePhase *recipe_last_phase(const Recipe *r) {
    const RecipePhase *last = NULL;
    for (uint32_t i = 0; i < r->phases.n; i++)
        last = r->phases.at[i].called ? last : &r->phases.at[i];
    return last;
}

bool recipe_has_split(const RecipeData *d, Str name) {
    for (uint32_t i = 0; i < d->sources.n; i++) {
        if (str_eq(d->sources.at[i].split, name))
            return true;
    }
    for (uint32_t i = 0; i < d->parts.n; i++) {
        if (str_eq(d->parts.at[i].name, name))
            return !str_is(name, "unused");             /* what `unused rest` drops */
    }
    return false;
}

int64_t recipe_batch(const RecipePhase *p, uint32_t data) {
    for (uint32_t i = 0; i < p->more.n; i++) {
        if (p->more.at[i].data == data)
            return p->more.at[i].rows;
    }
    return p->batch;
}

bool recipe_has_series(const RecipeObjective *o, Str name) {
    if (str_is(name, "total"))
        return o->losses.n > 0;
    for (uint32_t i = 0; i < o->losses.n; i++) {
        if (str_eq(o->losses.at[i].name, name))
            return true;
    }
    for (uint32_t i = 0; i < o->metrics.n; i++) {
        if (str_eq(o->metrics.at[i].name, name))
            return o->metrics.at[i].shape.rank == 0;
    }
    return false;
}

static uint32_t listed(const RecipePhase *p, bool train, uint32_t i) {
    return p == NULL ? i : train ? p->runs.at[i].objective : p->validations.at[i].objective;
}

bool recipe_measured(const Recipe *r, const RecipePhase *p, Str split, uint32_t i, uint32_t *objective) {
    bool train = str_is(split, "train");
    uint32_t n = p == NULL ? r->objectives.n : train ? p->runs.n : p->validations.n;
    for (uint32_t k = 0; k < n; k++) {
        bool again = false;
        *objective = listed(p, train, k);
        for (uint32_t j = 0; j < k; j++)
            again = again || listed(p, train, j) == *objective;
        if (!again && i-- == 0)
            return true;
    }
    return false;
}

uint32_t recipe_series_owners(const Recipe *r, const RecipePhase *p, Str split, Str name) {
    uint32_t n = 0, o;
    for (uint32_t i = 0; recipe_measured(r, p, split, i, &o); i++)
        n += recipe_has_series(&r->objectives.at[o], name);
    return n;
}

bool recipe_is_word(Str word) {
    return str_is(word, "epochs") || str_is(word, "steps") || str_is(word, "batch") || str_is(word, "seed");
}

static void set_word(RecipePhase *p, Str word, int64_t x) {
    if (str_is(word, "epochs")) {
        p->epochs = x;
        p->steps = 0;
    } else if (str_is(word, "steps")) {
        p->steps = x;
        p->epochs = 0;
    } else if (str_is(word, "batch")) {
        p->batch = x;
    } else {
        p->seed = x;
    }
}

void recipe_set_word(const RecipeWord *w, RecipePhase *p) {
    uint32_t dot = 0;
    while (dot < w->name.n && w->name.s[dot] != '.')
        dot++;
    if (dot == w->name.n)
        set_word(p, w->name, w->value);
    else if (str_eq(p->name, (Str){w->name.s, dot}))
        set_word(p, (Str){w->name.s + dot + 1, w->name.n - dot - 1}, w->value);
}

bool recipe_pattern_names(Str pattern, Str path) {
    if (pattern.n == 0)
        return path.n == 0 || path.s[0] == '.' || path.s[0] == '[';
    Str rest = {pattern.s + 1, pattern.n - 1};
    if (pattern.s[0] != '*')
        return path.n > 0 && path.s[0] == pattern.s[0] && recipe_pattern_names(rest, (Str){path.s + 1, path.n - 1});
    for (uint32_t i = 0; i <= path.n; i++) {
        if (recipe_pattern_names(rest, (Str){path.s + i, path.n - i}))
            return true;
    }
    return false;
}
