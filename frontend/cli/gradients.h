/* Which loss term reaches which weights: the analysis behind `check`. */
#ifndef GRF_CLI_GRADIENTS_H
#define GRF_CLI_GRADIENTS_H
#include "cli.h"
#include "grad.h"

typedef struct {
    uint32_t n_losses, n_models;
    uint32_t *models;              /* interned names, in order of first parameter */
    Reach *cells;                  /* loss-major: the best over the model's parameters */
} GradientTable;
/* Of the train graph of a run of the objective. */
GradientTable gradient_table(Session *s, uint32_t objective, const Graph *train);
/* Warns of every model that is in a training and that nothing trains. */
void gradients_check(Session *s);
#endif
