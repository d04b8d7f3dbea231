/* What the views draw with: boxes, frames and arrows of one picture, in few looks, over the Graphviz library. */
#ifndef GRF_PICTURE_SHEET_H
#define GRF_PICTURE_SHEET_H
#include "picture.h"
#include <graphviz/cgraph.h>

/*  look      shape, fill, line */
#define LOOK_LIST(_) \
    _(INPUT,    "ellipse", "#eeeeee", "#777777") \
    _(LAYER,    "box",     "#d6e6f5", "#2f6ea5") \
    _(STEP,     "box",     "#ffffff", "#777777") \
    _(LOSS,     "box",     "#fde3c0", "#c77a10") \
    _(GRADIENT, "box",     "#f7d9d9", "#b04a4a") \
    _(UPDATE,   "box",     "#dcefd5", "#4d8b3a") \
    _(METRIC,   "box",     "#ece4f5", "#7a5aa6")
typedef enum {
#define X(id, shape, fill, line) LOOK_##id,
    LOOK_LIST(X)
#undef X
    LOOK_COUNT
} Look;

struct Sheet { Arena *arena; Agraph_t *root; uint32_t boxes, frames; };
typedef struct { Buf html; uint32_t lines; } Label;            /* its first line is bold */

Label     label_make(Sheet *s);
void      label_line(Label *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Agraph_t *sheet_frame(Sheet *s, Agraph_t *in, Str title);      /* in: NULL for the sheet */
Agnode_t *sheet_box(Sheet *s, Agraph_t *in, Look look, const Label *l);
/* upwards: `to` stands before `from` on the page. */
Agedge_t *sheet_arrow(Sheet *s, Agnode_t *from, Agnode_t *to, Look look, bool upwards);
void      sheet_set(void *thing, const char *attribute, const char *value);
Str       scaled_text(Arena *a, double n, const char *unit);        /* "3.2 MB" */
Str       place_text(Arena *a, const SourceSet *files, Span at);   /* "layers.graph:7", empty for no place */
#endif
