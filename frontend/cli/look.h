/* A batch put through an objective without a trainer, to look at what is computed on its way. */
#ifndef GRF_CLI_LOOK_H
#define GRF_CLI_LOOK_H
#include "run.h"

typedef struct {
    Session *s;
    const Common *c;
    uint32_t objective;
    const char *split;         /* train: the first batch of the training, in training mode; else in evaluation mode */
    const char *run;           /* whose weights; NULL: as a training begins */
    Str checkpoint;            /* of the run */
    int64_t rows;              /* of the batch */
    Dataset **data;
    Peek *peek;                /* the values there are, and those taken */
    Compiled compiled;
    Exec *exec;
    const PlanEntry *entry;    /* its outputs, in the order in which they were taken */
} Look;

/* Opens the data and finds the values; the objective is number `objective` of the recipe.  Columns that nothing but a
 * look reads are read too. */
GrStatus look_open(Session *s, const Common *c, uint32_t objective, const char *split, const char *run, Look *out,
                   Error *e);
/* Computes what was taken of `peek`. */
GrStatus look_run(Look *l, Error *e);
void     look_close(Look *l);
#endif
