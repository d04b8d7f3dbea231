/* Random numbers of the stand-in data: SplitMix64 from a key, and what is made of it.  The streams are those of
 * the studies, not the language's own; integers and uniform numbers are the same bits everywhere. */
#ifndef GRAPHS_DATA_STREAM_H
#define GRAPHS_DATA_STREAM_H
#include <math.h>
#include <stdint.h>

typedef struct {
    uint64_t s;
} Stream;

static inline Stream stream_of(uint64_t key) {
    return (Stream){key};
}

/* Item i of the data set with this key. */
static inline Stream stream_of_item(uint64_t key, int64_t i) {
    return (Stream){key * 65536 + (uint64_t)i};
}

static inline uint64_t stream_next(Stream *r) {
    uint64_t z = r->s += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* In [0, 1), of 53 bits. */
static inline double stream_uniform(Stream *r) {
    return (double)(stream_next(r) >> 11) * 0x1p-53;
}

/* 0 .. n - 1. */
static inline int stream_below(Stream *r, int n) {
    return (int)(stream_uniform(r) * n);
}

/* Box and Muller, the cosine half alone: two uniform numbers each. */
static inline double stream_normal(Stream *r) {
    double a = stream_uniform(r), b = stream_uniform(r);
    return sqrt(-2 * log(1 - a)) * cos(2 * 3.14159265358979323846 * b);
}

/* The first i at which the running sum of p exceeds a uniform number; the last when none does. */
static inline int stream_category(Stream *r, const double *p, int n) {
    double x = stream_uniform(r), sum = 0;
    for (int i = 0; i < n; i++)
        if (x < (sum += p[i]))
            return i;
    return n - 1;
}

/* A shuffle of 0 .. n - 1 (Fisher and Yates, from the end). */
static inline void stream_permutation(Stream *r, int *order, int n) {
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = stream_below(r, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
#endif
