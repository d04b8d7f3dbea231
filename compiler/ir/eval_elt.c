/* Elementwise ops, casts, and the leaves that make numbers.  What one element is computed with is not here:
 * scalar.c and the lines of math.def say it, or libm in f64 mode. */
#include "eval.h"
#include "philox.h"
#include <string.h>

enum { PORTION = 1 << 14 };                       /* elements handed to scalar.c at a time */

static const char *at(const Tensor *t, int64_t i) { return (const char *)t->data + i * dtype_bytes(t->dtype); }

static void apply_scalar(SOp op, const Tensor *in, uint32_t n_in, Tensor *out) {
    int64_t count = shape_count(out->shape);
    for (int64_t i = 0; i < count; i += PORTION) {
        uint32_t n = (uint32_t)(count - i < PORTION ? count - i : PORTION);
        scalar_eval(op, out->dtype, in[0].dtype, n, (char *)out->data + i * dtype_bytes(out->dtype), at(&in[0], i),
                    n_in > 1 ? at(&in[1], i) : NULL, n_in > 2 ? at(&in[2], i) : NULL);
    }
}

static void apply_line(const SLine *line, const Tensor *in, uint32_t n_in, Tensor *out) {
    int64_t count = shape_count(out->shape);
    for (int64_t i = 0; i < count; i += PORTION) {
        uint32_t n = (uint32_t)(count - i < PORTION ? count - i : PORTION);
        const void *args[2] = {at(&in[0], i), n_in > 1 ? at(&in[1], i) : NULL};
        scalar_eval_line(line, n, (char *)out->data + i * dtype_bytes(out->dtype), args);
    }
}

static void apply_f64(MathFn fn, const Tensor *in, uint32_t n_in, Tensor *out) {
    const double *x = in[0].data, *y = n_in > 1 ? in[1].data : x;
    int64_t count = shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) {
        ((double *)out->data)[i] = math_f64(fn, x[i], y[i]);
    }
}

void eval_elt(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    SOp scalar;
    MathFn fn;
    if (op_scalar((Op)n->op, &scalar)) {
        apply_scalar(scalar, in, n->n, out);
    } else if (op_math((Op)n->op, &fn) && in[0].dtype == DT_F64) {
        apply_f64(fn, in, n->n, out);
    } else {
        apply_line(math_line(ev->math, fn), in, n->n, out);
    }
}

void eval_cast(const Tensor *in, Tensor *out) {
    if (in->dtype == out->dtype) {
        memcpy(out->data, in->data, (size_t)shape_count(out->shape) * dtype_bytes(out->dtype));
    } else {
        apply_scalar(S_cast, in, 1, out);
    }
}

void eval_iota(const Node *n, Tensor *out) {
    int64_t inner = 1, extent = n->shape.dim[n->attr.axis], count = shape_count(n->shape);
    for (uint32_t i = n->attr.axis + 1; i < n->shape.rank; i++) {
        inner *= n->shape.dim[i];
    }
    for (int64_t e = 0; e < count; e++) {
        ((int32_t *)out->data)[e] = (int32_t)(e / inner % extent);
    }
}

/* Numbers are those of f32 in f64 mode too: noise is data, not something to be computed more exactly. */
void eval_random(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    uint32_t key[4];                              /* seed, clock, phase, iteration */
    for (uint32_t k = 0; k < 4; k++) {
        memcpy(&key[k], in[k].data, sizeof key[k]);
    }
    const SLine *normal = math_line(ev->math, M_normal);
    int64_t count = shape_count(out->shape);
    for (int64_t e = 0; e < count; e++) {
        uint32_t word = philox_word(key[0], n->attr.random.stream, key[1], key[2], key[3], (uint64_t)e);
        float x = uniform_of_word(word);
        if (n->attr.random.kind == RANDOM_NORMAL) {
            const void *args[1] = {&word};
            scalar_eval_line(normal, 1, &x, args);
        }
        if (n->attr.random.kind == RANDOM_WORD) {
            ((uint32_t *)out->data)[e] = word;
        } else if (out->dtype == DT_F64) {
            ((double *)out->data)[e] = x;
        } else {
            ((float *)out->data)[e] = x;
        }
    }
}
