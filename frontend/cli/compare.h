/* Two logs held against each other, epoch by epoch: the same bits or not. */
#ifndef GRF_CLI_COMPARE_H
#define GRF_CLI_COMPARE_H
#include "history.h"

/* The first place at which they differ: "all 10 epochs are the same", "epoch 3 of phase `p` is the first that differs:
 * val.total 0.5 and 0.25, and 2 more". */
Str  compare_text(Arena *a, const History *x, const History *y);
/* Epochs of x are those of y, which may go on. */
bool compare_begins(const History *x, const History *y);
#endif
