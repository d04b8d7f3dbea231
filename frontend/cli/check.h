/* The sections of `graphc check`: each gathers what it has to say, and says it in a table or as JSON. */
#ifndef GRF_CLI_CHECK_H
#define GRF_CLI_CHECK_H
#include "cli.h"
#include "facts.h"
#include "gradients.h"
#include "json_text.h"

/* Where it all goes: text as it comes, or an object a line. */
/* found: what is wrong though it can run; told behind it. */
typedef struct { Session *s; bool json; Diags *found; } Check;
/* `j` with "about" in front is a line; takes it over. */
void check_object(const Check *c, const char *about, json_t *j);
/* " of probe"; empty where there is one phase. */
Str  check_of_phase(const Check *c, const RecipePhase *p);
/* Losses of a run: which weights they reach, what they weigh, and what follows from that. */
void check_losses(const Check *c, const RecipePhase *p, const RecipeRun *run);
/* Numbers that the counters of a phase change. */
void check_schedules(const Check *c, const RecipePhase *p);
/* What the products of a phase are computed of. */
void check_precision(const Check *c, const RecipePhase *p);
/* How its convolutions are summed. */
void check_convolution(const Check *c, const RecipePhase *p);
/* The batches of an epoch, columns that nothing uses, rows that are new in each epoch. */
void check_batches(const Check *c, const RecipePhase *p);
void check_columns(const Check *c);
void check_renewals(const Check *c);
/* What a constant answer scores, where the labels are quickly read. */
void check_baselines(const Check *c);
/* Rows that a phase trains on, -1 when that is not known without reading the data. */
int64_t check_rows(const Check *c, uint32_t data);
#endif
