/* Which loss term reaches which weights: the analysis behind `check`, and the error for a term that reaches
 * nothing. */
#ifndef GRF_CLI_GRADIENTS_H
#define GRF_CLI_GRADIENTS_H
#include "cli.h"
#include "grad.h"

typedef struct {
    uint32_t loss, model;
    Reached best;
    Val param;
} LossReach; /* best over the model's parameters */
typedef struct {
    const Graph *graph;
    uint32_t n_losses, n_models;
    uint32_t *models;              /* interned names, in order of first parameter */
    LossReach *cells;              /* loss-major */
} GradientTable;
/* Of one phase's train graph. */
GradientTable gradient_table(Session *s, uint32_t phase, const Graph *train);
/* Reports every term without a gradient path (unless it says nograd), and every model that nothing trains. */
void gradients_check(Session *s);
#endif
