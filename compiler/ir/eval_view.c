/* Ops that move elements: all but concat and gather are one walk over the result with a stride for each of
 * its axes in the operand.  Indices out of range are clamped (semantics 9). */
#include "eval.h"
#include <string.h>

void shape_strides(Shape s, int64_t *stride) {
    int64_t step = 1;
    for (uint32_t i = s.rank; i-- > 0;) {
        stride[i] = step;
        step *= s.dim[i];
    }
}

static void copy_line(char *out, const char *in, int64_t n, int64_t stride, uint32_t bytes) {
    if (stride == 1) {
        memcpy(out, in, (size_t)n * bytes);
    } else if (bytes == 4) {
        for (int64_t i = 0; i < n; i++) {
            ((uint32_t *)(void *)out)[i] = ((const uint32_t *)(const void *)in)[i * stride];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            memcpy(out + i * bytes, in + i * stride * bytes, bytes);
        }
    }
}

void eval_copy_strided(void *out, Shape to, const void *in, const int64_t *stride, uint32_t bytes) {
    if (shape_count(to) == 0) {
        return;
    }
    uint32_t outer = to.rank == 0 ? 0 : to.rank - 1u;
    int64_t line = to.rank == 0 ? 1 : to.dim[outer], step = to.rank == 0 ? 1 : stride[outer];
    int64_t at[MAX_RANK] = {0}, offset = 0;
    for (char *o = out;; o += line * bytes) {
        copy_line(o, (const char *)in + offset * bytes, line, step, bytes);
        uint32_t axis = outer;
        while (axis > 0 && ++at[axis - 1] == to.dim[axis - 1]) {
            axis--;
            offset -= (to.dim[axis] - 1) * stride[axis];
            at[axis] = 0;
        }
        if (axis == 0) {
            return;
        }
        offset += stride[axis - 1];
    }
}

/* The same walk the other way: in is contiguous, out is strided from `first`. */
static void place(char *out, Shape s, const int64_t *stride, const char *in, uint32_t bytes) {
    int64_t line = s.rank == 0 ? 1 : s.dim[s.rank - 1], lines = line == 0 ? 0 : shape_count(s) / line;
    for (int64_t k = 0; k < lines; k++) {
        int64_t rest = k, offset = 0;
        for (uint32_t i = s.rank == 0 ? 0 : s.rank - 1u; i-- > 0;) {
            offset += rest % s.dim[i] * stride[i];
            rest /= s.dim[i];
        }
        memcpy(out + offset * bytes, in + k * line * bytes, (size_t)line * bytes);
    }
}

static void broadcast(const Node *n, const Tensor *in, Tensor *out) {
    int64_t from[MAX_RANK], stride[MAX_RANK] = {0};
    shape_strides(in->shape, from);
    for (uint32_t i = 0; i < in->shape.rank; i++) {
        stride[n->attr.axes.at[i]] = from[i];
    }
    eval_copy_strided(out->data, out->shape, in->data, stride, dtype_bytes(out->dtype));
}

static void permute(const Node *n, const Tensor *in, Tensor *out) {
    int64_t from[MAX_RANK], stride[MAX_RANK];
    shape_strides(in->shape, from);
    for (uint32_t i = 0; i < in->shape.rank; i++) {
        stride[i] = from[n->attr.axes.at[i]];
    }
    eval_copy_strided(out->data, out->shape, in->data, stride, dtype_bytes(out->dtype));
}

static void slice(const Node *n, const Tensor *in, Tensor *out) {
    int64_t from[MAX_RANK], stride[MAX_RANK], first = 0;
    shape_strides(in->shape, from);
    for (uint32_t i = 0; i < in->shape.rank; i++) {
        stride[i] = from[i] * n->attr.slice.step[i];
        first += from[i] * n->attr.slice.lo[i];
    }
    uint32_t bytes = dtype_bytes(out->dtype);
    eval_copy_strided(out->data, out->shape, (const char *)in->data + first * bytes, stride, bytes);
}

/* What stands outside, in the type of the result. */
static Tensor fill_value(const Eval *ev, const Node *n, const Imm *x, DType t) {
    Tensor given = {dtype_is_float((DType)n->dtype) ? DT_F64 : DT_I64, {0}, (void *)(uintptr_t)x};
    Tensor value = {t, {0}, arena_push(ev->scratch, 8, 8)};
    eval_cast(&given, &value);
    return value;
}

static void pad(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    uint32_t bytes = dtype_bytes(out->dtype);
    int64_t stride[MAX_RANK], first = 0, count = shape_count(out->shape), still[MAX_RANK] = {0};
    Tensor value = fill_value(ev, n, &n->attr.pad.value, out->dtype);
    if (count > 0) {
        eval_copy_strided(out->data, out->shape, value.data, still, bytes);
    }
    shape_strides(out->shape, stride);
    for (uint32_t i = 0; i < in->shape.rank; i++) {
        first += stride[i] * n->attr.pad.lo[i];
    }
    place((char *)out->data + first * bytes, in->shape, stride, in->data, bytes);
}

static void window(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    uint32_t axis = n->attr.window.axis, bytes = dtype_bytes(out->dtype);
    int64_t outer = 1, inner = 1, still[MAX_RANK] = {0}, extent = in->shape.dim[axis];
    int64_t positions = out->shape.dim[axis], taps = out->shape.dim[axis + 1u];
    for (uint32_t i = 0; i < in->shape.rank; i++) {
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : in->shape.dim[i];
    }
    if (shape_count(out->shape) == 0) {
        return;
    }
    Tensor value = fill_value(ev, n, &n->attr.window.value, out->dtype);
    eval_copy_strided(out->data, out->shape, value.data, still, bytes);
    size_t run = (size_t)inner * bytes;
    char *to = out->data;
    for (int64_t b = 0; b < outer; b++) {
        for (int64_t k = 0; k < positions * taps; k++, to += run) {
            int64_t x = n->attr.window.stride * (k / taps) + n->attr.window.dilation * (k % taps) - n->attr.window.pad;
            if (x >= 0 && x < extent) {
                memcpy(to, (const char *)in->data + (size_t)(b * extent + x) * run, run);
            }
        }
    }
}

static void concat(const Node *n, const Tensor *in, Tensor *out) {
    int64_t stride[MAX_RANK], first = 0;
    shape_strides(out->shape, stride);
    for (uint32_t k = 0; k < n->n; k++) {
        uint32_t bytes = dtype_bytes(out->dtype);
        place((char *)out->data + first * bytes, in[k].shape, stride, in[k].data, bytes);
        first += in[k].shape.dim[n->attr.axis] * stride[n->attr.axis];
    }
}

/* x[b, E, r] against i[b, j]: how gather and scatter_add see their shapes. */
typedef struct { int64_t batch, picks, extent, rest; } Picks;

static Picks picks_of(const Node *n, Shape index, Shape whole) {
    Picks p = {1, 1, n->attr.gather.extent, 1};
    for (uint32_t i = 0; i < index.rank; i++) {
        *(i < n->attr.gather.batch ? &p.batch : &p.picks) *= index.dim[i];
    }
    for (uint32_t i = n->attr.gather.batch + 1u; i < whole.rank; i++) {
        p.rest *= whole.dim[i];
    }
    return p;
}

static int64_t held_inside(int32_t index, int64_t extent) {
    return index < 0 ? 0 : index >= extent ? extent - 1 : index;
}

static void gather(const Node *n, const Tensor *in, Tensor *out) {
    Picks p = picks_of(n, in[1].shape, in[0].shape);
    const int32_t *index = in[1].data;
    size_t run = (size_t)p.rest * dtype_bytes(out->dtype);
    if (shape_count(out->shape) == 0) {
        return;
    }
    for (int64_t k = 0; k < p.batch * p.picks; k++) {
        int64_t row = k / p.picks * p.extent + held_inside(index[k], p.extent);
        memcpy((char *)out->data + (size_t)k * run, (const char *)in[0].data + (size_t)row * run, run);
    }
}

/* Every destination takes its updates in increasing source position, starting from +0. */
void eval_scatter_add(const Node *n, const Tensor *in, Tensor *out) {
    Picks p = picks_of(n, in[1].shape, out->shape);
    const int32_t *index = in[1].data;
    uint32_t bytes = dtype_bytes(out->dtype);
    memset(out->data, 0, (size_t)shape_count(out->shape) * bytes);
    if (shape_count(out->shape) == 0) {
        return;
    }
    for (int64_t k = 0; k < p.batch * p.picks; k++) {
        int64_t row = k / p.picks * p.extent + held_inside(index[k], p.extent);
        char *to = (char *)out->data + row * p.rest * bytes;
        const char *update = (const char *)in[0].data + k * p.rest * bytes;
        scalar_eval(S_add, out->dtype, out->dtype, (uint32_t)p.rest, to, to, update, NULL);
    }
}

void eval_view(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    switch ((int)n->op) {
    case OP_broadcast: broadcast(n, in, out); return;
    case OP_permute:   permute(n, in, out); return;
    case OP_slice:     slice(n, in, out); return;
    case OP_pad:       pad(ev, n, in, out); return;
    case OP_window:    window(ev, n, in, out); return;
    case OP_concat:    concat(n, in, out); return;
    case OP_gather:    gather(n, in, out); return;
    }
    GR_BUG("%s is no view", op_name((Op)n->op));
}
