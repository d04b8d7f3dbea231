/* What `check` can say of a training that a mere list of its parts does not show: gathered while a run of a phase is
 * lowered, where names of extents and places of calls are still known. */
#ifndef GRF_LANG_FACTS_H
#define GRF_LANG_FACTS_H
#include "lang.h"

/* weight, inst: the number now, and in the uniform program.
 * reduction: "mean over N of a sum over 16 of kl"; factor: the constant in front of it.
 * per_row: what stands in front of the sum over all that belongs to a row, which are `elements` (0: several sums, or
 * none).  divergence: it is one, from a prior (KL); scale: the name of a log variance in it, or empty.
 * grows: it is a sum over rows.  mixed: what makes it depend on which rows stand together in a batch, or empty. */
typedef struct LossFacts {
    Str name; Span span;
    double weight, factor, per_row; int64_t elements;
    uint32_t inst;
    bool scheduled, divergence, grows;
    Str reduction, scale, mixed;
} LossFacts;
/* A number of the phase that its counters change: the argument of an optimizer, or the weight of a loss. */
typedef struct { Str name; uint32_t inst; Span span; } Schedule;
typedef struct RunFacts { Str run; VEC(LossFacts) losses; VEC(Schedule) schedules; } RunFacts;
/* By the run's name; NULL for what was not lowered. */
const RunFacts *program_facts(const Program *p, Str run);
/* The function of the library whose text this is; empty: none. */
Str program_library_name(const Program *p, Span at);
#endif
