/* An image is a tensor [rows, height, width] of bytes or of real numbers: the first such column and output. */
#include "imagesheet.h"
#include "png.h"

enum { PER_ROW = 10 };

static const PlanBuffer *image_among(const Plan *p, uint32_t first, uint32_t n) {
    for (uint32_t i = first; i < first + n; i++) {
        const PlanBuffer *b = &p->buffers.at[p->bindings.at[i].buffer];
        if (b->shape.rank == 3 && (b->dtype == DT_U8 || b->dtype == DT_F32)) return b;
    }
    return NULL;
}

static bool find_images(const Plan *p, const PlanEntry *entry, const PlanBuffer **from, const PlanBuffer **to) {
    *from = image_among(p, entry->first_column, entry->n_columns);
    *to = image_among(p, entry->first_output, entry->n_outputs);
    return *from && *to && (*from)->shape.dim[1] == (*to)->shape.dim[1] && (*from)->shape.dim[2] == (*to)->shape.dim[2];
}

bool imagesheet_fits(const Plan *p, const PlanEntry *entry) {
    const PlanBuffer *from, *to;
    return find_images(p, entry, &from, &to);
}

/* Image r of a buffer as bytes: real numbers are grey values from 0 to 1, and what is no number is black. */
static void put_image(uint8_t *out, const PlanBuffer *b, const void *data, int64_t r) {
    int64_t n = b->shape.dim[1] * b->shape.dim[2];
    for (int64_t i = 0; i < n; i++) {
        float x = b->dtype == DT_U8 ? (float)((const uint8_t *)data)[r * n + i]
                                    : ((const float *)data)[r * n + i] * 255;
        out[i] = (uint8_t)(!(x > 0) ? 0 : x > 255 ? 255 : x + 0.5f);
    }
}

/* Ten originals, the ten results below them, and so on. */
GrStatus imagesheet_write(Arena *a, const Plan *p, const PlanEntry *entry, const Exec *x, Str path, Error *e) {
    const PlanBuffer *from, *to;
    if (!find_images(p, entry, &from, &to))
        return fail(e, GR_DATA, "the export does not make images of images of the same size: no picture");
    int64_t h = to->shape.dim[1], w = to->shape.dim[2], rows = entry->rows, lines = (rows + PER_ROW - 1) / PER_ROW * 2;
    uint8_t *images = PUSH(a, uint8_t, lines * PER_ROW * h * w);
    const void *in = exec_buffer(x, (uint32_t)(from - p->buffers.at)),
               *out = exec_buffer(x, (uint32_t)(to - p->buffers.at));
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r / PER_ROW * 2 * PER_ROW + r % PER_ROW;
        put_image(images + at * h * w, from, in, r);
        put_image(images + (at + PER_ROW) * h * w, to, out, r);
    }
    return png_write_grid(a, path, images, lines * PER_ROW, h, w, PER_ROW, e);
}
