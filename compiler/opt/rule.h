/* The rows of rules.def: matching one against a value, and building its replacement. */
#ifndef GRC_OPT_RULE_H
#define GRC_OPT_RULE_H
#include "ir.h"
/* The number that a value is everywhere: a constant, or a broadcast of one. */
bool value_is_number(const Graph *g, Val v, Imm *number);
/* The first rule that applies to elementwise node v gives its replacement; {0} when none does. */
Val  rule_apply(Build *b, Val v);
#endif
