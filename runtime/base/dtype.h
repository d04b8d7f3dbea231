/* Element types of tensors and buffers, shapes, and the conversions of semantics 4 and 9. */
#ifndef GR_BASE_DTYPE_H
#define GR_BASE_DTYPE_H
#include "str.h"

/*      id    name    bytes  what */
#define DTYPE_LIST(_) \
    _(F32,  "f32",  4, "32-bit float, the program's `real`") \
    _(F64,  "f64",  8, "64-bit float: checks, storage, inside pow") \
    _(BF16, "bf16", 2, "storage and rounded products") \
    _(F16,  "f16",  2, "storage and rounded products") \
    _(I32,  "i32",  4, "the program's `int`, two's complement, wraps") \
    _(I64,  "i64",  8, "storage and counters") \
    _(U8,   "u8",   1, "storage") \
    _(BOOL, "bool", 1, "0 or 1 in a byte")
typedef enum {
#define X(id, name, bytes, what) DT_##id,
    DTYPE_LIST(X)
#undef X
    DT_COUNT
} DType;
uint32_t    dtype_bytes(DType t);
const char *dtype_name(DType t);
bool        dtype_parse(Str s, DType *out);
bool        dtype_is_float(DType t);

enum { MAX_RANK = 8 };
typedef struct { uint8_t rank; int64_t dim[MAX_RANK]; } Shape;   /* row order; an extent may be 0 */
int64_t shape_count(Shape s);                    /* product of the extents; 1 for rank 0 */
bool    shape_eq(Shape a, Shape b);
Shape   shape_of(uint32_t rank, const int64_t *dim);
void    buf_shape(Buf *b, Shape s);              /* [64,512] */

/* f32 denormals do not exist (semantics 4): every way into a tensor flushes. */
float    flush_f32(float x);                     /* denormal -> zero of the same sign */
float    f32_of_f64(double x);                   /* round to nearest even, flush */
float    f32_of_bf16(uint16_t x);
uint16_t bf16_of_f32(float x);                   /* nearest even; NaN -> 7fc0 */
float    f32_of_f16(uint16_t x);                 /* f16 denormals are f32 normals and are kept */
uint16_t f16_of_f32(float x);
int32_t  i32_of_f32(float x);                    /* truncates, saturates, NaN -> 0 */
uint32_t f32_bits(float x);
float    f32_of_bits(uint32_t u);
uint32_t f32_bits_canonical(float x);            /* every NaN is 7fc00000: how bits are compared */

/* FTZ+DAZ for the calling thread; returns what was set before, for float_mode_restore. */
uint32_t float_mode_enter(void);
uint32_t float_mode_plain(void);                 /* what C expects: as the processor starts a thread */
void     float_mode_restore(uint32_t saved);
#endif
