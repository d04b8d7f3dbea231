/* Memory over time: what lies in the arena while an entry of a plan runs, drawn, or as a table. */
#ifndef GRF_PICTURE_CHART_H
#define GRF_PICTURE_CHART_H
#include "fuse.h"

GrStatus memory_picture(const Planned *p, uint32_t entry, const SourceSet *files, const char *file, Error *e);
/* A line for each wave: bytes alive, and what is new in it; then the peak, largest first. */
void     memory_text(const Planned *p, uint32_t entry, const SourceSet *files, Buf *out);
#endif
