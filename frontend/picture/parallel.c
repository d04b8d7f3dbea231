/* Lines from the worst to the best, so that the best lies on top, then the axes with what they say on white. */
#include "parallel.h"
#include "canvas.h"
#include <cairo.h>
#include <math.h>

enum { WIDTH = 1000, HEIGHT = 480, MARGIN = 70, TOP = 60, BOTTOM = 40, TICKS = 5 };
static const double k_log_from = 50;       /* the largest is so many times the smallest */

typedef struct { bool log; double lo, hi; } Scale;
typedef struct { const Parallel *p; Arena *arena; Scale *scales; cairo_t *c; } Drawing;

/* ---- scales ---- */
static Scale scale_of(const ParallelAxis *x, uint32_t n) {
    Scale s = {.lo = (double)INFINITY, .hi = -(double)INFINITY};
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(x->values[i]))
            continue;
        s.lo = x->values[i] < s.lo ? x->values[i] : s.lo;
        s.hi = x->values[i] > s.hi ? x->values[i] : s.hi;
    }
    s.log = x->n_words == 0 && s.lo > 0 && s.hi / s.lo >= k_log_from;
    return s;
}

/* 0 .. 1; NaN for what is no number. */
static double place(const Scale *s, double v) {
    if (!isfinite(v))
        return (double)NAN;
    if (!(s->hi > s->lo))
        return 0.5;
    return s->log ? log(v / s->lo) / log(s->hi / s->lo) : (v - s->lo) / (s->hi - s->lo);
}

static double value_at(const Scale *s, double at) {
    return s->log ? s->lo * pow(s->hi / s->lo, at) : s->lo + at * (s->hi - s->lo);
}

/* ---- drawing ---- */
static double across(const Drawing *d, uint32_t axis) {
    uint32_t n = d->p->axes.n;
    return n < 2 ? WIDTH / 2.0 : MARGIN + (double)axis * (WIDTH - 2.0 * MARGIN) / (n - 1);
}

static double up(double at) { return HEIGHT - BOTTOM - at * (HEIGHT - BOTTOM - TOP); }

static void say(cairo_t *c, double x, double y, const char *text) {
    cairo_text_extents_t size;
    cairo_text_extents(c, text, &size);
    double left = x - size.width / 2, most = WIDTH - 4 - size.width;
    left = left < 4 ? 4 : left > most ? most : left;
    cairo_set_source_rgba(c, 1, 1, 1, 0.8);
    cairo_rectangle(c, left - 2, y - size.height - 2, size.width + 4, size.height + 4);
    cairo_fill(c);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_move_to(c, left, y);
    cairo_show_text(c, text);
}

static void draw_axis(const Drawing *d, uint32_t i) {
    const ParallelAxis *x = &d->p->axes.at[i];
    const Scale *s = &d->scales[i];
    uint32_t ticks = x->n_words > 0 ? x->n_words : s->hi > s->lo ? TICKS : s->hi == s->lo;
    cairo_set_source_rgb(d->c, 0.3, 0.3, 0.3);
    cairo_set_line_width(d->c, 1);
    cairo_move_to(d->c, across(d, i), up(0));
    cairo_line_to(d->c, across(d, i), up(1));
    cairo_stroke(d->c);
    cairo_set_font_size(d->c, 12);
    say(d->c, across(d, i), TOP - 28, str_copy(d->arena, x->name).s);
    cairo_set_font_size(d->c, 10);
    for (uint32_t k = 0; k < ticks; k++) {
        double at = x->n_words > 0 ? place(s, k) : ticks > 1 ? (double)k / (ticks - 1) : 0.5;
        Str text = x->n_words > 0 ? x->words[k] : str_format(d->arena, "%.3g", value_at(s, at));
        say(d->c, across(d, i), up(at) + 3, str_copy(d->arena, text).s);
    }
}

/* From blue, the best, to red; thin and grey: nobody knows. */
static void draw_line(const Drawing *d, uint32_t line, bool first) {
    const ParallelAxis *x = d->p->axes.at;
    uint32_t last = d->p->axes.n - 1;
    double score = place(&d->scales[last], x[last].values[line]), good = d->p->highest ? score : 1 - score;
    if (isnan(score))
        cairo_set_source_rgba(d->c, 0.6, 0.6, 0.6, 0.5);
    else
        cairo_set_source_rgba(d->c, 0.85 - 0.75 * good, 0.35, 0.15 + 0.7 * good, first ? 1 : 0.45);
    cairo_set_line_width(d->c, first && !isnan(score) ? 3 : 1.2);
    for (uint32_t i = 0; i <= last; i++) {
        double at = place(&d->scales[i], x[i].values[line]);
        if (isnan(at))
            break;
        cairo_line_to(d->c, across(d, i), up(at));
    }
    cairo_stroke(d->c);
}

static void draw(const Parallel *p, cairo_surface_t *s) {
    Drawing d = {.p = p, .arena = arena_create(), .c = cairo_create(s)};
    d.scales = PUSH(d.arena, Scale, p->axes.n + 1);
    for (uint32_t i = 0; i < p->axes.n; i++)
        d.scales[i] = scale_of(&p->axes.at[i], p->n_lines);
    cairo_set_source_rgb(d.c, 1, 1, 1);
    cairo_paint(d.c);
    cairo_select_font_face(d.c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_line_join(d.c, CAIRO_LINE_JOIN_ROUND);
    for (uint32_t i = p->n_lines; i-- > 0;)
        draw_line(&d, p->order[i], i == 0);
    for (uint32_t i = 0; i < p->axes.n; i++)
        draw_axis(&d, i);
    cairo_destroy(d.c);
    arena_destroy(d.arena);
}

GrStatus parallel_write(const Parallel *p, const char *file, Error *e) {
    GR_ASSERT(p->axes.n > 0);
    cairo_surface_t *s = canvas_open(file, WIDTH, HEIGHT);
    draw(p, s);
    return canvas_close(s, file, e);
}
