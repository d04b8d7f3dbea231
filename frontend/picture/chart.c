/* A step's memory over time: a rectangle for each buffer of the region `act`, from its first wave to its last
 * and as high as it has bytes, at the place where it lies; above them the curve of what lives in a wave, and
 * its peak.  Large ones carry names, and are listed with their lines.  Drawn by cairo: this is a chart, and
 * nothing has to be laid out. */
#include "chart.h"
#include "canvas.h"
#include "sheet.h"
#include <cairo.h>
#include <inttypes.h>
#include <stdlib.h>

/* In points; the list stands on the right. */
enum { WIDTH = 1500, HEIGHT = 860, LEFT = 70, LIST = 1090, TOP = 46, BOTTOM = 46, LISTED = 26, GAP = 2 };

/* peak: alive then; tells: and a part of it that counts */
typedef struct { Held held; uint64_t at, bytes; uint32_t rank; bool peak, tells; } Box;
typedef struct {
    cairo_t *c;
    Arena *arena;
    const Planned *p;
    const SourceSet *files;
    uint32_t entry, waves, peak;
    uint64_t *live, top;
    VEC(Box) boxes;
} Chart;

/* ---- what there is to draw ---- */
/* Those that make the peak first; then by size. */
static int more_telling(const void *a, const void *b) {
    const Box *x = a, *y = b;
    return x->tells != y->tells   ? (x->tells ? -1 : 1)
           : x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1)
           : x->at != y->at       ? (x->at < y->at ? -1 : 1)
                                  : 0;
}

static void collect(Chart *m) {
    const Plan *plan = m->p->plan;
    uint64_t start = plan_region_start(plan, REGION_ACT);
    m->live = plan_lives(m->arena, m->p, m->entry, &m->waves);
    for (uint32_t w = 0; w < m->waves; w++)
        m->peak = m->live[w] > m->live[m->peak] ? w : m->peak;
    for (uint32_t i = 0; i < m->p->held.n; i++) {
        const Held *h = &m->p->held.at[i];
        const PlanBuffer *b = &plan->buffers.at[h->buffer];
        if (h->entry != m->entry || b->region != REGION_ACT || b->bytes == 0) continue;
        bool peak = h->first <= m->peak && m->peak <= h->last;
        Box box = {*h, b->offset - start, b->bytes, 0, peak, peak && b->bytes * 100 >= m->live[m->peak]};
        vec_push(m->arena, &m->boxes, box);
        m->top = b->offset - start + b->bytes > m->top ? b->offset - start + b->bytes : m->top;
    }
    if (m->boxes.n > 0) qsort(m->boxes.at, m->boxes.n, sizeof *m->boxes.at, more_telling);
    for (uint32_t i = 0; i < m->boxes.n; i++) m->boxes.at[i].rank = i + 1;
}

static const Node *node_in(const Held *h) { return node_of(h->graph, h->val); }

static Str box_name(const Chart *m, const Box *b) {
    const Node *n = node_in(&b->held);
    Str name = n->name ? intern_str(b->held.graph->module->names, n->name) : str_of(op_name((Op)n->op));
    return b->held.packed ? str_format(m->arena, "%.*s, packed", FSTR(name)) : name;
}

/* ---- drawing ---- */
static double x_of(const Chart *m, double wave) { return LEFT + wave * (LIST - 30.0 - LEFT) / m->waves; }
static double y_of(const Chart *m, double bytes) {
    return HEIGHT - BOTTOM - bytes * (HEIGHT - BOTTOM - TOP) / ((double)m->top * 1.02);
}

static void ink(const Chart *m, double grey) { cairo_set_source_rgb(m->c, grey, grey, grey); }

static void text_at(const Chart *m, double x, double y, double size, Str text) {
    cairo_set_font_size(m->c, size);
    cairo_move_to(m->c, x, y);
    cairo_show_text(m->c, str_copy(m->arena, text).s);
}

/* What is kept through the peak is red, the longer it lives the darker; packed operands are yellow, the rest blue. */
static void paint(const Chart *m, const Box *b) {
    double life = (double)(b->held.last - b->held.first) / m->waves;
    double fade = 0.35 * life;
    if (b->held.packed) cairo_set_source_rgb(m->c, 0.98 - fade, 0.86 - fade, 0.55 - fade);
    else if (b->peak) cairo_set_source_rgb(m->c, 0.95 - fade / 2, 0.72 - fade, 0.70 - fade);
    else cairo_set_source_rgb(m->c, 0.78 - fade, 0.87 - fade / 2, 0.96 - fade / 4);
}

static void draw_box(const Chart *m, const Box *b) {
    double x = x_of(m, b->held.first), w = x_of(m, b->held.last + 1) - x;
    double y = y_of(m, (double)(b->at + b->bytes)), h = y_of(m, (double)b->at) - y;
    cairo_rectangle(m->c, x, y, w, h);
    paint(m, b);
    cairo_fill_preserve(m->c);
    ink(m, 0.45);
    cairo_set_line_width(m->c, h > 3 ? 0.7 : 0.2);
    cairo_stroke(m->c);
}

/* The number of the list, or the name where there is room for it. */
static void name_box(const Chart *m, const Box *b) {
    double x = x_of(m, b->held.first), w = x_of(m, b->held.last + 1) - x;
    double y = y_of(m, (double)(b->at + b->bytes)), h = y_of(m, (double)b->at) - y;
    cairo_text_extents_t size;
    cairo_set_font_size(m->c, 11);
    Str name = str_copy(m->arena, str_format(m->arena, "%u  %.*s", b->rank, FSTR(box_name(m, b))));
    cairo_text_extents(m->c, name.s, &size);
    if (size.width + 6 > w) {
        name = str_copy(m->arena, str_format(m->arena, "%u", b->rank));
        cairo_text_extents(m->c, name.s, &size);
    }
    if (b->rank > LISTED || size.width + 2 * GAP > w || h < 10) return;
    ink(m, 0.1);
    text_at(m, x + (w - size.width) / 2, y + h / 2 + 4, 11, name);
}

/* A step for which few bytes are marked on the axis: 1, 2, 5, 10, .. */
static double tick_of(double most, double fewest) {
    double step = 1;
    for (uint32_t i = 0; most / step > fewest; i++) step *= i % 3 == 1 ? 2.5 : 2;
    return step;
}

static void draw_axes(const Chart *m) {
    double step = tick_of((double)m->top, 10);
    for (double at = 0; at <= (double)m->top; at += step) {
        ink(m, 0.88);
        cairo_set_line_width(m->c, 0.6);
        cairo_move_to(m->c, LEFT, y_of(m, at));
        cairo_line_to(m->c, x_of(m, m->waves), y_of(m, at));
        cairo_stroke(m->c);
        ink(m, 0.3);
        text_at(m, 8, y_of(m, at) + 4, 11, at > 0 ? scaled_text(m->arena, at, "B") : STR("0"));
    }
    double waves = tick_of(m->waves, 14);
    for (double w = 0; w < m->waves; w += waves < 1 ? 1 : waves)
        text_at(m, x_of(m, w), HEIGHT - BOTTOM + 16, 11, str_format(m->arena, "%.0f", w));
    text_at(m, LEFT, HEIGHT - 12, 12, STR("wave of launches"));
}

static void draw_live(const Chart *m) {
    cairo_set_source_rgb(m->c, 0.15, 0.15, 0.5);
    cairo_set_line_width(m->c, 1.8);
    cairo_new_path(m->c);
    for (uint32_t w = 0; w < m->waves; w++) {
        cairo_line_to(m->c, x_of(m, w), y_of(m, (double)m->live[w]));
        cairo_line_to(m->c, x_of(m, w + 1.0), y_of(m, (double)m->live[w]));
    }
    cairo_stroke(m->c);
    double x = x_of(m, m->peak + 0.5);
    const double dashes[] = {4, 3};
    cairo_set_dash(m->c, dashes, 2, 0);
    cairo_set_line_width(m->c, 1);
    cairo_move_to(m->c, x, y_of(m, 0));
    cairo_line_to(m->c, x, TOP - 4);
    cairo_stroke(m->c);
    cairo_set_dash(m->c, NULL, 0, 0);
}

static void draw_title(const Chart *m) {
    const PlanEntry *e = &m->p->plan->entries.at[m->entry];
    Str entry = str_format(m->arena, "%.*s (%.*s)", FSTR(e->name), FSTR(e->variant));
    ink(m, 0);
    cairo_select_font_face(m->c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    text_at(m, LEFT, 22, 15, entry);
    cairo_text_extents_t size;
    cairo_text_extents(m->c, str_copy(m->arena, entry).s, &size);
    cairo_select_font_face(m->c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    text_at(m, LEFT + size.x_advance + 16, 22, 13,
            str_format(m->arena, "values of a step: %.*s, at most %.*s alive (wave %u); arena %.*s",
                       FSTR(scaled_text(m->arena, (double)m->top, "B")),
                       FSTR(scaled_text(m->arena, (double)m->live[m->peak], "B")), m->peak,
                       FSTR(scaled_text(m->arena, (double)m->p->plan->arena_bytes, "B"))));
}

/* The name, without its front where that is too wide: its end tells most. */
static Str cut_to(const Chart *m, Str name, double width) {
    cairo_text_extents_t size;
    cairo_set_font_size(m->c, 12);
    for (uint32_t from = 0;; from++) {
        Str part = from == 0 ? name : str_format(m->arena, "..%.*s", (int)(name.n - from), name.s + from);
        cairo_text_extents(m->c, str_copy(m->arena, part).s, &size);
        if (size.width <= width || from + 1 >= name.n) return part;
    }
}

static void list_box(const Chart *m, uint32_t i, double y) {
    const Box *b = &m->boxes.at[i];
    const Node *n = node_in(&b->held);
    Buf shape = buf_make(m->arena);
    buf_shape(&shape, n->shape);
    cairo_rectangle(m->c, LIST, y - 9, 10, 10);
    paint(m, b);
    cairo_fill(m->c);
    ink(m, b->peak ? 0 : 0.35);
    text_at(m, LIST + 15, y, 12, str_format(m->arena, "%u", b->rank));
    text_at(m, LIST + 38, y, 12, scaled_text(m->arena, (double)b->bytes, "B"));
    Str type = str_format(m->arena, "%s%.*s", dtype_name((DType)n->dtype), FSTR(buf_str(&shape)));
    text_at(m, LIST + 108, y, 12, cut_to(m, box_name(m, b), WIDTH - LIST - 116));
    ink(m, 0.45);
    Str place = place_text(m->arena, m->files, n->span);
    text_at(m, LIST + 108, y + 13, 10,
            str_format(m->arena, "%.*s, %.*s, waves %u to %u", FSTR(type), FSTR(place), b->held.first, b->held.last));
}

static void draw_list(const Chart *m) {
    uint32_t shown = m->boxes.n < LISTED ? m->boxes.n : LISTED;
    ink(m, 0);
    text_at(m, LIST, 22, 13, STR("what makes the peak, then the largest others (grey)"));
    for (uint32_t i = 0; i < shown; i++) list_box(m, i, TOP + 8 + 29.5 * i);
    if (m->boxes.n > shown) {
        ink(m, 0.35);
        text_at(m, LIST, HEIGHT - 12, 12, str_format(m->arena, "and %u smaller ones", m->boxes.n - shown));
    }
}

static void draw(Chart *m, cairo_surface_t *s) {
    m->c = cairo_create(s);
    cairo_set_source_rgb(m->c, 1, 1, 1);
    cairo_paint(m->c);
    cairo_select_font_face(m->c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    draw_axes(m);
    for (uint32_t i = 0; i < m->boxes.n; i++) draw_box(m, &m->boxes.at[i]);
    for (uint32_t i = 0; i < m->boxes.n; i++) name_box(m, &m->boxes.at[i]);
    draw_live(m);
    draw_title(m);
    draw_list(m);
    cairo_destroy(m->c);
}

/* ---- as text ---- */
void memory_text(const Planned *p, uint32_t entry, const SourceSet *files, Buf *out) {
    Chart m = {.arena = out->arena, .p = p, .files = files, .entry = entry};
    const PlanEntry *e = &p->plan->entries.at[entry];
    collect(&m);
    buf_printf(out, "%.*s (%.*s): %" PRIu64 " bytes of values, at most %" PRIu64 " alive, in wave %u\n",
               FSTR(e->name), FSTR(e->variant), m.top, m.live[m.peak], m.peak);
    buf_printf(out, "  alive by wave:");
    for (uint32_t w = 1; w < m.waves; w++) buf_printf(out, " %" PRIu64, m.live[w]);
    buf_char(out, '\n');
    for (uint32_t i = 0; i < m.boxes.n; i++) {
        const Box *b = &m.boxes.at[i];
        Place at = sources_place(files, node_in(&b->held)->span);
        buf_printf(out, "  %12" PRIu64 " bytes at %12" PRIu64 "  waves %u to %u%s  %.*s", b->bytes, b->at,
                   b->held.first, b->held.last, b->peak ? ", at the peak" : "",
                   FSTR(box_name(&m, b)));
        if (at.path.n > 0) buf_printf(out, "  %.*s:%u", FSTR(at.path), at.line);
        buf_char(out, '\n');
    }
}

GrStatus memory_picture(const Planned *p, uint32_t entry, const SourceSet *files, const char *file, Error *e) {
    Chart m = {.arena = arena_create(), .p = p, .files = files, .entry = entry};
    collect(&m);
    m.top = m.top ? m.top : 1;
    cairo_surface_t *s = canvas_open(file, WIDTH, HEIGHT);
    draw(&m, s);
    arena_destroy(m.arena);
    return canvas_close(s, file, e);
}
