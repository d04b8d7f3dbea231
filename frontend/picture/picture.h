/* Pictures of a program: its model, its graphs, its kernels, drawn by the Graphviz library.  What goes in is
 * what `dump` prints as text; what comes out is a file.  A picture is there to be read, so a view leaves out
 * what a reader can do without: constants, updates one by one, whatever is inside a box. */
#ifndef GRF_PICTURE_PICTURE_H
#define GRF_PICTURE_PICTURE_H
#include "fuse.h"
#include "lang.h"

typedef struct Sheet Sheet;
Sheet *sheet_create(Arena *a, Str title);
void sheet_destroy(Sheet *s);
bool sheet_known(const char *file); /* by its ending: .svg, .png, .pdf, .dot */
GrStatus sheet_write(Sheet *s, const char *file,
                     Error *e); /* .dot is the text that the others are drawn from */

/* Each adds to the sheet, in a frame of its own under the name of the entry.  false: there is nothing to
 * draw. */
bool picture_model(Sheet *s, const Program *p, const Graph *lowered);
bool picture_graph(Sheet *s, const Program *p, const Graph *g);
bool picture_kernels(Sheet *s, const SourceSet *files, const Planned *planned, const PlanEntry *entry);
#endif
