/* PNG and JPEG files, a row each: u8[height, width] when it is grey, u8[height, width, channels] else, as
 * the file has them (a palette becomes its colours, few bits a pixel become eight, no colour space is
 * changed).  The libraries report mistakes by a jump; what they warn of is damage too. */
#include "reader.h"
#include "stream.h"
#include <stdio.h>
#include <jpeglib.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { SIDE_MOST = 1 << 15 };

typedef struct {
    Str path;
    FILE *in;
    Arena *arena;
    Error *e;
    uint32_t height, width, channels;
    uint8_t *pixels; /* NULL: only the size is asked for */
    jmp_buf failed;
    char why[200];
} Image;

static void take_size(Image *m, uint32_t height, uint32_t width, uint32_t channels) {
    m->height = height;
    m->width = width;
    m->channels = channels;
}

/* ---- png ---- */
static void png_failed(png_structp png, png_const_charp why) {
    Image *m = png_get_error_ptr(png);
    snprintf(m->why, sizeof m->why, "%s", why);
    longjmp(m->failed, 1);
}

static void png_warned(png_structp png, png_const_charp why) { (void)png, (void)why; }

static void png_take(Image *m, png_structp png, png_infop info, bool pixels) {
    png_set_user_limits(png, SIDE_MOST, SIDE_MOST);
    png_init_io(png, m->in);
    png_read_info(png, info);
    if (png_get_bit_depth(png, info) > 8)
        png_error(png, "it has 16 bits a channel, 8 can be read");
    png_set_expand(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    take_size(m, png_get_image_height(png, info), png_get_image_width(png, info),
              png_get_channels(png, info));
    size_t row = png_get_rowbytes(png, info);
    if (!pixels)
        return;
    m->pixels = arena_push(m->arena, row * m->height + 1, 64);
    for (int pass = 0; pass < passes; pass++) {
        for (uint32_t y = 0; y < m->height; y++)
            png_read_row(png, m->pixels + y * row, NULL);
    }
    png_read_end(png, NULL);
}

static bool png_image_read(Image *m, bool pixels) {
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, m, png_failed, png_warned);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    GR_ASSERT(info != NULL);
    bool well = setjmp(m->failed) == 0;
    if (well)
        png_take(m, png, info, pixels);
    png_destroy_read_struct(&png, &info, NULL);
    return well;
}

/* ---- jpeg ---- */
static void jpeg_failed(j_common_ptr j) {
    Image *m = j->client_data;
    (*j->err->format_message)(j, m->why);
    longjmp(m->failed, 1);
}

/* Level -1 is damage that the library would make up for. */
static void jpeg_said(j_common_ptr j, int level) {
    if (level < 0)
        jpeg_failed(j);
}

static void jpeg_take(Image *m, struct jpeg_decompress_struct *j, bool pixels) {
    jpeg_create_decompress(j);
    jpeg_stdio_src(j, m->in);
    jpeg_read_header(j, TRUE);
    bool grey = j->jpeg_color_space == JCS_GRAYSCALE;
    if (!grey && j->jpeg_color_space != JCS_YCbCr && j->jpeg_color_space != JCS_RGB) {
        snprintf(m->why, sizeof m->why, "its colours are neither grey nor RGB");
        longjmp(m->failed, 1);
    }
    j->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    take_size(m, j->image_height, j->image_width, grey ? 1 : 3);
    if (!pixels)
        return;
    size_t row = (size_t)m->width * m->channels;
    m->pixels = arena_push(m->arena, row * m->height + 1, 64);
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
        JSAMPROW to = m->pixels + j->output_scanline * row;
        jpeg_read_scanlines(j, &to, 1);
    }
    jpeg_finish_decompress(j);
}

static bool jpeg_image_read(Image *m, bool pixels) {
    struct jpeg_decompress_struct j = {0};
    struct jpeg_error_mgr err;
    j.err = jpeg_std_error(&err);
    j.client_data = m;
    err.error_exit = jpeg_failed;
    err.emit_message = jpeg_said;
    bool well = setjmp(m->failed) == 0;
    if (well)
        jpeg_take(m, &j, pixels);
    jpeg_destroy_decompress(&j);
    return well;
}

/* ---- either ---- */
static GrStatus decode(Image *m, bool pixels) {
    uint8_t magic[8];
    size_t n = fread(magic, 1, sizeof magic, m->in);
    bool png = n == 8 && png_sig_cmp(magic, 0, 8) == 0, jpeg = n > 2 && memcmp(magic, "\xff\xd8\xff", 3) == 0;
    if (!png && !jpeg)
        return fail(m->e, GR_DATA, "%.*s is neither PNG nor JPEG", FSTR(m->path));
    rewind(m->in);
    if (png ? png_image_read(m, pixels) : jpeg_image_read(m, pixels))
        return GR_OK;
    fail(m->e, GR_DATA, "%.*s: the picture cannot be read: %s", FSTR(m->path), m->why);
    fail_help(m->e, "is the file whole? fetch it again, or take it out of the folder");
    return GR_DATA;
}

static GrStatus load(Arena *a, Str path, bool pixels, Image *m, Error *e) {
    uint64_t size;
    *m = (Image){.path = path, .arena = a, .e = e};
    TRY(file_check(a, path, &size, e));
    m->in = fopen(str_copy(a, path).s, "rb");
    if (m->in == NULL)
        return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    GrStatus status = decode(m, pixels);
    fclose(m->in);
    return status;
}

GrStatus images_describe(Arena *a, const ReaderFile *f, bool count, FileColumns *out, Error *e) {
    Image m;
    (void)count;
    TRY(load(a, f->path, false, &m, e));
    FileColumn image = {.name = STR("image"), .dtype = DT_U8},
               folder = {.name = STR("folder_index"), .dtype = DT_I32};
    image.shape = shape_of(m.channels == 1 ? 3 : 4, (int64_t[]){1, m.height, m.width, m.channels});
    folder.shape = shape_of(1, (int64_t[]){1});
    vec_push(a, &out->at, image);
    vec_push(a, &out->at, folder);
    out->rows = 1;
    return GR_OK;
}

static GrStatus check_size(const Image *m, const RecipeColumn *want) {
    Shape have = shape_of(m->channels == 1 ? 2 : 3, (int64_t[]){m->height, m->width, m->channels});
    return shape_eq(want->shape, have) ? GR_OK
                                       : fail(m->e, GR_IO, "%.*s changed while it was read", FSTR(m->path));
}

GrStatus images_read(Arena *scratch, const ReaderFile *f, Sink *sink, Error *e) {
    Image m;
    if (sink_wants(sink, STR("image"))) {
        TRY(load(scratch, f->path, true, &m, e));
        for (uint32_t i = 0; i < sink->n_wants; i++) {
            if (str_is(column_source(sink->wants[i]), "image"))
                TRY(check_size(&m, sink->wants[i]));
        }
        TRY(sink_put(sink, STR("image"), DT_U8, m.pixels, 1, NULL, e));
    }
    return sink_put(sink, STR("folder_index"), DT_I32, &f->folder, 1, NULL, e);
}
