/* An epoch is the same when all weights and states are (`bits`) and all its values; values are written with the digits
 * that tell any two floats apart.  Logs of older versions have no bits: there the values alone decide; and a newer one
 * may measure more, which is not compared. */
#include "compare.h"
#include <math.h>

static const HistoryRow *next_epoch(const History *h, uint32_t *at) {
    while (*at < h->at.n) {
        const HistoryRow *r = &h->at.at[(*at)++];
        if (str_is(r->event, "epoch")) return r;
    }
    return NULL;
}

static bool same_value(const HistoryValue *x, const HistoryValue *y) {
    if (!x || !y || x->n != y->n) return false;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->values[i] != y->values[i] && !(isnan(x->values[i]) && isnan(y->values[i]))) return false;
    return true;
}

static bool same_bits(const HistoryRow *x, const HistoryRow *y) {
    return x->bits.n == 0 || y->bits.n == 0 || str_eq(x->bits, y->bits);
}

static uint32_t other_values(const HistoryRow *x, const HistoryRow *y, const HistoryValue **first) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->values.n; i++) {
        const HistoryValue *v = &x->values.at[i];
        if (same_value(v, history_value(y, v->name))) continue;
        if (n++ == 0) *first = v;
    }
    return n;
}

static bool same_row(const HistoryRow *x, const HistoryRow *y) {
    const HistoryValue *first;
    return x->step == y->step && str_eq(x->phase, y->phase) && same_bits(x, y) &&
           other_values(x, y, &first) == 0;
}

static Str difference(Arena *a, const HistoryRow *x, const HistoryRow *y) {
    const HistoryValue *first = NULL;
    uint32_t n = other_values(x, y, &first);
    Buf b = buf_make(a);
    buf_printf(&b, "epoch %lld", (long long)x->epoch);
    if (x->phase.n) buf_printf(&b, " of phase `%.*s`", FSTR(x->phase));
    buf_printf(&b, " is the first that differs: ");
    const HistoryValue *other = first ? history_value(y, first->name) : NULL;
    if (other && other->n == 1 && first->n == 1)
        buf_printf(&b, "%.*s is %.9g and %.9g", FSTR(first->name), first->values[0], other->values[0]);
    else if (first)
        buf_printf(&b, "%.*s", FSTR(first->name));
    else
        buf_printf(&b, "%s", same_bits(x, y) ? "its steps or series" : "weights or states, but no value yet");
    if (n > 1) buf_printf(&b, ", and %u more", n - 1);
    return buf_str(&b);
}

Str compare_text(Arena *a, const History *x, const History *y) {
    uint32_t i = 0, k = 0, same = 0;
    for (;; same++) {
        const HistoryRow *p = next_epoch(x, &i), *q = next_epoch(y, &k);
        if (!p && !q) return same ? str_format(a, "all %u epochs are the same", same) : STR("no epoch is finished");
        if (!p || !q)
            return str_format(a, "%u epoch%s the same; the %s run has more", same, same == 1 ? " is" : "s are",
                              p ? "first" : "second");
        if (!same_row(p, q)) return difference(a, p, q);
    }
}

bool compare_begins(const History *x, const History *y) {
    uint32_t i = 0, k = 0;
    for (const HistoryRow *p; (p = next_epoch(x, &i)) != NULL;) {
        const HistoryRow *q = next_epoch(y, &k);
        if (!q || !same_row(p, q)) return false;
    }
    return true;
}
