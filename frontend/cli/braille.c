/* A character of braille is 2 x 4 dots, so a plot of 60 x 12 characters has 120 x 48 points.  Neighbouring points are
 * joined by a straight line. */
#include "braille.h"
#include <math.h>

enum { ROWS = 12, DOTS_X = 2, DOTS_Y = 4, LABEL = 12, BRAILLE = 0x2800, LETTERS = 26 };

typedef struct { double x0, x1, y0, y1; } Range;
typedef struct { uint32_t columns, rows; uint32_t *cells; bool dots; uint32_t letter; } Canvas;

static Range range_of(const Curve *curves, uint32_t n) {
    Range r = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (uint32_t c = 0; c < n; c++)
        for (uint32_t i = 0; i < curves[c].n; i++) {
            double x = curves[c].x[i], y = curves[c].y[i];
            if (!isfinite(y)) continue;
            r = (Range){fmin(r.x0, x), fmax(r.x1, x), fmin(r.y0, y), fmax(r.y1, y)};
        }
    return r;
}

static void put(Canvas *c, uint32_t x, uint32_t y) {
    static const uint8_t bits[DOTS_Y][DOTS_X] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    uint32_t *cell = &c->cells[(c->dots ? y / DOTS_Y : y) * c->columns + (c->dots ? x / DOTS_X : x)];
    if (c->dots) *cell |= bits[y % DOTS_Y][x % DOTS_X];
    else *cell = c->letter;
}

static double share(double v, double from, double to) { return to > from ? (v - from) / (to - from) : 0.5; }

static void draw(Canvas *c, const Curve *curve, const Range *r) {
    uint32_t width = c->columns * (c->dots ? DOTS_X : 1), height = c->rows * (c->dots ? DOTS_Y : 1);
    double px = 0, py = 0;
    bool joined = false;
    for (uint32_t i = 0; i < curve->n; i++) {
        double x = share(curve->x[i], r->x0, r->x1) * (width - 1);
        double y = (1 - share(curve->y[i], r->y0, r->y1)) * (height - 1);
        if (!isfinite(y)) {
            joined = false;
            continue;
        }
        double steps = joined ? ceil(fmax(fabs(x - px), fabs(y - py))) : 0;
        for (double k = 0; k <= steps; k++) {
            double t = steps > 0 ? k / steps : 1;
            put(c, (uint32_t)lround(joined ? px + t * (x - px) : x), (uint32_t)lround(joined ? py + t * (y - py) : y));
        }
        px = x, py = y, joined = true;
    }
}

static void print_cell(const Canvas *c, uint32_t cell, FILE *out) {
    if (c->dots && cell) fprintf(out, "%c%c%c", 0xe0 | (BRAILLE + cell) >> 12, 0x80 | ((BRAILLE + cell) >> 6 & 0x3f),
                                 0x80 | (cell & 0x3f));
    else putc(cell ? (int)cell : ' ', out);
}

static void print_canvas(const Canvas *c, const Range *r, FILE *out) {
    for (uint32_t y = 0; y < c->rows; y++) {
        bool top = y == 0, bottom = y == c->rows - 1;
        if (top || bottom) fprintf(out, "%*.4g │", LABEL - 2, top ? r->y1 : r->y0);
        else fprintf(out, "%*s │", LABEL - 2, "");
        uint32_t end = c->columns;
        while (end > 0 && c->cells[y * c->columns + end - 1] == 0) end--;
        for (uint32_t x = 0; x < end; x++) print_cell(c, c->cells[y * c->columns + x], out);
        putc('\n', out);
    }
    fprintf(out, "%*s└", LABEL - 1, "");
    for (uint32_t x = 0; x < c->columns; x++) fputs("─", out);
    fprintf(out, "\n%*s%-*g%g\n", LABEL, "", (int)c->columns - 6, r->x0, r->x1);
}

void curves_print(Arena *a, const Curve *curves, uint32_t n, uint32_t columns, FILE *out) {
    Range r = range_of(curves, n);
    if (!(r.x0 <= r.x1)) {
        fputs("  no finite value\n", out);
        return;
    }
    Canvas c = {.columns = columns > 2 * LABEL ? columns - LABEL : LABEL, .rows = ROWS, .dots = n == 1};
    c.cells = PUSH(a, uint32_t, c.columns * c.rows);
    for (uint32_t i = 0; i < n; i++) {
        c.letter = 'a' + i % LETTERS;
        draw(&c, &curves[i], &r);
    }
    print_canvas(&c, &r, out);
    for (uint32_t i = 0; i < n && n > 1; i++) fprintf(out, "  %c  %.*s\n", 'a' + i % LETTERS, FSTR(curves[i].name));
}
