/* Bounds of addresses.  An i32 value is a linear form over variables; a variable is an axis, or a value
 * that is no linear form of others and has an interval of its own (min, max, mod ..).  What else is known
 * are bounds on linear forms: axes that are clipped (B*h + i < total), and the comparisons of a guard.
 * To bound an address, whole bounded forms are taken out of it as long as one divides its coefficients
 * (C*(s*o + d*t - p) + c leaves c), and the rest is bounded variable by variable.  The first may also go in part, as
 * often as it takes to be rid of one of its variables (3*o - 2*t is 3*(o - t) + t).  Which form goes first
 * matters, so each gets its turn and the best bounds count. */
#include "kernel_range.h"
#include <string.h>

enum { MAX_TERMS = 16, MAX_BOUNDS = 48 };
typedef struct { uint32_t var; int64_t coef; } Term;      /* var: an axis, or MAX_AXES + instruction */
typedef struct { Wide base; uint32_t n; Term term[MAX_TERMS]; } Form;
typedef struct { Form form; Range range; } Bound;         /* form without base */
struct StageRanges {
    const Kernel *k;
    const Stage *s;
    Form  *forms;                  /* of each i32 instruction */
    Range *ranges;                 /* of each i32 instruction as a variable */
};

static const Range k_any = {INT32_MIN, INT32_MAX};

/* ---- forms ---- */
static bool add_term(Form *f, uint32_t var, Wide coef) {
    uint32_t i = 0;
    while (i < f->n && f->term[i].var < var)
        i++;
    bool there = i < f->n && f->term[i].var == var;
    Wide sum = coef + (there ? f->term[i].coef : 0);
    if (sum > INT64_MAX || sum < INT64_MIN || (!there && f->n == MAX_TERMS))
        return false;
    if (there && sum == 0) {
        memmove(&f->term[i], &f->term[i + 1], (f->n - i - 1) * sizeof(Term));
        f->n--;
    } else if (there) {
        f->term[i].coef = (int64_t)sum;
    } else if (sum != 0) {
        memmove(&f->term[i + 1], &f->term[i], (f->n - i) * sizeof(Term));
        f->term[i] = (Term){var, (int64_t)sum};
        f->n++;
    }
    return true;
}

/* to += factor * f; false when it does not fit. */
static bool add_form(Form *to, const Form *f, int64_t factor) {
    to->base += f->base * factor;
    bool fits = true;
    for (uint32_t i = 0; i < f->n; i++)
        fits = add_term(to, f->term[i].var, (Wide)f->term[i].coef * factor) && fits;
    return fits;
}

static Range range_scaled(Range r, Wide factor) {
    return factor >= 0 ? (Range){r.lo * factor, r.hi * factor} : (Range){r.hi * factor, r.lo * factor};
}

static Range var_range(const StageRanges *r, uint32_t var) {
    return var < MAX_AXES ? (Range){0, (Wide)r->k->axes.at[var].extent - 1} : r->ranges[var - MAX_AXES];
}

/* Variable by variable. */
static Range box(const StageRanges *r, const Form *f) {
    Range sum = {f->base, f->base};
    for (uint32_t i = 0; i < f->n; i++) {
        Range part = range_scaled(var_range(r, f->term[i].var), f->term[i].coef);
        sum.lo += part.lo;
        sum.hi += part.hi;
    }
    return sum;
}

/* ---- values ---- */
static const KInst *inst_of(const StageRanges *r, uint32_t i) { return &r->k->insts.at[r->s->first + i]; }

static Range operand_range(const StageRanges *r, const KInst *in, uint32_t which) {
    return inst_of(r, in->in[which])->type == DT_I32 ? box(r, &r->forms[in->in[which]]) : k_any;
}

static Wide low_of(Wide x, Wide y) { return x < y ? x : y; }
static Wide high_of(Wide x, Wide y) { return x > y ? x : y; }
static Wide floor_div(Wide x, Wide y) { return x / y - (x % y != 0 && x < 0); }       /* y > 0 */

/* Of a scalar operation that is no linear form. */
static Range scalar_range(const StageRanges *r, const KInst *in) {
    SOp op = (SOp)in->op;
    if (op == S_cast)
        return inst_of(r, in->in[0])->type == DT_BOOL ? (Range){0, 1} : k_any;
    if (sop_operands(op) < 2)
        return k_any;
    Range x = operand_range(r, in, 0), y = operand_range(r, in, 1);
    if (op == S_min)
        return (Range){low_of(x.lo, y.lo), low_of(x.hi, y.hi)};
    if (op == S_max)
        return (Range){high_of(x.lo, y.lo), high_of(x.hi, y.hi)};
    if (op == S_mod && y.lo == y.hi && y.lo > 0)
        return x.lo >= 0 && x.hi < y.lo ? x : (Range){0, y.lo - 1};
    if (op == S_idiv && y.lo == y.hi && y.lo > 0)
        return (Range){floor_div(x.lo, y.lo), floor_div(x.hi, y.lo)};
    if (op == S_and && y.lo >= 0)
        return (Range){0, y.hi};
    if (op == S_select) {
        Range z = operand_range(r, in, 2);
        return (Range){low_of(y.lo, z.lo), high_of(y.hi, z.hi)};
    }
    return k_any;
}

static Range value_range(const StageRanges *r, const KInst *in) {
    if (in->kop == K_SCALAR)
        return scalar_range(r, in);
    if (in->kop == K_LOAD && r->k->bufs.at[r->k->accesses.at[in->access].buf].dtype == DT_U8) {
        Range outside = in->in[0] == 0 ? (Range){0, 0} : (Range){in->imm.i, in->imm.i};
        return (Range){low_of(0, outside.lo), high_of(UINT8_MAX, outside.hi)};
    }
    return k_any;
}

/* The value as a form of axes and earlier values; false when it is none. */
static bool linear(const StageRanges *r, const KInst *in, Form *f) {
    *f = (Form){0};
    if (in->kop == K_AXIS)
        return add_term(f, (uint32_t)in->imm.i, 1);
    if (in->kop != K_SCALAR)
        return false;
    if (in->op == S_const) {
        f->base = in->imm.i;
        return true;
    }
    if (in->op != S_add && in->op != S_sub && in->op != S_mul)
        return false;
    const Form *x = &r->forms[in->in[0]], *y = &r->forms[in->in[1]];
    if (in->op != S_mul)
        return add_form(f, x, 1) && add_form(f, y, in->op == S_add ? 1 : -1);
    if (x->n > 0 && y->n > 0)
        return false;
    return x->n == 0 ? add_form(f, y, (int64_t)x->base) : add_form(f, x, (int64_t)y->base);
}

StageRanges *stage_ranges(Arena *a, const Kernel *k, const Stage *s) {
    StageRanges *r = PUSH(a, StageRanges, 1);
    *r = (StageRanges){k, s, PUSH(a, Form, s->n + 1), PUSH(a, Range, s->n + 1)};
    for (uint32_t i = 0; i < s->n; i++) {
        const KInst *in = inst_of(r, i);
        if (in->type != DT_I32 || in->kop == K_STORE || in->kop == K_CHECK || in->kop == K_FAULT)
            continue;
        r->ranges[i] = k_any;
        Range whole = {1, 0};
        if (linear(r, in, &r->forms[i]))
            whole = box(r, &r->forms[i]);
        if (whole.lo <= whole.hi && whole.lo >= INT32_MIN && whole.hi <= INT32_MAX)
            continue;                              /* it cannot wrap, so the form is the value */
        r->ranges[i] = value_range(r, in);
        r->forms[i] = (Form){0};
        add_term(&r->forms[i], MAX_AXES + i, 1);
    }
    return r;
}

/* ---- bounds on forms ---- */
typedef struct { const StageRanges *r; uint32_t n; Bound at[MAX_BOUNDS]; } Bounds;

static bool same_terms(const Form *x, const Form *y) {
    return x->n == y->n && memcmp(x->term, y->term, x->n * sizeof(Term)) == 0;
}

/* Takes note that f >= 0: its first coefficient made positive, that is a bound from below or above on its
 * terms. */
static void note(Bounds *b, const Form *f) {
    if (f->n == 0)
        return;
    int64_t sign = f->term[0].coef > 0 ? 1 : -1;
    Form terms = {0};
    if (!add_form(&terms, f, sign))
        return;
    terms.base = 0;
    uint32_t i = 0;
    while (i < b->n && !same_terms(&b->at[i].form, &terms))
        i++;
    if (i == MAX_BOUNDS)
        return;
    if (i == b->n)
        b->at[b->n++] = (Bound){terms, box(b->r, &terms)};
    Range *range = &b->at[i].range;
    if (sign > 0)
        range->lo = high_of(range->lo, -f->base);
    else
        range->hi = low_of(range->hi, f->base);
}

/* Takes note that x - y - less >= 0. */
static void note_difference(Bounds *b, const Form *x, const Form *y, Wide less) {
    Form f = {0};
    if (add_form(&f, x, 1) && add_form(&f, y, -1)) {
        f.base -= less;
        note(b, &f);
    }
}

static void note_guard(Bounds *b, uint32_t inst, bool holds) {
    const KInst *in = inst_of(b->r, inst);
    if (in->kop != K_SCALAR)
        return;
    if (in->op == S_not) {
        note_guard(b, in->in[0], !holds);
    } else if ((in->op == S_and && holds) || (in->op == S_or && !holds)) {
        note_guard(b, in->in[0], holds);
        note_guard(b, in->in[1], holds);
    } else if ((in->op == S_lt || in->op == S_le || in->op == S_eq) && inst_of(b->r, in->in[0])->type ==
               DT_I32) {
        const Form *x = &b->r->forms[in->in[0]], *y = &b->r->forms[in->in[1]];
        if (in->op == S_eq && holds) {
            note_difference(b, x, y, 0);
            note_difference(b, y, x, 0);
        } else if (in->op != S_eq) {
            Wide strict = in->op == S_lt;
            note_difference(b, holds ? y : x, holds ? x : y, holds ? strict : 1 - strict);
        }
    }
}

/* Only of axes that run here: a clip that leaves nothing says nothing of other stages. */
static void note_clips(Bounds *b, uint32_t n_axes) {
    for (uint32_t at = 0; at < n_axes; at++) {
        uint32_t i = b->r->s->axis[at];
        const KAxis *x = &b->r->k->axes.at[i];
        if (x->clip_by < 0)
            continue;
        Form room = {.base = (Wide)x->clip_total - 1};       /* total - 1 - (extent * h + i) >= 0 */
        if (add_term(&room, (uint32_t)x->clip_by, -(Wide)x->extent) && add_term(&room, i, -1))
            note(b, &room);
    }
}

/* ---- the address ---- */
static int64_t coef_of(const Form *f, uint32_t var) {
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->term[i].var == var)
            return f->term[i].coef;
    }
    return 0;
}

/* How often the bounded form goes into f as a whole, 0 when it does not. */
static int64_t times(const Form *f, const Form *part) {
    int64_t factor = coef_of(f, part->term[0].var) / part->term[0].coef;
    for (uint32_t i = 0; i < part->n; i++) {
        if ((Wide)part->term[i].coef * factor != coef_of(f, part->term[i].var))
            return 0;
    }
    return factor;
}

/* How often it goes to be rid of its variable number `term`. */
static int64_t times_for(const Form *f, const Form *part, uint32_t term) {
    return coef_of(f, part->term[term].var) / part->term[term].coef;
}

static Range bound_from(const Bounds *b, Form f, uint32_t start, uint32_t term) {
    Range sum = {0, 0};
    for (uint32_t i = 0; i < b->n; i++) {
        const Bound *bound = &b->at[(start + i) % b->n];
        int64_t factor = i == 0 ? times_for(&f, &bound->form, term) : times(&f, &bound->form);
        if (factor == 0 || factor == INT64_MIN || !add_form(&f, &bound->form, -factor))
            continue;
        Range part = range_scaled(bound->range, factor);
        sum.lo += part.lo;
        sum.hi += part.hi;
    }
    Range rest = box(b->r, &f);
    return (Range){sum.lo + rest.lo, sum.hi + rest.hi};
}

Range access_range(const StageRanges *r, const KAccess *access, uint32_t guard, uint32_t n_axes,
                   int64_t head) {
    Bounds b = {.r = r};
    Form address = {.base = access->base};
    Range extra = {0, 0};
    note_clips(&b, n_axes);
    if (guard != 0)
        note_guard(&b, guard - 1, true);
    for (uint32_t i = 0; i < b.n; i++) {
        if (b.at[i].range.lo > b.at[i].range.hi)
            return (Range){1, 0};
    }
    bool fits = true;
    for (uint32_t i = 0; i < r->k->axes.n; i++) {
        if (i == 0 && head >= 0)
            extra = range_scaled((Range){0, (Wide)head - 1}, access->coef[0]);
        else if (access->coef[i] != 0)
            fits = add_term(&address, i, access->coef[i]) && fits;
    }
    if (access->index != 0)
        fits = add_form(&address, &r->forms[access->index - 1], access->index_coef) && fits;
    Range best = fits ? box(r, &address) : (Range){INT64_MIN, INT64_MAX};
    for (uint32_t i = 0; i < b.n && fits; i++) {
        for (uint32_t k = 0; k < b.at[i].form.n; k++) {
            Range other = bound_from(&b, address, i, k);
            best = (Range){high_of(best.lo, other.lo), low_of(best.hi, other.hi)};
        }
    }
    return (Range){best.lo + extra.lo, best.hi + extra.hi};
}
