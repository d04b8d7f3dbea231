/* Scalar programs: straight lines of the operations of scalar.def, in SSA.  Used for function bodies (math.def), and
 * as the body of kernel stages.  Types are f32, f64, i32, i64, bool (narrow storage types are cast at loads and
 * stores). */
#ifndef GRC_IR_SCALAR_H
#define GRC_IR_SCALAR_H
#include "dtype.h"
#include "error.h"

typedef enum {
#define SOP(name, n, r, what) S_##name,
#include "scalar.def"
#undef SOP
    SOP_COUNT
} SOp;
const char *sop_name(SOp op);
uint32_t    sop_operands(SOp op);
bool        sop_parse(Str s, SOp *out);

typedef union { double f; int64_t i; } Imm;      /* f for floats, i for integers and bool */
typedef struct { uint8_t op, type; uint32_t in[3]; Imm imm; } SInst;   /* `in` are indices of earlier instructions */
typedef struct { SInst *at; uint32_t n; uint32_t result; uint32_t n_args; } SLine;

/* One operation over n lanes: out[i] = op(a[i], b[i], c[i]).  Arrays hold the C type of `type` / of the operand type
 * (bool: uint8_t).  `from` is the type of operand 0 (needed by comparisons, casts, bitcasts).  Obeys semantics 4 and 9
 * when the float mode of base/dtype.h is entered.  `const` spreads the one value at a, `arg` copies a. */
void scalar_eval(SOp op, DType type, DType from, uint32_t n, void *out, const void *a, const void *b, const void *c);
/* A whole line over n lanes; args[k] are arrays; out is an array of the result's type. */
void scalar_eval_line(const SLine *line, uint32_t n, void *out, const void *const *args);
Imm  scalar_fold(SOp op, DType type, DType from, Imm a, Imm b, Imm c);     /* one lane, flushing */
#endif
