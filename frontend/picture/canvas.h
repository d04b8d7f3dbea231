/* A file that cairo draws into: the pictures that are no graphs. */
#ifndef GRF_PICTURE_CANVAS_H
#define GRF_PICTURE_CANVAS_H
#include "error.h"

typedef struct _cairo_surface cairo_surface_t;              /* as cairo.h has it */
bool canvas_known(const char *file);                       /* by its ending: .svg, .png, .pdf */
cairo_surface_t *canvas_open(const char *file, double width, double height);
/* Writes and destroys it, whatever comes of it; GR_IO: why the file cannot be written. */
GrStatus canvas_close(cairo_surface_t *s, const char *file, Error *e);
#endif
