/* The picture is put together in memory and written by libpng's simplified interface, which needs no long
 * jumps. */
#include "png.h"
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GAP = 2, GAP_GREY = 224, SIDE_MOST = 1 << 15 };

static GrStatus write_image(Str path, png_image *image, const uint8_t *pixels, Error *e) {
    FILE *f = fopen(path.s, "wb");
    if (f == NULL)
        return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    bool written = png_image_write_to_stdio(image, f, 0, pixels, 0, NULL) != 0;
    if (fclose(f) == 0 && written)
        return GR_OK;
    struct stat st;
    if (stat(path.s, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path.s); /* half a picture is none; a device is left alone */
    return fail(e, GR_IO, "%.*s could not be written%s%s", FSTR(path), written ? "" : ": ",
                written ? "" : image->message);
}

GrStatus png_write_grid(Arena *a, Str path, const uint8_t *images, int64_t n, int64_t height, int64_t width,
                        int64_t columns, Error *e) {
    if (n <= 0 || height <= 0 || width <= 0 || columns <= 0 || height > SIDE_MOST || width > SIDE_MOST ||
        columns > SIDE_MOST || n > SIDE_MOST * columns)
        return fail(e, GR_USAGE, "a picture of %lld images of %lld x %lld", (long long)n, (long long)height,
                    (long long)width);
    int64_t rows = (n + columns - 1) / columns;
    int64_t wide = GAP + columns * (width + GAP), high = GAP + rows * (height + GAP);
    if (wide > SIDE_MOST || high > SIDE_MOST)
        return fail(e, GR_USAGE, "a picture of %lld x %lld is too large", (long long)wide, (long long)high);
    uint8_t *pixels = PUSH(a, uint8_t, wide * high);
    memset(pixels, GAP_GREY, (size_t)(wide * high));
    for (int64_t i = 0; i < n; i++) {
        uint8_t *corner =
            pixels + (GAP + i / columns * (height + GAP)) * wide + GAP + i % columns * (width + GAP);
        for (int64_t y = 0; y < height; y++)
            memcpy(corner + y * wide, images + (i * height + y) * width, (size_t)width);
    }
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)wide, .height = (png_uint_32)high,
                       .format = PNG_FORMAT_GRAY};
    return write_image(str_copy(a, path), &image, pixels, e);
}
