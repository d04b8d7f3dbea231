/* Where a gradient can flow.  Autodiff, the checks of losses and the choice of what an optimiser updates all ask
 * this, and the answer is in one table: the rules of grads.def. */
#ifndef GRC_IR_FLOW_H
#define GRC_IR_FLOW_H
#include "ir.h"

/*  YES      the cotangent of the node gives its operand one
 *  ZERO     it is piecewise constant in that operand: rounding, comparisons, positions, whole numbers
 *  STOPPED  on purpose: the value of a grad_as, a function with `nograd` */
typedef enum { FLOW_YES, FLOW_ZERO, FLOW_STOPPED } Flow;
Flow flow_into(const Graph *g, Val v, uint32_t k);
#endif
