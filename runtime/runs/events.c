/* A file is records: u64 length, masked CRC of it, the bytes of an Event, masked CRC of them; little endian.  The CRC
 * is CRC-32C (Castagnoli), which the processor computes; masked, so that a CRC of data with CRCs in it stays sound.
 * Events are packed by protobuf-c.  A record is written at once: a process that is killed leaves whole ones, and
 * perhaps a cut last one, which readers skip. */
#include "events.h"
#include "events.pb-c.h"
#include "rundir.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nmmintrin.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct Events { Arena *arena; Str path; int fd; };

/* ---- records ---- */
uint32_t events_crc(const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    uint64_t crc = 0xffffffffu, word;
    for (; n >= sizeof word; n -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; n > 0; n--)
        crc = _mm_crc32_u8((uint32_t)crc, *at++);
    return ~(uint32_t)crc;
}

static uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

static GrStatus write_all(Events *v, const char *at, size_t n, Error *e) {
    while (n > 0) {
        ssize_t k = write(v->fd, at, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail_errno(e, GR_IO, "writing %.*s", FSTR(v->path));
        at += k;
        n -= (size_t)k;
    }
    return GR_OK;
}

static GrStatus put(Events *v, Graphc__Event *event, Error *e) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    event->wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    ArenaMark mark = arena_mark(v->arena);
    uint64_t n = graphc__event__get_packed_size(event);
    char *record = PUSH(v->arena, char, n + 16);
    memcpy(record, &n, 8);
    memcpy(record + 8, &(uint32_t){masked(events_crc(&n, 8))}, 4);
    graphc__event__pack(event, (uint8_t *)record + 12);
    memcpy(record + 12 + n, &(uint32_t){masked(events_crc(record + 12, n))}, 4);
    GrStatus status = write_all(v, record, n + 16, e);
    arena_pop(mark);
    return status;
}

/* ---- events ---- */
GrStatus events_open(Arena *a, Str run, int64_t step, Events **out, Error *e) {
    Events *v = PUSH(a, Events, 1);
    Str name = str_format(a, "events.out.tfevents.%lld.graphc.%d", (long long)time(NULL), (int)getpid());
    *v = (Events){.arena = a, .path = rundir_file(a, run, name.s)};
    *out = NULL;
    v->fd = open(v->path.s, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (v->fd < 0)
        return fail_errno(e, GR_IO, "creating %.*s", FSTR(v->path));
    Graphc__Event event = GRAPHC__EVENT__INIT;
    event.what_case = GRAPHC__EVENT__WHAT_FILE_VERSION;
    event.file_version = "brain.Event:2";
    GrStatus status = put(v, &event, e);
    if (status == GR_OK && step > 0) {
        Graphc__SessionLog log = GRAPHC__SESSION_LOG__INIT;
        log.status = GRAPHC__SESSION_LOG__SESSION_STATUS__START;
        event.step = step + 1;             /* what is at the step itself was reported before the save */
        event.what_case = GRAPHC__EVENT__WHAT_SESSION_LOG;
        event.session_log = &log;
        status = put(v, &event, e);
    }
    if (status == GR_OK)
        *out = v;
    else
        events_close(v);
    return status;
}

void events_close(Events *v) {
    if (v != NULL)
        close(v->fd);
}

/* TensorBoard groups by what stands before a slash: "val.total" is total in val. */
static char *tag_text(Arena *a, Str tag) {
    char *text = (char *)str_copy(a, tag).s, *dot = strchr(text, '.');
    if (dot != NULL)
        *dot = '/';
    return text;
}

static GrStatus put_summary(Events *v, int64_t step, Graphc__Summary__Value **values, uint32_t n, Error *e) {
    Graphc__Summary summary = GRAPHC__SUMMARY__INIT;
    Graphc__Event event = GRAPHC__EVENT__INIT;
    summary.n_value = n;
    summary.value = values;
    event.step = step;
    event.what_case = GRAPHC__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return put(v, &event, e);
}

GrStatus events_scalars(Events *v, int64_t step, const EventScalar *at, uint32_t n, Error *e) {
    if (n == 0)
        return GR_OK;
    ArenaMark mark = arena_mark(v->arena);
    Graphc__Summary__Value *values = PUSH(v->arena, Graphc__Summary__Value, n),
                           **pointers = PUSH(v->arena, Graphc__Summary__Value *, n);
    for (uint32_t i = 0; i < n; i++) {
        graphc__summary__value__init(&values[i]);
        values[i].tag = tag_text(v->arena, at[i].tag);
        values[i].value_case = GRAPHC__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
        values[i].simple_value = (float)at[i].x;
        pointers[i] = &values[i];
    }
    GrStatus status = put_summary(v, step, pointers, n, e);
    arena_pop(mark);
    return status;
}

GrStatus events_histogram(Events *v, int64_t step, Str tag, const EventHistogram *h, Error *e) {
    ArenaMark mark = arena_mark(v->arena);
    Graphc__HistogramProto histo = GRAPHC__HISTOGRAM_PROTO__INIT;
    Graphc__Summary__Value value = GRAPHC__SUMMARY__VALUE__INIT, *pointer = &value;
    histo.min = h->least, histo.max = h->most, histo.num = h->n, histo.sum = h->sum, histo.sum_squares = h->squares;
    histo.n_bucket = histo.n_bucket_limit = h->buckets;
    histo.bucket = h->counts;
    histo.bucket_limit = h->limits;
    value.tag = tag_text(v->arena, tag);
    value.value_case = GRAPHC__SUMMARY__VALUE__VALUE_HISTO;
    value.histo = &histo;
    GrStatus status = put_summary(v, step, &pointer, 1, e);
    arena_pop(mark);
    return status;
}

/* Signature, length and type of the first chunk, then width and height, big endian. */
static int32_t png_number(Str png, uint32_t at) {
    uint32_t x;
    memcpy(&x, png.s + at, sizeof x);
    return (int32_t)__builtin_bswap32(x);
}

GrStatus events_image(Events *v, int64_t step, Str tag, Str png, Error *e) {
    enum { WIDTH_AT = 16, HEIGHT_AT = 20, LEAST = 24 };
    if (png.n < LEAST)
        return fail(e, GR_DATA, "an image of %u bytes", png.n);
    ArenaMark mark = arena_mark(v->arena);
    Graphc__Summary__Image image = GRAPHC__SUMMARY__IMAGE__INIT;
    Graphc__Summary__Value value = GRAPHC__SUMMARY__VALUE__INIT, *pointer = &value;
    image.height = png_number(png, HEIGHT_AT), image.width = png_number(png, WIDTH_AT), image.colorspace = 1;
    image.encoded_image_string = (ProtobufCBinaryData){png.n, (uint8_t *)png.s};
    value.tag = tag_text(v->arena, tag);
    value.value_case = GRAPHC__SUMMARY__VALUE__VALUE_IMAGE;
    value.image = &image;
    GrStatus status = put_summary(v, step, &pointer, 1, e);
    arena_pop(mark);
    return status;
}

/* ---- histograms ---- */
enum { SIDE = 774 };           /* 1e-12 * 1.1^774 is above 1e20; the outermost buckets take what is larger */

static uint32_t bucket_of(double x) {
    double size = fabs(x);
    int k = size <= 1e-12 ? 0 : 1 + (int)fmin(SIDE - 1, floor(log(size / 1e-12) / log(1.1)));
    return (uint32_t)(x < 0 ? SIDE - k : SIDE + k);
}

/* The upper end; of the last one there is none. */
static double limit_of(uint32_t bucket) {
    int k = (int)bucket - SIDE;
    return k >= SIDE ? 1.7976931348623157e308 : k >= 0 ? 1e-12 * pow(1.1, k) : -1e-12 * pow(1.1, -k - 1);
}

EventHistogram events_count(Arena *a, const float *values, int64_t n) {
    double *all = PUSH(a, double, 2 * SIDE + 1);
    EventHistogram h = {.least = INFINITY, .most = -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        double x = (double)values[i];
        if (!isfinite(x))
            continue;
        all[bucket_of(x)]++;
        h.n++;
        h.sum += x;
        h.squares += x * x;
        h.least = fmin(h.least, x);
        h.most = fmax(h.most, x);
    }
    h.limits = PUSH(a, double, 2 * SIDE + 1);
    h.counts = PUSH(a, double, 2 * SIDE + 1);
    for (uint32_t i = 0; i <= 2 * SIDE; i++) {     /* an empty bucket below one that is not says where that begins */
        if (all[i] == 0 && (i == 2 * SIDE || all[i + 1] == 0))
            continue;
        h.limits[h.buckets] = limit_of(i);
        h.counts[h.buckets++] = all[i];
    }
    return h;
}
