/* Surfaces of cairo for the three kinds of files.  The ones of lines are written while they are drawn into, the one of
 * dots at its end. */
#include "canvas.h"
#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <errno.h>

static bool is(const char *file, const char *ending) { return str_ends(str_of(file), ending); }

bool canvas_known(const char *file) { return is(file, ".svg") || is(file, ".pdf") || is(file, ".png"); }

cairo_surface_t *canvas_open(const char *file, double width, double height) {
    GR_ASSERT(canvas_known(file));
    errno = 0;
    return is(file, ".svg")   ? cairo_svg_surface_create(file, width, height)
           : is(file, ".pdf") ? cairo_pdf_surface_create(file, width, height)
                              : cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
}

GrStatus canvas_close(cairo_surface_t *s, const char *file, Error *e) {
    cairo_status_t wrong = is(file, ".png") ? cairo_surface_write_to_png(s, file) : CAIRO_STATUS_SUCCESS;
    int why = errno;
    cairo_surface_finish(s);
    wrong = wrong ? wrong : cairo_surface_status(s);
    cairo_surface_destroy(s);
    if (!wrong) return GR_OK;
    errno = why;
    if (wrong == CAIRO_STATUS_WRITE_ERROR && why)
        return fail_errno(e, GR_IO, "the picture %s cannot be written", file);
    return fail(e, GR_IO, "the picture %s cannot be written: %s", file, cairo_status_to_string(wrong));
}
