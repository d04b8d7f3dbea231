/* Contraction, semantics 3: every result is its own chain acc = fma(a, b, acc) from +0 over k, cut at 4096
 * points whose sums are added from the first on.  The chains of different results do not touch, so the order
 * of everything else is free, and speed comes from that: one plain dim of C, the `lane` dim, becomes the
 * innermost loop (both operands are copied so that it lies last), and the rows of C, all its other dims, are
 * shared among threads. */
#include "eval.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { BLOCK = 4096, LANES_AT_ONCE = 256, MAX_THREADS = 64, NO_DIM = 0xff };

/* One operand or the result as the loops see it: where it lies and how far a step along each dim goes, 0 for
 * dims it lacks. */
typedef struct { void *data; int64_t stride[MAX_DIMS]; } Side;

typedef struct {
    const Contract *c;
    bool    f64;
    Side    side[3];
    uint8_t lane;                            /* dim, or NO_DIM: then one lane */
    int64_t lanes;
    uint8_t n_rows, row[MAX_RANK];           /* the other dims of C */
    int64_t rows;
    uint8_t n_outer;                         /* over[0 .. n_outer) by odometer; the rest, at most one, in the loop */
    int64_t points, inner, inner_step[2];
} Loops;

/* What a thread does: rows first .. last-1. */
typedef struct { const Loops *l; int64_t first, last; pthread_t thread; bool started; } Share;

/* ---- the chain: `n` points of k, `lanes` results ---- */
#define DEFINE_CHAIN(NAME, T, FMA)                                                                         \
    static void NAME(T *restrict acc, const T *a, const T *b, int64_t n, int64_t step_a, int64_t step_b,   \
                     int64_t lanes, bool lane_a, bool lane_b) {                                            \
        for (int64_t k = 0; k < n; k++, a += step_a, b += step_b) {                                        \
            if (lane_a && lane_b) {                                                                        \
                for (int64_t i = 0; i < lanes; i++) {                                                      \
                    acc[i] = FMA(a[i], b[i], acc[i]);                                                      \
                }                                                                                          \
            } else if (lane_a) {                                                                           \
                for (int64_t i = 0; i < lanes; i++) {                                                      \
                    acc[i] = FMA(a[i], *b, acc[i]);                                                        \
                }                                                                                          \
            } else if (lane_b) {                                                                           \
                for (int64_t i = 0; i < lanes; i++) {                                                      \
                    acc[i] = FMA(*a, b[i], acc[i]);                                                        \
                }                                                                                          \
            } else {                                                                                       \
                *acc = FMA(*a, *b, *acc);                                                                  \
            }                                                                                              \
        }                                                                                                  \
    }
DEFINE_CHAIN(chain_f32, float, fmaf)
DEFINE_CHAIN(chain_f64, double, fma)

/* The dims that windows derive from the two others: false when that lies outside, so that the term is
 * skipped. */
static bool derive(const Contract *c, int64_t *at) {
    for (uint32_t i = 0; i < c->n_windows; i++) {
        Window w = c->window[i];
        bool finds_o = false;
        for (uint32_t k = 0; k < c->rank[2]; k++) {
            finds_o = finds_o || c->dim[2][k] == w.x;
        }
        if (finds_o) {
            int64_t scaled = at[w.x] + w.pad - w.dilation * at[w.t];
            if (scaled < 0 || scaled % w.stride != 0 || scaled / w.stride >= c->extent[w.o]) {
                return false;
            }
            at[w.o] = scaled / w.stride;
        } else {
            at[w.x] = w.stride * at[w.o] + w.dilation * at[w.t] - w.pad;
            if (at[w.x] < 0 || at[w.x] >= c->extent[w.x]) {
                return false;
            }
        }
    }
    return true;
}

static int64_t offset_of(const Side *s, uint32_t n_dims, const int64_t *at) {
    int64_t offset = 0;
    for (uint32_t d = 0; d < n_dims; d++) {
        offset += s->stride[d] * at[d];
    }
    return offset;
}

/* Steps the odometer of the outer sum; false at its end. */
static bool next_outer(const Loops *l, int64_t *at) {
    for (uint32_t i = l->n_outer; i-- > 0;) {
        uint8_t d = l->c->over[i];
        if (++at[d] < l->c->extent[d]) {
            return true;
        }
        at[d] = 0;
    }
    return false;
}

/* `lanes` results from lane `from` on of the row whose dims are in `at`; the others in `at` are 0. */
#define DEFINE_LANES(NAME, T, CHAIN)                                                                       \
    static void NAME(const Loops *l, int64_t *at, int64_t from, int64_t lanes, T *out) {                   \
        T acc[LANES_AT_ONCE] = {0};                                                                        \
        int64_t done = 0;                              /* points of k that were passed, skipped ones too */ \
        bool lane_a = l->lane != NO_DIM && l->side[0].stride[l->lane] != 0;                                \
        bool lane_b = l->lane != NO_DIM && l->side[1].stride[l->lane] != 0;                                \
        bool more = l->points > 0;                                                                         \
        memset(out, 0, sizeof(T) * (size_t)lanes);                                                         \
        while (more) {                                                                                     \
            bool inside = derive(l->c, at);                                                                \
            const T *a = l->side[0].data, *b = l->side[1].data;                                            \
            if (inside) {                                                                                  \
                a += offset_of(&l->side[0], l->c->n_dims, at) + (lane_a ? from : 0);                       \
                b += offset_of(&l->side[1], l->c->n_dims, at) + (lane_b ? from : 0);                       \
            }                                                                                              \
            for (int64_t k = 0, n; k < l->inner; k += n) {                                                 \
                int64_t room = BLOCK - done % BLOCK;                                                       \
                n = l->inner - k < room ? l->inner - k : room;                                             \
                if (inside) {                                                                              \
                    CHAIN(acc, a, b, n, l->inner_step[0], l->inner_step[1], lanes, lane_a, lane_b);        \
                    a += n * l->inner_step[0];                                                             \
                    b += n * l->inner_step[1];                                                             \
                }                                                                                          \
                done += n;                                                                                 \
                if (done % BLOCK == 0 || done == l->points) {                                              \
                    bool first = done <= BLOCK;                                                            \
                    for (int64_t i = 0; i < lanes; i++) {                                                  \
                        out[i] = first ? acc[i] : out[i] + acc[i];                                         \
                        acc[i] = 0;                                                                        \
                    }                                                                                      \
                }                                                                                          \
            }                                                                                              \
            more = next_outer(l, at);                                                                      \
        }                                                                                                  \
    }
DEFINE_LANES(lanes_f32, float, chain_f32)
DEFINE_LANES(lanes_f64, double, chain_f64)

static void run_row(const Loops *l, int64_t row) {
    int64_t at[MAX_DIMS] = {0};
    for (uint32_t i = l->n_rows; i-- > 0;) {
        at[l->row[i]] = row % l->c->extent[l->row[i]];
        row /= l->c->extent[l->row[i]];
    }
    int64_t first = offset_of(&l->side[2], l->c->n_dims, at);
    int64_t step = l->lane == NO_DIM ? 1 : l->side[2].stride[l->lane];
    for (int64_t from = 0; from < l->lanes; from += LANES_AT_ONCE) {
        int64_t lanes = l->lanes - from < LANES_AT_ONCE ? l->lanes - from : LANES_AT_ONCE;
        if (l->f64) {
            double out[LANES_AT_ONCE];
            lanes_f64(l, at, from, lanes, out);
            for (int64_t i = 0; i < lanes; i++) {
                ((double *)l->side[2].data)[first + (from + i) * step] = out[i];
            }
        } else {
            float out[LANES_AT_ONCE];
            lanes_f32(l, at, from, lanes, out);
            for (int64_t i = 0; i < lanes; i++) {
                ((float *)l->side[2].data)[first + (from + i) * step] = out[i];
            }
        }
    }
}

static void *run_share(void *user) {
    const Share *s = user;
    uint32_t mode = float_mode_enter();
    for (int64_t row = s->first; row < s->last; row++) {
        run_row(s->l, row);
    }
    float_mode_restore(mode);
    return NULL;
}

static void run_rows(const Loops *l, uint32_t threads) {
    Share share[MAX_THREADS] = {0};
    threads = threads > MAX_THREADS ? MAX_THREADS : threads == 0 ? 1 : threads;
    for (uint32_t i = 0; i < threads; i++) {
        share[i] = (Share){.l = l, .first = l->rows * i / threads, .last = l->rows * (i + 1) / threads};
        bool last = i + 1 == threads;
        share[i].started = !last && pthread_create(&share[i].thread, NULL, run_share, &share[i]) == 0;
        if (!share[i].started) {
            run_share(&share[i]);
        }
    }
    for (uint32_t i = 0; i < threads; i++) {
        if (share[i].started) {
            pthread_join(share[i].thread, NULL);
        }
    }
}

/* ---- preparation ---- */
static bool is_window_dim(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_windows; i++) {
        if (c->window[i].x == dim || c->window[i].o == dim || c->window[i].t == dim) {
            return true;
        }
    }
    return false;
}

static void choose_lane(Loops *l) {
    const Contract *c = l->c;
    l->lane = NO_DIM;
    l->lanes = 1;
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        uint8_t d = c->dim[2][i];
        if (!is_window_dim(c, d) && c->extent[d] >= l->lanes) {
            l->lane = d;
            l->lanes = c->extent[d];
        }
    }
    l->rows = 1;
    for (uint32_t i = 0; i < c->rank[2]; i++) {
        if (c->dim[2][i] != l->lane) {
            l->row[l->n_rows++] = c->dim[2][i];
            l->rows *= c->extent[c->dim[2][i]];
        }
    }
}

static Tensor converted(const Eval *ev, const Tensor *in, DType t) {
    Tensor out = {t, in->shape, arena_push(ev->scratch, (size_t)shape_count(in->shape) * dtype_bytes(t), 64)};
    eval_cast(in, &out);
    return out;
}

/* An operand in the element type of the sum, with the lane dim last.  Checks in f64 round nothing. */
static void prepare_operand(const Eval *ev, Loops *l, uint32_t side, const Tensor *in) {
    const Contract *c = l->c;
    Tensor wide = *in;
    DType t = l->f64 ? DT_F64 : DT_F32;
    if (c->rounded != DT_F32 && !l->f64) {
        wide = converted(ev, in, (DType)c->rounded);
    }
    if (wide.dtype != t) {
        wide = converted(ev, &wide, t);
    }
    int64_t from[MAX_RANK], stride[MAX_RANK], to_stride[MAX_RANK];
    uint8_t dim[MAX_RANK];
    Shape to = {0};
    shape_strides(in->shape, from);
    for (uint32_t last = 0; last < 2; last++) {
        for (uint32_t i = 0; i < c->rank[side]; i++) {
            if ((c->dim[side][i] == l->lane) == (last == 1)) {
                dim[to.rank] = c->dim[side][i];
                stride[to.rank] = from[i];
                to.dim[to.rank++] = in->shape.dim[i];
            }
        }
    }
    shape_strides(to, to_stride);
    bool moved = false;
    for (uint32_t i = 0; i < to.rank; i++) {
        l->side[side].stride[dim[i]] = to_stride[i];
        moved = moved || stride[i] != to_stride[i];
    }
    l->side[side].data = wide.data;
    if (moved) {
        l->side[side].data = arena_push(ev->scratch, (size_t)shape_count(to) * dtype_bytes(t), 64);
        eval_copy_strided(l->side[side].data, to, wide.data, stride, dtype_bytes(t));
    }
}

static void prepare_sum(Loops *l) {
    const Contract *c = l->c;
    l->points = 1;
    for (uint32_t i = 0; i < c->n_over; i++) {
        l->points *= c->extent[c->over[i]];
    }
    l->n_outer = c->n_over;
    l->inner = 1;
    if (c->n_over > 0 && !is_window_dim(c, c->over[c->n_over - 1])) {
        uint8_t d = c->over[--l->n_outer];
        l->inner = c->extent[d];
        l->inner_step[0] = l->side[0].stride[d];
        l->inner_step[1] = l->side[1].stride[d];
    }
}

void eval_contract(const Eval *ev, const Node *n, const Tensor *in, Tensor *out) {
    Loops l = {.c = n->attr.contract, .f64 = out->dtype == DT_F64};
    if (shape_count(out->shape) == 0) {
        return;
    }
    choose_lane(&l);
    for (uint32_t side = 0; side < 2; side++) {
        prepare_operand(ev, &l, side, &in[side]);
    }
    int64_t stride[MAX_RANK];
    shape_strides(out->shape, stride);
    for (uint32_t i = 0; i < l.c->rank[2]; i++) {
        l.side[2].stride[l.c->dim[2][i]] = stride[i];
    }
    l.side[2].data = out->data;
    prepare_sum(&l);
    bool small = l.rows * l.lanes * (l.points + 1) < 1 << 18;      /* a thread costs more than it saves */
    run_rows(&l, small ? 1 : ev->run->threads);
}
