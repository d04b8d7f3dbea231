/* The functions: exp expm1 log log1p sin cos tanh sigmoid erf erfc pow atan2 and the inverse error function that
 * makes normal numbers, as straight lines of scalar operations read from math.def.  Both the interpreter and the
 * code generator use these lines, so they agree to the bit; that they are also right (<= 2 ulp) is what the sweep
 * over all floats checks (semantics 5). */
#ifndef GRC_IR_FUNCTIONS_H
#define GRC_IR_FUNCTIONS_H
#include "scalar.h"
typedef enum {
#define MATH(name, args, ulp, what, body) M_##name,
#include "math.def"
#undef MATH
    MATH_COUNT
} MathFn;
typedef struct Math Math;                         /* the parsed lines; immutable, shared by threads */
GrStatus     math_create(Arena *a, const Math **out, Error *e);   /* microseconds */
const SLine *math_line(const Math *m, MathFn f);  /* f32 in, f32 out */
const char  *math_name(MathFn f);
double       math_f64(MathFn f, double x, double y);   /* the same function of libm, for f64 mode and the sweep */
#endif
