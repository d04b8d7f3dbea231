/* The values of a sample as a table: a row for each term and one for the total, a column for each model that has a
 * gradient of its own.  Cosines, when they are there, stand below. */
#include "budget.h"
#include "table.h"
#include <math.h>

typedef struct { Arena *a; const TrainValues *values; Str objective; VEC(Str) models; } Budget;

static double value_of(const Budget *b, Str name) {
    Str whole = str_format(b->a, "train.%.*s.%.*s", FSTR(b->objective), FSTR(name));
    for (uint32_t i = 0; i < b->values->at.n; i++)
        if (str_eq(b->values->at.at[i].whole, whole)) return (double)b->values->at.at[i].values[0];
    return NAN;
}

static double of_term(const Budget *b, Str term, const char *what) {
    return value_of(b, str_format(b->a, "%.*s%s", FSTR(term), what));
}

/* The objective whose terms were sampled. */
static const RecipeObjective *objective_of(Arena *a, const Recipe *r, const TrainProgress *p) {
    for (uint32_t i = 0; i < p->phase->runs.n; i++) {
        const RecipeObjective *o = &r->objectives.at[p->phase->runs.at[i].objective];
        Budget b = {.a = a, .values = p->values, .objective = o->name};
        if (o->losses.n > 0 && !isnan(of_term(&b, o->losses.at[0].name, ".value"))) return o;
    }
    return NULL;
}

static void find_models(Budget *b) {
    Str prefix = str_format(b->a, "train.%.*s.total.gradient.", FSTR(b->objective));
    for (uint32_t i = 0; i < b->values->at.n; i++) {
        Str whole = b->values->at.at[i].whole;
        if (str_starts(whole, prefix.s)) vec_push(b->a, &b->models, ((Str){whole.s + prefix.n, whole.n - prefix.n}));
    }
}

static void number(Table *t, const char *form, double x) {
    if (isnan(x)) table_cell(t, "-");
    else table_cell(t, form, x);
}

static void gradients(Budget *b, Table *t, Str prefix) {
    number(t, "%.3g", value_of(b, str_format(b->a, "%.*sgradient", FSTR(prefix))));
    for (uint32_t m = 0; m < b->models.n; m++)
        number(t, "%.3g", value_of(b, str_format(b->a, "%.*sgradient.%.*s", FSTR(prefix), FSTR(b->models.at[m]))));
    table_end_row(t);
}

static void put_cosines(const Budget *b, const RecipeObjective *o, Buf *out) {
    for (uint32_t i = 0; i < o->losses.n; i++)
        for (uint32_t k = i + 1; k < o->losses.n; k++) {
            Str x = o->losses.at[i].name, y = o->losses.at[k].name;
            double c = value_of(b, str_format(b->a, "%.*s.cosine.%.*s", FSTR(x), FSTR(y)));
            if (!isnan(c))
                buf_printf(out, "  %.*s and %.*s: cosine %.2f%s\n", FSTR(x), FSTR(y), c,
                           c < -0.1 ? ", one undoes what the other does" : "");
        }
}

Str budget_text(Arena *a, const Recipe *r, const TrainProgress *p) {
    const RecipeObjective *o = objective_of(a, r, p);
    if (!o) return STR("");
    Budget b = {.a = a, .values = p->values, .objective = o->name};
    find_models(&b);
    Table t = table_make_numbers(a, 5 + b.models.n);
    table_cell(&t, "%.*s, step %lld", FSTR(o->name), (long long)p->step);
    static const char *const heads[] = {"value", "weight", "share", "gradient"};
    for (uint32_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&t, "%s", heads[i]);
    for (uint32_t m = 0; m < b.models.n; m++) table_cell(&t, "%.*s", FSTR(b.models.at[m]));
    table_end_row(&t);
    double total = 0;
    for (uint32_t i = 0; i < o->losses.n; i++) {
        Str name = o->losses.at[i].name;
        double value = of_term(&b, name, ".value"), weight = of_term(&b, name, ".weight");
        table_cell(&t, "  %.*s", FSTR(name));
        number(&t, "%.4g", value);
        number(&t, "%.4g", weight);
        number(&t, "%.3g %%", 100 * of_term(&b, name, ".share"));
        gradients(&b, &t, str_format(a, "%.*s.", FSTR(name)));
        total += weight == 0 ? 0 : value * weight;
    }
    table_cell(&t, "  total");
    number(&t, "%.4g", total);
    table_cell(&t, " ");
    table_cell(&t, " ");
    gradients(&b, &t, STR("total."));
    Buf out = buf_make(a);
    table_write(&t, &out);
    put_cosines(&b, o, &out);
    return buf_str(&out);
}
