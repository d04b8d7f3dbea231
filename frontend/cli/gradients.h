/* Which loss term reaches which weights, and what is in the way: the analysis behind `check`. */
#ifndef GRF_CLI_GRADIENTS_H
#define GRF_CLI_GRADIENTS_H
#include "cli.h"
#include "grad.h"

/* masked: only where a condition holds that is made of rounded values or positions */
typedef struct { Reached way; bool masked; } GradientCell;
typedef struct {
    const Graph *graph;
    uint32_t n_losses, n_models;
    uint32_t *models;              /* interned names, in order of first parameter */
    GradientCell *cells;           /* loss-major: the best over the model's parameters */
    bool *learned;                 /* by node: a gradient comes from it to a parameter */
    Cuts *cuts;                    /* by loss: what a reader would want to know, each cause once */
} GradientTable;
/* Of the train graph of a run of the objective. */
GradientTable gradient_table(Session *s, uint32_t objective, const Graph *train);
/* The value of the loss; {0}: there is none. */
Val  gradient_loss(const Graph *train, uint32_t loss);
/* Warns of every model that is in a training and that nothing trains. */
void gradients_check(Session *s);
#endif
