/* Convolutions by Winograd's F(2,3): two neighbouring results of three taps with four multiplications instead of
 * six.  A contraction that is marked `winograd` becomes ordinary operations, in d dims with all transforms nested:
 *
 *   signal     V[k] = (x0 - x2, x1 + x2, x2 - x1, x1 - x3)     of four places, two apart from tile to tile
 *   weight     U[k] = (w0, (w0 + w2 + w1) / 2, (w0 + w2 - w1) / 2, w2)
 *   product    M[k] = V[k] U[k], summed over channels: one contraction with the 4^d positions as a batch
 *   result     y    = (M0 + M1 + M2, M1 - M2 - M3)
 *
 * The gradient to the signal is such a convolution of the cotangent with turned taps.  That to the weight has a
 * formula of its own, in which the products are summed over images and tiles:
 *
 *   cotangent  D[k] = (d0, (d0 + d1) / 2, (d0 - d1) / 2, -d1)
 *   weight     dw   = (M0 + M1 + M2, M1 - M2, M1 + M2 + M3)          of M[k] = D[k] V[k]
 *
 * All three are recognized by which of A, B and C holds which role of the windows, behind autodiff, so no transform
 * is ever differentiated.  The product has other sums than the direct one: that is why a file has to ask for it, and
 * why this belongs to the stage that the semantics are defined on.
 *
 * Values lie channels last, so that all of this is arithmetic along channels. */
#include "winograd.h"
#include <string.h>

enum { PLACES = 4, TAPS = 3, RESULTS = 2 };
enum { BORDER = 1 << 20 };                 /* what lies farther out is no position of a window any more */

/* A line of a transform: a signed sum, in this order, and half of it. */
typedef struct { uint8_t n, at[3]; int8_t sign[3]; bool half; } Line;
static const Line of_signal[PLACES] = {
    {2, {0, 2}, {1, -1}, false}, {2, {1, 2}, {1, 1}, false},
    {2, {2, 1}, {1, -1}, false}, {2, {1, 3}, {1, -1}, false}};
static const Line of_weight[PLACES] = {
    {1, {0}, {1}, false}, {3, {0, 2, 1}, {1, 1, 1}, true}, {3, {0, 2, 1}, {1, 1, -1}, true}, {1, {2}, {1}, false}};
static const Line of_turned[PLACES] = {
    {1, {2}, {1}, false}, {3, {0, 2, 1}, {1, 1, 1}, true}, {3, {0, 2, 1}, {1, 1, -1}, true}, {1, {0}, {1}, false}};
static const Line of_cotangent[PLACES] = {
    {1, {0}, {1}, false}, {2, {0, 1}, {1, 1}, true}, {2, {0, 1}, {1, -1}, true}, {1, {1}, {-1}, false}};
static const Line to_result[RESULTS] = {{3, {0, 1, 2}, {1, 1, 1}, false}, {3, {1, 2, 3}, {1, -1, -1}, false}};
static const Line to_weight[TAPS] = {
    {3, {0, 1, 2}, {1, 1, 1}, false}, {2, {1, 2}, {1, -1}, false}, {3, {1, 2, 3}, {1, 1, 1}, false}};

/* Plain dims that are taken as one. */
typedef struct { uint32_t n; uint8_t dim[MAX_RANK]; int64_t count; } Dims;
/* The signal has x, or o in its gradient; the other operand is the weight, or the cotangent when the result is the
 * weight's gradient. */
typedef struct {
    const Contract *c;
    uint32_t d;                            /* windows */
    uint32_t signal, other;                /* 0 or 1: operands */
    bool of_weight, turned;
    Dims rows, signals, others;            /* of signal and result; summed or kept channels of either operand */
    int64_t tiles[MAX_WINDOWS], pad[MAX_WINDOWS];
} Form;

static bool holds(const Contract *c, uint32_t side, uint32_t dim) {
    return memchr(c->dim[side], (int)dim, c->rank[side]) != NULL;
}

static void take(Dims *to, const Contract *c, uint8_t dim) {
    to->dim[to->n++] = dim;
    to->count *= c->extent[dim];
}

static bool in_window(const Contract *c, uint32_t dim) {
    for (uint32_t i = 0; i < c->n_windows; i++)
        if (c->window[i].x == dim || c->window[i].o == dim || c->window[i].t == dim) return true;
    return false;
}

/* Plain dims by the operands they stand in: the images in both signal and what is made of it. */
static bool sort_dims(Form *f) {
    const Contract *c = f->c;
    uint32_t image = f->of_weight ? f->other : 2, channels = f->of_weight ? 2 : f->other;
    f->rows.count = f->signals.count = f->others.count = 1;
    for (uint8_t d = 0; d < c->n_dims; d++) {
        bool signal = holds(c, f->signal, d), second = holds(c, image, d), third = holds(c, channels, d);
        if (in_window(c, d)) continue;
        if (signal && second && third) return false;
        take(signal && second ? &f->rows : signal ? &f->signals : &f->others, c, d);
    }
    return true;
}

static bool windows_fit(Form *f) {
    const Contract *c = f->c;
    for (uint32_t i = 0; i < c->n_windows; i++) {
        const Window *w = &c->window[i];
        uint8_t place = f->of_weight ? w->o : holds(c, 2, w->o) ? w->o : w->x;
        bool same = holds(c, 2, w->t) == f->of_weight &&
                    (f->of_weight ? holds(c, f->signal, w->x) : holds(c, f->other, w->t)) &&
                    (f->of_weight || holds(c, 2, w->x) == f->turned);
        bool far = w->pad < -BORDER || w->pad > BORDER;
        if (!same || c->extent[w->t] != TAPS || w->stride != 1 || w->dilation != 1 || far) return false;
        f->tiles[i] = (c->extent[place] + 1) / RESULTS;
        f->pad[i] = f->turned ? TAPS - 1 - w->pad : w->pad;
    }
    return true;
}

/* NULL, or why it has no such form. */
static const char *form_of(const Contract *c, Form *f) {
    *f = (Form){.c = c, .d = c->n_windows};
    if (c->n_windows == 0) return "it has no window";
    const Window *w = &c->window[0];
    f->of_weight = holds(c, 2, w->t);
    f->turned = holds(c, 2, w->x);
    f->signal = f->of_weight ? !holds(c, 0, w->x) : holds(c, 0, w->t);
    f->other = 1 - f->signal;
    if (!windows_fit(f)) return "its windows are not of 3 taps with stride 1 and dilation 1";
    if (!sort_dims(f)) return "it has groups";
    for (uint32_t i = 0; i < c->n_dims; i++)
        if (c->extent[i] == 0) return "it is empty";
    return NULL;
}

/* Pairs of a place and a tap that lie inside. */
static double pairs_inside(const Contract *c, const Window *w) {
    double pairs = 0;
    for (int64_t t = 0; t < TAPS; t++) {
        int64_t from = w->pad - t > 0 ? w->pad - t : 0, to = c->extent[w->x] + w->pad - t;
        to = to < c->extent[w->o] ? to : c->extent[w->o];
        pairs += to > from ? (double)(to - from) : 0;
    }
    return pairs;
}

/* Multiplications of a direct sum. */
static double direct_work(const Form *f) {
    const Contract *c = f->c;
    double work = (double)f->rows.count * (double)f->signals.count * (double)f->others.count;
    for (uint32_t i = 0; i < f->d; i++) work *= pairs_inside(c, &c->window[i]);
    return work;
}

/* What is transformed is a value like any other: there is an end to its elements. */
static bool too_large(const Form *f) {
    const double most = 0x1p40;
    double tiles = (double)f->rows.count;
    for (uint32_t i = 0; i < f->d; i++) tiles *= PLACES * (double)f->tiles[i];
    int64_t wide = f->signals.count > f->others.count ? f->signals.count : f->others.count;
    return tiles * (double)wide >= most;
}

/* The same with tiles; an element of what is transformed, along channels or of a weight, costs as much as so many
 * multiplications. */
static double tiled_work(const Form *f) {
    enum { TRANSFORM = 30, WEIGHT = 100 };
    double places = 1, tiles = (double)f->rows.count, in = (double)f->signals.count, out = (double)f->others.count;
    for (uint32_t i = 0; i < f->d; i++) {
        tiles *= (double)f->tiles[i];
        places *= PLACES;
    }
    return places * (tiles * in * out + TRANSFORM * tiles * (in + out) + WEIGHT * in * out);
}

const char *winograd_refusal(const Contract *c) {
    Form f;
    const char *why = form_of(c, &f);
    if (why != NULL) return why;
    if (too_large(&f)) return "its tiles would be too large";
    double margin = f.d == 1 ? 1.3 : 1.1;      /* measured: one dim saves a third at most */
    return margin * tiled_work(&f) < direct_work(&f) ? NULL : "it would not take less time";
}

/* ---- transforms ---- */
typedef struct {
    Build *b;
    uint32_t d;
    const Line *lines;
    Val from;
    uint32_t first, step;                  /* axis of the first dim in `from`, and between them; step 0: all in one */
    Shape leaf;                            /* of what is read */
    const uint8_t *turn;                   /* and then turned so, or NULL */
    uint8_t at[MAX_WINDOWS];               /* which line, by dim */
} Transform;

/* What the transform reads: one place of each dim. */
static Val leaf(const Transform *t, const uint8_t *at) {
    Shape s = type_of(t->b->g, t->from).shape;
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) step[i] = 1;
    for (uint32_t i = 0; i < t->d; i++) {
        uint32_t axis = t->first + i * t->step;
        lo[axis] = t->step == 0 ? lo[axis] * PLACES + at[i] : at[i];
        s.dim[axis] = 1;
    }
    Val x = build_reshape(t->b, build_slice(t->b, t->from, lo, step, s), t->leaf);
    return t->turn ? build_permute(t->b, x, t->turn) : x;
}

static Val sum_from(const Transform *t, uint32_t dim, uint8_t *at) {
    if (dim == t->d) return leaf(t, at);
    const Line *l = &t->lines[t->at[dim]];
    Val sum = {0};
    for (uint32_t i = 0; i < l->n; i++) {
        at[dim] = l->at[i];
        Val x = sum_from(t, dim + 1, at);
        sum = i > 0 ? build_2(t->b, l->sign[i] < 0 ? OP_sub : OP_add, sum, x)
                    : l->sign[i] < 0 ? build_1(t->b, OP_neg, x) : x;
    }
    if (!l->half) return sum;
    return build_2(t->b, OP_mul, sum, build_const(t->b, type_of(t->b->g, sum).dtype, 0.5));
}

/* All positions, joined along the leading axis, the last dim fastest. */
static Val positions(Transform *t) {
    Val part[PLACES * PLACES * PLACES];
    uint32_t n = 1;
    uint8_t at[MAX_WINDOWS];
    for (uint32_t i = 0; i < t->d; i++) n *= PLACES;
    for (uint32_t k = 0; k < n; k++) {
        for (uint32_t i = t->d, rest = k; i-- > 0; rest /= PLACES) t->at[i] = (uint8_t)(rest % PLACES);
        part[k] = sum_from(t, 0, at);
    }
    return build_concat(t->b, 0, n, part);
}

/* All results, joined dim by dim where each belongs. */
static Val joined(Transform *t, uint32_t dim, uint32_t n, uint32_t axis, uint32_t step) {
    Val part[TAPS];
    uint8_t at[MAX_WINDOWS];
    if (dim == t->d) return sum_from(t, 0, at);
    for (uint32_t i = 0; i < n; i++) {
        t->at[dim] = (uint8_t)i;
        part[i] = joined(t, dim + 1, n, axis, step);
    }
    return build_concat(t->b, axis + dim * step, n, part);
}

/* ---- operands ---- */
static void put(Shape *s, int64_t extent) { s->dim[s->rank++] = extent; }

static uint8_t axis_of(const Contract *c, uint32_t side, uint8_t dim) {
    uint8_t i = 0;
    while (c->dim[side][i] != dim) i++;
    return i;
}

static uint8_t role_of(const Contract *c, uint32_t side, uint32_t window) {
    const Window *w = &c->window[window];
    return holds(c, side, w->x) ? w->x : holds(c, side, w->o) ? w->o : w->t;
}

/* Some dims of an operand, as the next axes of what it is laid as; as one if `merged`. */
typedef struct { const Contract *c; uint32_t side, n; uint8_t at[MAX_RANK]; Shape shape; } Layout;

static void lay(Layout *l, const Dims *dims) {
    for (uint32_t i = 0; i < dims->n; i++) l->at[l->n++] = axis_of(l->c, l->side, dims->dim[i]);
    put(&l->shape, dims->count);
}

static void lay_places(Layout *l) {
    for (uint32_t i = 0; i < l->c->n_windows; i++) {
        uint8_t place = role_of(l->c, l->side, i);
        l->at[l->n++] = axis_of(l->c, l->side, place);
        put(&l->shape, l->c->extent[place]);
    }
}

static Val laid(Build *b, const Layout *l, Val x) { return build_reshape(b, build_permute(b, x, l->at), l->shape); }

/* An operand as [images, tiles, places of a tile, .., channels].  For the gradient of a weight the windows are taken in
 * another order: so what is made of them is another value than in the forward pass, and made again rather than kept. */
static Val windows_of(Build *b, const Form *f, Val x, uint32_t side, const Dims *channels, int64_t taps) {
    Layout l = {.c = f->c, .side = side};
    lay(&l, &f->rows), lay_places(&l), lay(&l, channels);
    x = laid(b, &l, x);
    for (uint32_t k = 0; k < f->d; k++) {
        uint32_t i = f->of_weight ? f->d - 1 - k : k, before = f->of_weight ? i : 2 * i;
        x = build_window(b, x, 1 + before, f->tiles[i], taps, RESULTS, 1, side == f->signal ? f->pad[i] : 0, 0);
    }
    return x;
}

static int64_t tiles_count(const Form *f) {
    int64_t n = f->rows.count;
    for (uint32_t i = 0; i < f->d; i++) n *= f->tiles[i];
    return n;
}

/* The signal as [positions, images and tiles, channels]. */
static Val signal_tiles(Build *b, const Form *f, Val x) {
    Transform t = {.b = b, .d = f->d, .lines = of_signal, .first = 2, .step = 2};
    t.from = windows_of(b, f, x, f->signal, &f->signals, PLACES);
    put(&t.leaf, 1), put(&t.leaf, f->rows.count);
    for (uint32_t i = 0; i < f->d; i++) put(&t.leaf, f->tiles[i]);
    put(&t.leaf, f->signals.count);
    Val v = positions(&t);
    return build_reshape(b, v, shape_of(3, (int64_t[]){type_of(b->g, v).shape.dim[0], tiles_count(f),
                                                       f->signals.count}));
}

/* What is summed over images and tiles is read down its channels, a few side by side: blocks of so many need not be
 * packed for that. */
static int64_t channel_block(int64_t channels) {
    enum { BLOCK = 32 };
    return channels % BLOCK == 0 ? BLOCK : channels;
}

/* For the gradient of a weight: signal or cotangent as [positions, blocks, images and tiles, channels of a block]. */
static Val summed_tiles(Build *b, const Form *f, Val x, uint32_t side) {
    bool signal = side == f->signal;
    const Dims *channels = signal ? &f->signals : &f->others;
    int64_t block = channel_block(channels->count), blocks = channels->count / block;
    uint8_t turn[MAX_RANK] = {0, (uint8_t)(f->d + 2)};
    Transform t = {.b = b, .d = f->d, .lines = signal ? of_signal : of_cotangent, .first = 2, .step = 2, .turn = turn};
    t.from = windows_of(b, f, x, side, channels, signal ? PLACES : RESULTS);
    put(&t.leaf, 1), put(&t.leaf, f->rows.count);
    for (uint32_t i = 0; i < f->d; i++) put(&t.leaf, f->tiles[i]);
    put(&t.leaf, blocks), put(&t.leaf, block);
    for (uint8_t i = 0; i <= f->d; i++) turn[2 + i] = (uint8_t)(1 + i);
    turn[3 + f->d] = (uint8_t)(3 + f->d);
    Val v = positions(&t);
    return build_reshape(b, v, shape_of(4, (int64_t[]){type_of(b->g, v).shape.dim[0], blocks, tiles_count(f), block}));
}

/* A contraction over one dim; operands and result by a letter a dim. */
static Val product(Build *b, const Form *f, Val x, Val y, const char *const dims[3], char over) {
    Contract *c = contract_new(b->g->arena);
    const Val in[] = {x, y};
    c->rounded = f->c->rounded;
    for (uint32_t side = 0; side < 3; side++) {
        for (const char *d = dims[side]; *d; d++) {
            uint8_t dim = (uint8_t)(*d - 'a'), i = c->rank[side]++;
            c->dim[side][i] = dim;
            if (side < 2) c->extent[dim] = type_of(b->g, in[side]).shape.dim[i];
        }
    }
    c->over[c->n_over++] = (uint8_t)(over - 'a');
    return build_contract(b, x, y, c);
}

/* What is [before, places.., behind], as the result declares its dims. */
static Val declared(Build *b, const Contract *c, Val x, const Dims *before, const Dims *behind, bool taps_behind) {
    Shape s = {0};
    uint8_t dim[MAX_RANK], at[MAX_RANK];
    for (uint32_t i = 0; i < before->n; i++) dim[s.rank] = before->dim[i], put(&s, c->extent[before->dim[i]]);
    for (uint32_t i = 0; i < behind->n && taps_behind; i++)
        dim[s.rank] = behind->dim[i], put(&s, c->extent[behind->dim[i]]);
    for (uint32_t i = 0; i < c->n_windows; i++)
        dim[s.rank] = role_of(c, 2, i), put(&s, c->extent[role_of(c, 2, i)]);
    for (uint32_t i = 0; i < behind->n && !taps_behind; i++)
        dim[s.rank] = behind->dim[i], put(&s, c->extent[behind->dim[i]]);
    for (uint8_t i = 0; i < s.rank; i++) at[axis_of(c, 2, dim[i])] = i;
    return build_permute(b, build_reshape(b, x, s), at);
}

/* ---- the three directions ---- */
static bool stands_first(const Contract *c, uint32_t side, const Dims *a, const Dims *b) {
    return a->n == 0 || (b->n > 0 && axis_of(c, side, a->dim[0]) < axis_of(c, side, b->dim[0]));
}

/* [positions, channels, channels], in the order in which the weight has them. */
static Val weights_of(Build *b, const Form *f, Val w, bool signals_first) {
    const Dims *first = signals_first ? &f->signals : &f->others, *last = signals_first ? &f->others : &f->signals;
    Transform t = {.b = b, .d = f->d, .lines = f->turned ? of_turned : of_weight, .first = 1, .step = 1,
                   .leaf = shape_of(3, (int64_t[]){1, first->count, last->count})};
    Layout l = {.c = f->c, .side = f->other};
    lay(&l, first), lay_places(&l), lay(&l, last);
    t.from = laid(b, &l, w);
    return positions(&t);
}

static Val convolution(Build *b, const Form *f, const Val *in) {
    bool signals_first = stands_first(f->c, f->other, &f->signals, &f->others);
    Val v = signal_tiles(b, f, in[f->signal]), u = weights_of(b, f, in[f->other], signals_first);
    Transform t = {.b = b, .d = f->d, .lines = to_result, .first = 1};
    t.from = product(b, f, v, u, (const char *[]){"abc", signals_first ? "acd" : "adc", "bad"}, 'c');
    Shape whole = {0}, kept = {0};
    int64_t lo[MAX_RANK] = {0}, step[MAX_RANK];
    for (uint32_t i = 0; i < MAX_RANK; i++) step[i] = 1;
    put(&t.leaf, f->rows.count), put(&whole, f->rows.count), put(&kept, f->rows.count);
    for (uint32_t i = 0; i < f->d; i++) {
        put(&t.leaf, f->tiles[i]), put(&t.leaf, 1), put(&whole, f->tiles[i] * RESULTS);
        put(&kept, f->c->extent[role_of(f->c, 2, i)]);
    }
    put(&t.leaf, f->others.count), put(&whole, f->others.count), put(&kept, f->others.count);
    Val y = build_reshape(b, joined(&t, 0, RESULTS, 2, 2), whole);
    return declared(b, f->c, build_slice(b, y, lo, step, kept), &f->rows, &f->others, false);
}

static Val weight_gradient(Build *b, const Form *f, const Val *in) {
    static const uint8_t turn[] = {0, 2, 1, 3, 4, 5, 6};
    bool signals_first = stands_first(f->c, 2, &f->signals, &f->others);
    const Dims *first = signals_first ? &f->signals : &f->others, *last = signals_first ? &f->others : &f->signals;
    uint32_t of_first = signals_first ? f->signal : f->other;
    Val x = summed_tiles(b, f, in[of_first], of_first), y = summed_tiles(b, f, in[1 - of_first], 1 - of_first);
    Transform t = {.b = b, .d = f->d, .lines = to_weight, .turn = turn};
    t.from = product(b, f, x, y, (const char *[]){"abcd", "aecf", "abedf"}, 'c');
    Shape s = type_of(b->g, t.from).shape;
    for (uint32_t i = 1; i < s.rank; i++) put(&t.leaf, s.dim[i]);
    for (uint32_t i = 0; i < f->d; i++) put(&t.leaf, 1);
    return declared(b, f->c, joined(&t, 0, TAPS, 4, 1), first, last, true);
}

Val winograd_product(Build *b, Val x, Val y, const Contract *c) {
    Form f;
    const char *why = form_of(c, &f);
    GR_ASSERT(why == NULL);
    return f.of_weight ? weight_gradient(b, &f, (Val[]){x, y}) : convolution(b, &f, (Val[]){x, y});
}

/* ---- the pass ---- */
bool winograd_wanted(const Graph *g) {
    bool any = false;
    for (uint32_t i = 1; i < g->nodes.n && !any; i++) {
        const Node *n = &g->nodes.at[i];
        any = n->op == OP_scan ? winograd_wanted(n->attr.scan->body)
                               : n->op == OP_contract && n->attr.contract->winograd;
    }
    return any;
}

static Val expanded(Copy *copy, Build *b, uint32_t i) {
    Contract *c = contract_new(copy->to->arena);
    Val x = copy_val(copy, operand(copy->from, (Val){i}, 0)), y = copy_val(copy, operand(copy->from, (Val){i}, 1));
    *c = *copy->from->nodes.at[i].attr.contract;
    c->winograd = false;
    return winograd_refusal(c) ? build_contract(b, x, y, c) : winograd_product(b, x, y, c);
}

static Val loop(Arena *a, Copy *c, Build *b, uint32_t i) {
    const Node *n = &c->from->nodes.at[i];
    Scan *s = PUSH(a, Scan, 1);
    *s = *n->attr.scan;
    s->body = winograd_expand(a, s->body);
    Val *in = PUSH(a, Val, n->n);
    for (uint32_t k = 0; k < n->n; k++) in[k] = copy_val(c, operand(c->from, (Val){i}, k));
    Attr attr = {.scan = s};
    return build_node(b, OP_scan, (DType)n->dtype, n->shape, &attr, n->n, in);
}

Graph *winograd_expand(Arena *a, const Graph *g) {
    Copy c = copy_begin(a, g);
    for (uint32_t i = 1; i < g->nodes.n; i++) {
        const Node *n = &g->nodes.at[i];
        Build b = {c.to, n->span, n->name};
        if (n->op == OP_scan) c.map[i] = loop(a, &c, &b, i);
        if (n->op == OP_contract && n->attr.contract->winograd) c.map[i] = expanded(&c, &b, i);
    }
    return copy_finish(&c);
}
