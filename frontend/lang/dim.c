/* Extents as polynomials: sums of products of batch extents with integer factors, kept canonical, so that two
 * extents are equal for every batch exactly when their polynomials are the same.  `T - 1`, `2 * N`, `(T N)`
 * are all of this form. Factors saturate; a shape that large is refused where it is used. */
#include "lower.h"

static int64_t mul_sat(int64_t x, int64_t y) {
    int64_t r;
    if (!__builtin_mul_overflow(x, y, &r)) {
        return r;
    }
    return (x < 0) == (y < 0) ? INT64_MAX : INT64_MIN;
}

static int64_t add_sat(int64_t x, int64_t y) {
    int64_t r;
    return __builtin_add_overflow(x, y, &r) ? (x < 0 ? INT64_MIN : INT64_MAX) : r;
}

/* Order of terms: fewer factors first, then by the ids of the extents. */
static int compare_terms(const DimTerm *x, const DimTerm *y) {
    if (x->n != y->n) {
        return x->n < y->n ? -1 : 1;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->of[i]->id != y->of[i]->id) {
            return x->of[i]->id < y->of[i]->id ? -1 : 1;
        }
    }
    return 0;
}

/* Adds a term to a canonical polynomial that has room for it. */
static void insert(DimPoly *p, DimTerm t) {
    uint32_t i = 0;
    while (i < p->n && compare_terms(&p->term[i], &t) < 0) {
        i++;
    }
    if (i < p->n && compare_terms(&p->term[i], &t) == 0) {
        p->term[i].factor = add_sat(p->term[i].factor, t.factor);
        if (p->term[i].factor == 0) {
            for (p->n--; i < p->n; i++) {
                p->term[i] = p->term[i + 1];
            }
        }
        return;
    }
    if (t.factor == 0) {
        return;
    }
    for (uint32_t k = p->n++; k > i; k--) {
        p->term[k] = p->term[k - 1];
    }
    p->term[i] = t;
}

static DimPoly *room_for(Arena *a, uint32_t n) {
    DimPoly *p = PUSH(a, DimPoly, 1);
    p->term = PUSH(a, DimTerm, n ? n : 1);
    return p;
}

Dim dim_const(Arena *a, int64_t x) {
    DimPoly *p = room_for(a, 1);
    insert(p, (DimTerm){.factor = x});
    return p;
}

Dim dim_of_extent(Arena *a, const Extent *e) {
    DimPoly *p = room_for(a, 1);
    insert(p, (DimTerm){.factor = 1, .n = 1, .of = {e}});
    return p;
}

static Dim add_scaled(Arena *a, Dim x, Dim y, int64_t scale) {
    DimPoly *p = room_for(a, x->n + y->n);
    for (uint32_t i = 0; i < x->n; i++) {
        insert(p, x->term[i]);
    }
    for (uint32_t i = 0; i < y->n; i++) {
        DimTerm t = y->term[i];
        t.factor = mul_sat(t.factor, scale);
        insert(p, t);
    }
    return p;
}

Dim dim_add(Arena *a, Dim x, Dim y) { return add_scaled(a, x, y, 1); }
Dim dim_sub(Arena *a, Dim x, Dim y) { return add_scaled(a, x, y, -1); }

/* Products of more than DIM_MAX_FACTORS batch extents do not occur in programs; they become plain numbers. */
static DimTerm mul_terms(const DimTerm *x, const DimTerm *y) {
    DimTerm t = {.factor = mul_sat(x->factor, y->factor)};
    for (uint32_t i = 0, j = 0; i < x->n || j < y->n;) {
        bool left = j == y->n || (i < x->n && x->of[i]->id <= y->of[j]->id);
        const Extent *e = left ? x->of[i++] : y->of[j++];
        if (t.n < DIM_MAX_FACTORS) {
            t.of[t.n++] = e;
        } else {
            t.factor = mul_sat(t.factor, e->value);
        }
    }
    return t;
}

Dim dim_mul(Arena *a, Dim x, Dim y) {
    DimPoly *p = room_for(a, x->n * y->n);
    for (uint32_t i = 0; i < x->n; i++) {
        for (uint32_t j = 0; j < y->n; j++) {
            insert(p, mul_terms(&x->term[i], &y->term[j]));
        }
    }
    return p;
}

/* x / y of single terms, when every factor of y is in x. */
static bool divide_term(const DimTerm *x, const DimTerm *y, DimTerm *out) {
    if (y->factor == 0 || (y->factor == -1 && x->factor == INT64_MIN) || x->factor % y->factor != 0) {
        return false;
    }
    *out = (DimTerm){.factor = x->factor / y->factor};
    uint32_t j = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        if (j < y->n && x->of[i] == y->of[j]) {
            j++;
        } else {
            out->of[out->n++] = x->of[i];
        }
    }
    return j == y->n;
}

bool dim_divide(Arena *a, Dim x, Dim y, Dim *out) {
    if (y->n != 1) {
        if (y->n > 0 && dim_eq(x, y)) {
            *out = dim_const(a, 1);
            return true;
        }
        return false;
    }
    DimPoly *p = room_for(a, x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        DimTerm t;
        if (!divide_term(&x->term[i], &y->term[0], &t)) {
            return false;
        }
        insert(p, t);
    }
    *out = p;
    return true;
}

bool dim_eq(Dim x, Dim y) {
    if (x->n != y->n) {
        return false;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->term[i].factor != y->term[i].factor || compare_terms(&x->term[i], &y->term[i]) != 0) {
            return false;
        }
    }
    return true;
}

bool dim_known(Dim x, int64_t *out) {
    if (x->n > 1 || (x->n == 1 && x->term[0].n > 0)) {
        return false;
    }
    *out = x->n == 0 ? 0 : x->term[0].factor;
    return true;
}

int64_t dim_value(Dim x) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        int64_t product = x->term[i].factor;
        for (uint32_t k = 0; k < x->term[i].n; k++) {
            product = mul_sat(product, x->term[i].of[k]->value);
        }
        sum = add_sat(sum, product);
    }
    return sum;
}

/* As one would write it: the terms with extents first, the constant last. */
void dim_print(Buf *b, Dim x) {
    if (x->n == 0) {
        buf_char(b, '0');
    }
    bool first = true;
    for (uint32_t i = x->n; i-- > 0;) {
        const DimTerm *t = &x->term[i];
        int64_t factor = t->factor;
        if (!first) {
            buf_printf(b, factor < 0 ? " - " : " + ");
        } else if (factor < 0) {
            buf_char(b, '-');
        }
        uint64_t size = factor < 0 ? -(uint64_t)factor : (uint64_t)factor;
        if (t->n == 0 || size != 1) {
            buf_printf(b, t->n ? "%llu " : "%llu", (unsigned long long)size);
        }
        for (uint32_t k = 0; k < t->n; k++) {
            buf_printf(b, "%s%.*s", k ? " " : "", FSTR(t->of[k]->name));
        }
        first = false;
    }
}
