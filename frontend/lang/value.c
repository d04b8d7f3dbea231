/* Values: making them, naming them in messages, turning them into tensors of the graph being built. */
#include "lower.h"

static Value *fresh(Lower *l, ValueKind k, Span at) {
    Value *v = PUSH(l->a, Value, 1);
    v->kind = k;
    v->at = at;
    return v;
}

V value_poison(Lower *l) { return fresh(l, VAL_POISON, (Span){0}); }

V value_dim(Lower *l, Span at, Dim d) {
    Value *v = fresh(l, VAL_DIM, at);
    v->d.dim = d;
    return v;
}

V value_int(Lower *l, Span at, int64_t x) { return value_dim(l, at, dim_const(l->a, x)); }

V value_bool(Lower *l, Span at, bool x) {
    Value *v = fresh(l, VAL_BOOL, at);
    v->boolean = x;
    return v;
}

V value_text(Lower *l, Span at, ValueKind k, Str s) {
    Value *v = fresh(l, k, at);
    v->text = s;
    return v;
}

V value_uniform(Lower *l, Span at, uint32_t inst, Elem e) {
    Value *v = fresh(l, VAL_UNIFORM, at);
    v->uniform.inst = inst;
    v->uniform.elem = e;
    return v;
}

V value_number(Lower *l, Span at, double x) {
    return value_uniform(l, at, uniforms_const(l->m->uniforms, x), ELEM_REAL);
}

V value_array(Lower *l, Span at, Array a) {
    Value *v = fresh(l, VAL_ARRAY, at);
    v->array = a;
    return v;
}

bool value_scalar(V v) { return v->kind == VAL_DIM || v->kind == VAL_BOOL || v->kind == VAL_UNIFORM; }

Elem dtype_elem(DType t) { return t == DT_BOOL ? ELEM_BOOL : dtype_is_float(t) ? ELEM_REAL : ELEM_INT; }

DType elem_dtype(Elem e) { return e == ELEM_BOOL ? DT_BOOL : e == ELEM_INT ? DT_I32 : DT_F32; }

bool value_elem(V v, Elem *e) {
    if (v->kind == VAL_DIM) {
        *e = v->d.real ? ELEM_REAL : ELEM_INT;
    } else if (v->kind == VAL_BOOL) {
        *e = ELEM_BOOL;
    } else if (v->kind == VAL_UNIFORM) {
        *e = v->uniform.elem;
    } else if (v->kind == VAL_ARRAY) {
        *e = dtype_elem(v->array.dtype);
    } else {
        return false;
    }
    return true;
}

bool value_const_int(V v, int64_t *out) { return v->kind == VAL_DIM && dim_known(v->d.dim, out); }

/* ---- words for messages ---- */

static const char *elem_word(DType t) { return t == DT_F32 ? "real" : t == DT_I32 ? "int" : dtype_name(t); }

Str array_describe(Lower *l, const Array *a) {
    Buf b = buf_make(l->a);
    buf_printf(&b, "%s", elem_word(a->dtype));
    for (uint32_t i = 0; i < a->rank; i++) {
        buf_printf(&b, i ? ", " : "[");
        dim_print(&b, a->dim[i]);
    }
    buf_printf(&b, a->rank ? "]" : "");
    return buf_str(&b);
}

Str value_describe(Lower *l, V v) {
    static const char *const elem[] = {"bool", "int", "real"};
    Buf b = buf_make(l->a);
    double x;
    switch (v->kind) {
    case VAL_POISON: return STR("a mistake");
    case VAL_DIM: dim_print(&b, v->d.dim); return buf_str(&b);
    case VAL_BOOL: return v->boolean ? STR("yes") : STR("no");
    case VAL_TEXT: return STR("a text");
    case VAL_CHOICE: return str_format(l->a, "the choice %.*s", FSTR(v->text));
    case VAL_UNIFORM:
        if (uniforms_constant(l->m->uniforms, v->uniform.inst, &x)) {
            buf_real(&b, x);
            return buf_str(&b);
        }
        return str_format(l->a, "%s (a number of the program)", elem[v->uniform.elem]);
    case VAL_ARRAY: return array_describe(l, &v->array);
    case VAL_LIST: return str_format(l->a, "a list of %u", v->list.n);
    case VAL_TUPLE: return str_format(l->a, "%u results", v->list.n);
    case VAL_FUNCTION:
        return str_format(l->a,
                          v->function->n_given ? "`%.*s` with an argument missing" : "the function `%.*s`",
                          FSTR(v->function->name));
    case VAL_BATCH: return str_format(l->a, "a batch of `%.*s`", FSTR(v->batch->data->name.text));
    }
    GR_BUG("a value without kind");
}

/* ---- tensors ---- */

Shape array_shape(const Array *a) {
    Shape s = {.rank = (uint8_t)(a->n_lead + a->rank)};
    for (uint32_t i = 0; i < a->n_lead; i++) {
        s.dim[i] = dim_value(a->lead[i]->extent);
    }
    for (uint32_t i = 0; i < a->rank; i++) {
        s.dim[a->n_lead + i] = dim_value(a->dim[i]);
    }
    return s;
}

static bool has_rows(Dim d) {
    int64_t x;
    return !dim_known(d, &x);
}

/* Remembers which axes of a value of the main graph are rows of the batch: metric.c cuts there. */
static void note_rows(Lower *l, const Array *a) {
    if (a->graph != l->main_graph) {
        return;
    }
    uint8_t mask = 0;
    for (uint32_t i = 0; i < a->n_lead; i++) {
        mask |= (uint8_t)(has_rows(a->lead[i]->extent) << i);
    }
    for (uint32_t i = 0; i < a->rank; i++) {
        mask |= (uint8_t)(has_rows(a->dim[i]) << (a->n_lead + i));
    }
    while (mask && l->row_axes.n <= a->val.i) {
        vec_push(l->a, &l->row_axes, 0);
    }
    if (mask) {
        l->row_axes.at[a->val.i] |= mask;
    }
}

Array array_make(Lower *l, Val v, uint32_t n_lead, const Index *const *lead, uint32_t rank, const Dim *dim) {
    GR_ASSERT(n_lead + rank <= MAX_RANK);
    Array a = {.val = v,
               .graph = l->b.g,
               .dtype = type_of(l->b.g, v).dtype,
               .n_lead = (uint8_t)n_lead,
               .rank = (uint8_t)rank};
    for (uint32_t i = 0; i < n_lead; i++) {
        a.lead[i] = lead[i];
    }
    for (uint32_t i = 0; i < rank; i++) {
        a.dim[i] = dim[i];
    }
    note_rows(l, &a);
    return a;
}

/* The most elements a tensor may have; far above memory, far below overflow. */
static const int64_t most_elements = ((int64_t)1 << 40) - 1;      /* docs/ir.md, node c3 */

bool shape_fits(Lower *l, Span at, uint32_t n_lead, const Index *const *lead, uint32_t rank, const Dim *dim) {
    if (n_lead + rank > MAX_RANK) {
        report(l, DIAG_SHAPE, at, "a tensor of %u dims and indices; the most is %d", n_lead + rank, MAX_RANK);
        return false;
    }
    int64_t count = 1;
    for (uint32_t i = 0; i < n_lead + rank; i++) {
        int64_t x = dim_value(i < n_lead ? lead[i]->extent : dim[i - n_lead]);
        if (x < 0) {
            report(l, DIAG_SHAPE, at, "an extent would be %lld", (long long)x);
            return false;
        }
        if (x != 0 && count > most_elements / x) {
            report(l, DIAG_SHAPE, at, "a tensor of 2^40 elements or more");
            return false;
        }
        count *= x == 0 ? 1 : x;
    }
    return true;
}

int array_lead_of(const Array *a, const Index *i) {
    for (uint32_t k = 0; k < a->n_lead; k++) {
        if (a->lead[k] == i) {
            return (int)k;
        }
    }
    return -1;
}

Array array_here(Lower *l, Array x) {
    if (x.graph != l->b.g) {
        x.val = scan_capture(l, x);
        x.graph = l->b.g;
    }
    return x;
}

Array array_cast(Lower *l, Array x, DType t) {
    x = array_here(l, x);
    if (x.dtype == t) {
        return x;
    }
    return array_make(l, build_cast(&l->b, t, x.val), x.n_lead, x.lead, x.rank, x.dim);
}

bool array_from(Lower *l, V v, DType t, Array *out) {
    if (v->kind == VAL_ARRAY) {
        *out = array_cast(l, v->array, t);
        return true;
    }
    if (!value_scalar(v)) {
        return false;
    }
    *out = array_make(l, uniform_val(l, v, t), 0, NULL, 0, NULL);
    return true;
}

Array array_iota(Lower *l, const Index *i) {
    Shape s = {.rank = 1, .dim = {dim_value(i->extent)}};
    return array_make(l, build_iota(&l->b, s, 0), 1, &i, 0, NULL);
}
