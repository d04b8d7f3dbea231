/* The loss budget: what each term is worth at a step, and what it does to which model. */
#ifndef GRF_CLI_BUDGET_H
#define GRF_CLI_BUDGET_H
#include "trainer.h"

/* A table of a sample's values, lines with their ends; empty when the phase trains no term. */
Str budget_text(Arena *a, const Recipe *r, const TrainProgress *p);
#endif
