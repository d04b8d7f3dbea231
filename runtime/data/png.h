/* Pictures for people: grey images side by side in one PNG. */
#ifndef GRR_DATA_PNG_H
#define GRR_DATA_PNG_H
#include "error.h"
#include <stdbool.h>
#include <stdint.h>

/* n images of height x width bytes, one behind the other, `columns` in a row of the picture, a light gap
 * between them. */
GrStatus png_write_grid(Arena *a, Str path, const uint8_t *images, int64_t n, int64_t height, int64_t width,
                        int64_t columns, Error *e);
#endif
