/* Every element goes through a double or an i64, except where types agree, which is the common case and a
 * copy with a check. */
#include "convert.h"
#include "error.h"
#include <math.h>
#include <string.h>

static int64_t int_at(DType t, const void *in, int64_t i) {
    switch (t) {
    case DT_I32:  return ((const int32_t *)in)[i];
    case DT_I64:  return ((const int64_t *)in)[i];
    case DT_U8:
    case DT_BOOL: return ((const uint8_t *)in)[i];
    case DT_F32: case DT_F64: case DT_BF16: case DT_F16: case DT_COUNT: break;
    }
    GR_BUG("%s is no integer type", dtype_name(t));
}

double element_of(DType t, const void *in, int64_t i) {
    switch (t) {
    case DT_F32:  return ((const float *)in)[i];
    case DT_F64:  return ((const double *)in)[i];
    case DT_BF16: return f32_of_bf16(((const uint16_t *)in)[i]);
    case DT_F16:  return f32_of_f16(((const uint16_t *)in)[i]);
    case DT_I32: case DT_I64: case DT_U8: case DT_BOOL: return (double)int_at(t, in, i);
    case DT_COUNT: break;
    }
    GR_BUG("element type %d", (int)t);
}

static bool put_real(DType t, void *out, int64_t i, double x, int64_t bound) {
    if (isnan(x) && bound != BOUND_NONE_AT_ALL)
        return false;
    switch (t) {
    case DT_F32:  ((float *)out)[i] = f32_of_f64(x); return true;
    case DT_F64:  ((double *)out)[i] = x; return true;
    case DT_BF16: ((uint16_t *)out)[i] = bf16_of_f32(f32_of_f64(x)); return true;
    case DT_F16:  ((uint16_t *)out)[i] = f16_of_f32(f32_of_f64(x)); return true;
    case DT_I32: case DT_I64: case DT_U8: case DT_BOOL: case DT_COUNT: break;
    }
    GR_BUG("%s is no float type", dtype_name(t));
}

static bool put_int(DType t, void *out, int64_t i, int64_t x, int64_t bound) {
    if (bound > 0 && (x < 0 || x >= bound))
        return false;
    switch (t) {
    case DT_U8:   ((uint8_t *)out)[i] = (uint8_t)x; return x >= 0 && x <= UINT8_MAX;
    case DT_BOOL: ((uint8_t *)out)[i] = (uint8_t)x; return x == 0 || x == 1;
    case DT_I32:  ((int32_t *)out)[i] = (int32_t)x; return x >= INT32_MIN && x <= INT32_MAX;
    case DT_I64:  ((int64_t *)out)[i] = x; return true;
    case DT_F32: case DT_F64: case DT_BF16: case DT_F16: case DT_COUNT: break;
    }
    GR_BUG("%s is no integer type", dtype_name(t));
}

static bool is_whole(double x) { return x >= -0x1p63 && x < 0x1p63 && x == trunc(x); }

static int64_t copy_bytes(uint8_t *out, const uint8_t *in, int64_t n, int64_t most) {
    memcpy(out, in, (size_t)n);
    uint8_t largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = in[i] > largest ? in[i] : largest;
    if (largest <= most)
        return -1;
    int64_t i = 0;
    while (in[i] <= most)
        i++;
    return i;
}

int64_t convert_elements(DType to, void *out, DType from, const void *in, int64_t n, int64_t bound) {
    if (from == DT_U8 && to == DT_U8)
        return copy_bytes(out, in, n, bound > 0 && bound <= UINT8_MAX ? bound - 1 : UINT8_MAX);
    for (int64_t i = 0; i < n; i++) {
        bool fits;
        if (dtype_is_float(to)) {
            fits = put_real(to, out, i, element_of(from, in, i), bound);
        } else if (dtype_is_float(from)) {
            double x = element_of(from, in, i);
            fits = is_whole(x) && put_int(to, out, i, (int64_t)x, bound);
        } else {
            fits = put_int(to, out, i, int_at(from, in, i), bound);
        }
        if (!fits)
            return i;
    }
    return -1;
}

void convert_print(Buf *b, DType from, const void *in, int64_t i) {
    if (dtype_is_float(from))
        buf_real(b, element_of(from, in, i));
    else
        buf_printf(b, "%lld", (long long)int_at(from, in, i));
}
