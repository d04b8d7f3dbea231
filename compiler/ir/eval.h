/* The parts of the reference interpreter: eval.c walks graphs and owns memory; each of the others computes
 * one family of ops from whole contiguous tensors into one that is there already. */
#ifndef GRC_IR_EVAL_H
#define GRC_IR_EVAL_H
#include "ir.h"

typedef struct {
    EvalRun    *run;
    const Math *math;
    Arena      *scratch;           /* popped after every node */
    Error      *error;
} Eval;

DType eval_dtype(const Eval *ev, DType t);         /* how a tensor of type t is held: in f64 mode every float is f64 */

void eval_elt(const Eval *ev, const Node *n, const Tensor *in, Tensor *out);
void eval_cast(const Tensor *in, Tensor *out);
void eval_iota(const Node *n, Tensor *out);
void eval_random(const Eval *ev, const Node *n, const Tensor *in, Tensor *out);
void eval_view(const Eval *ev, const Node *n, const Tensor *in, Tensor *out);
void eval_scatter_add(const Node *n, const Tensor *in, Tensor *out);
void eval_reduce(const Eval *ev, const Node *n, const Tensor *in, Tensor *out);    /* out: one, of moments two */
void eval_order(const Eval *ev, const Node *n, const Tensor *in, Tensor *out);
void eval_contract(const Eval *ev, const Node *n, const Tensor *in, Tensor *out);

/* out[i..] = in[sum of i * stride], strides in elements, out contiguous. */
void eval_copy_strided(void *out, Shape to, const void *in, const int64_t *stride, uint32_t bytes);
void shape_strides(Shape s, int64_t *stride);      /* of a contiguous tensor */
#endif
