/* Splits in exact arithmetic: part i ends at floor(cumulated share * rows), the shares being fractions of
 * decimals, so that 0.7 + 0.1 of 10 rows are 8 and not 7.  Clauses apply in the order of the text; a clause
 * "of s" takes the place of s. */
#include "split.h"
#include "hash.h"
#include "philox.h"
#include <string.h>

typedef struct { int64_t num, den; } Fraction;

static int64_t gcd(int64_t a, int64_t b) { return b == 0 ? a : gcd(b, a % b); }

/* False when it does not fit: shares have few digits, their sum has few. */
static bool fraction_add(Fraction *x, int64_t num, int64_t den) {
    int64_t g = gcd(x->den, den), n1, n2, sum, common;
    if (__builtin_mul_overflow(x->num, den / g, &n1) || __builtin_mul_overflow(num, x->den / g, &n2) ||
        __builtin_add_overflow(n1, n2, &sum) || __builtin_mul_overflow(x->den, den / g, &common))
        return false;
    g = gcd(sum, common);
    *x = g == 0 ? (Fraction){0, 1} : (Fraction){sum / g, common / g};
    return true;
}

static int64_t floor_of(Fraction x, int64_t rows) { return (int64_t)((__int128)x.num * rows / x.den); }

typedef struct { uint32_t key, stream, a, b; int64_t draw; Philox4 r; } Draws;

static Draws draws_of(int64_t seed, uint32_t stream, uint32_t a, uint32_t b) {
    return (Draws){.key = (uint32_t)seed ^ (uint32_t)(seed >> 32), .stream = stream, .a = a, .b = b};
}

/* The next one, below n. */
static int64_t draw_below(Draws *d, int64_t n) {
    if (d->draw % 2 == 0)
        d->r = philox4x32_10((Philox4){{(uint32_t)(d->draw / 2), 0, d->a, d->b}}, d->key, d->stream);
    uint64_t bits = d->r.w[d->draw % 2 * 2] | (uint64_t)d->r.w[d->draw % 2 * 2 + 1] << 32;
    d->draw++;
    return (int64_t)((unsigned __int128)bits * (uint64_t)n >> 64);
}

void permute(uint32_t *items, int64_t n, int64_t seed, uint32_t stream, uint32_t a, uint32_t b) {
    Draws d = draws_of(seed, stream, a, b);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = draw_below(&d, i + 1);
        uint32_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

static uint32_t stream_of(const char *name) { return (uint32_t)hash_str(0, str_of(name)); }

/* The buffer is the end of `out` that is not decided yet: place i takes a row of places i to i + buffer - 1, whose own
 * row waits in its place. */
static void order_by_buffer(int64_t n, int64_t buffer, Draws *d, uint32_t *out) {
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i + draw_below(d, n - i < buffer ? n - i : buffer);
        uint32_t row = out[j];
        out[j] = out[i];
        out[i] = row;
    }
}

void epoch_order(const Split *s, int64_t buffer, int64_t seed, uint32_t phase, uint32_t epoch, uint32_t *out) {
    memcpy(out, s->rows, (size_t)s->n * sizeof *out);
    if (buffer == 0) {
        permute(out, s->n, seed, stream_of("data.order"), epoch, phase);
        return;
    }
    Draws d = draws_of(seed, stream_of("data.buffer"), epoch, phase);
    order_by_buffer(s->n, buffer, &d, out);
}

const Split *splits_find(const Splits *s, Str name) {
    for (uint32_t i = 0; i < s->at.n; i++) {
        if (str_eq(s->at.at[i].name, name))
            return &s->at.at[i];
    }
    return NULL;
}

/* Rows that came from a source `as name`, by name. */
static void add_source_splits(Arena *a, int64_t rows, const Str *source_of, Splits *out) {
    for (int64_t i = 0; i < rows; i++) {
        if (source_of[i].n == 0 || (i > 0 && str_eq(source_of[i], source_of[i - 1])) ||
            splits_find(out, source_of[i]) != NULL)
            continue;
        Split s = {.name = source_of[i], .rows = PUSH(a, uint32_t, rows - i)};
        for (int64_t k = i; k < rows; k++) {
            if (str_eq(source_of[k], s.name))
                s.rows[s.n++] = (uint32_t)k;
        }
        vec_push(a, &out->at, s);
    }
}

/* How many rows each part gets. */
static GrStatus part_sizes(const RecipeData *d, const RecipeSplit *c, int64_t rows, int64_t *size, Error *e) {
    Fraction sum = {0, 1};
    int64_t used = 0, rest = -1;
    for (uint32_t i = 0; i < c->n_parts; i++) {
        const RecipePart *p = &d->parts.at[c->first_part + i];
        int64_t before = floor_of(sum, rows);
        switch (p->kind) {
        case PART_SHARE:
            if (p->numerator < 0 || p->denominator <= 0 ||
                !fraction_add(&sum, p->numerator, p->denominator) || sum.num > sum.den)
                return fail(e, GR_DATA,
                            "data `%.*s`: the shares of its split are more than the whole at `%.*s`",
                            FSTR(d->name), FSTR(p->name));
            size[i] = floor_of(sum, rows) - before;
            break;
        case PART_COUNT: size[i] = p->numerator; break;
        case PART_REST:
            if (rest >= 0)
                return fail(e, GR_DATA, "data `%.*s`: two parts of one split say `rest`", FSTR(d->name));
            size[i] = 0;
            rest = i;
            break;
        }
        used = size[i] > rows - used ? rows + 1 : used + size[i];
        if (used > rows) {
            fail(e, GR_DATA,
                 "data `%.*s`: part `%.*s` wants %lld rows, but of the %lld rows there are not so many left",
                 FSTR(d->name), FSTR(p->name), (long long)size[i], (long long)rows);
            fail_help(e, "make the parts smaller, or say `rest` for the last one");
            return GR_DATA;
        }
    }
    if (rest >= 0)
        size[rest] = rows - used;
    return GR_OK;
}

static void remove_split(Splits *s, const Split *gone) {
    uint32_t i = (uint32_t)(gone - s->at.at);
    memmove(&s->at.at[i], &s->at.at[i + 1], sizeof *gone * (s->at.n - i - 1));
    s->at.n--;
}

static GrStatus add_part(Arena *a, const RecipeData *d, Str name, const uint32_t *rows, int64_t n,
                         Splits *out, Error *e) {
    if (splits_find(out, name) != NULL)
        return fail(e, GR_DATA, "data `%.*s` makes the split `%.*s` twice", FSTR(d->name), FSTR(name));
    Split s = {.name = name, .rows = PUSH(a, uint32_t, n + 1), .n = n};
    memcpy(s.rows, rows, sizeof *rows * (size_t)n);
    vec_push(a, &out->at, s);
    return GR_OK;
}

/* A fold: its units stand together in the shuffled order, the others are the second part. */
static GrStatus apply_fold(const RecipeData *d, const RecipeSplit *c, uint32_t *part, int64_t n,
                           Error *e) {
    if (c->folds > n) {
        fail(e, GR_DATA, "data `%.*s`: %lld folds of %lld", FSTR(d->name), (long long)c->folds, (long long)n);
        return GR_DATA;
    }
    int64_t first = floor_of((Fraction){c->fold, c->folds}, n), last = floor_of((Fraction){c->fold + 1, c->folds}, n);
    for (int64_t i = 0; i < n; i++)
        part[i] = i < first || i >= last;
    return GR_OK;
}

/* part[i]: the number of the part that unit i of the shuffled order goes to; n_parts: to none. */
static GrStatus parts_of(Arena *a, const RecipeData *d, const RecipeSplit *c, uint32_t *part, int64_t n, Error *e) {
    if (c->folds > 0)
        return apply_fold(d, c, part, n, e);
    int64_t *size = PUSH(a, int64_t, c->n_parts + 1), at = 0;
    TRY(part_sizes(d, c, n, size, e));
    for (uint32_t p = 0; p < c->n_parts; p++) {
        for (int64_t i = 0; i < size[p]; i++)
            part[at++] = p;
    }
    while (at < n)
        part[at++] = c->n_parts;
    return GR_OK;
}

/* What is dealt out: rows, or groups of rows in the order of their first; unit[i] is that of rows[i]. */
static int64_t units_of(Arena *a, const uint32_t *rows, int64_t n, const uint32_t *group, uint32_t *unit) {
    if (group == NULL) {
        for (int64_t i = 0; i < n; i++)
            unit[i] = (uint32_t)i;
        return n;
    }
    uint32_t most = 0, units = 0;
    for (int64_t i = 0; i < n; i++)
        most = group[rows[i]] > most ? group[rows[i]] : most;
    uint32_t *number = PUSH(a, uint32_t, most + 2);     /* 1 + unit of a group */
    for (int64_t i = 0; i < n; i++) {
        uint32_t *of = &number[group[rows[i]]];
        *of = *of == 0 ? ++units : *of;
        unit[i] = *of - 1;
    }
    return units;
}

static GrStatus apply_clause(Arena *a, const RecipeData *d, const RecipeSplit *c, const uint32_t *rows, int64_t n,
                             const uint32_t *group, Splits *out, Error *e) {
    uint32_t *unit = PUSH(a, uint32_t, n + 1), *part = PUSH(a, uint32_t, n + 1), *order = PUSH(a, uint32_t, n + 1);
    uint32_t *part_of = PUSH(a, uint32_t, n + 1), *taken = PUSH(a, uint32_t, n + 1);
    int64_t units = units_of(a, rows, n, group, unit);
    TRY(parts_of(a, d, c, part, units, e));
    for (int64_t i = 0; i < units; i++)
        order[i] = (uint32_t)i;
    if (!c->in_order)
        permute(order, units, c->seed, stream_of("data.split"), 0, 0);
    for (int64_t i = 0; i < units; i++)
        part_of[order[i]] = part[i];
    for (uint32_t p = 0; p < c->n_parts; p++) {
        int64_t size = 0;
        for (int64_t i = 0; i < n; i++) {
            if (part_of[unit[i]] == p)
                taken[size++] = rows[i];
        }
        Str name = d->parts.at[c->first_part + p].name;
        if (!str_is(name, "unused"))
            TRY(add_part(a, d, name, taken, size, out, e));
    }
    return GR_OK;
}

GrStatus splits_build(Arena *a, const RecipeData *data, int64_t rows, const Str *source_of,
                      uint32_t *const *group, Splits *out, Error *e) {
    *out = (Splits){0};
    add_source_splits(a, rows, source_of, out);
    for (uint32_t i = 0; i < data->splits.n; i++) {
        const RecipeSplit *c = &data->splits.at[i];
        const Split *whole = c->of.n == 0 ? NULL : splits_find(out, c->of);
        int64_t n = whole == NULL ? rows : whole->n;
        if (c->of.n != 0 && whole == NULL)
            return fail(e, GR_DATA, "data `%.*s` has no split `%.*s` to cut up", FSTR(data->name),
                        FSTR(c->of));
        uint32_t *all = PUSH(a, uint32_t, n + 1);
        for (int64_t k = 0; k < n; k++)
            all[k] = whole == NULL ? (uint32_t)k : whole->rows[k];
        if (whole != NULL)
            remove_split(out, whole);
        TRY(apply_clause(a, data, c, all, n, group == NULL ? NULL : group[i], out, e));
    }
    if (out->at.n == 0) { /* nothing was said: all rows are there to train on */
        uint32_t *all = PUSH(a, uint32_t, rows + 1);
        for (int64_t k = 0; k < rows; k++)
            all[k] = (uint32_t)k;
        TRY(add_part(a, data, STR("train"), all, rows, out, e));
    }
    return GR_OK;
}
