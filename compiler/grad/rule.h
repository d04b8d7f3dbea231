/* The rows of grads.def, read into small expression trees; and the building of one. */
#ifndef GRC_GRAD_RULE_H
#define GRC_GRAD_RULE_H
#include "ir.h"
/* The cotangent of operand k of node v, given the cotangent g of v; {0} for none.  Both have v's shape. */
Val rule_build(Build *b, Val v, uint32_t k, Val g);
#endif
