/* The pipeline: a lowered graph through every pass, verified after each. */
#ifndef GRF_CLI_PIPELINE_H
#define GRF_CLI_PIPELINE_H
#include "ir.h"

typedef struct {
    const char *dump_after;      /* name of a pass, "all", or NULL: graphs are printed there to `dump` */
    const char *stop_after;      /* name of a pass or NULL */
    bool runnable;               /* behind stop_after only rewrites are left out */
    bool time_passes;
    Buf *dump;
    double *seconds;             /* by pass, summed; pass_count() of them, or NULL */
} PassOptions;

uint32_t    pass_count(void);
const char *pass_name(uint32_t i);
const char *pass_brief(uint32_t i);
bool        pass_known(const char *name);
/* NULL after a diagnostic.  A graph that a pass leaves invalid is our bug: it stops with the pass's name. */
Graph *pipeline_run(Arena *a, const Graph *g, const PassOptions *o, const SourceSet *sources, Diags *ds);
#endif
