/* Permutes moved behind what they feed (permute.c). */
#ifndef GRC_OPT_PERMUTE_H
#define GRC_OPT_PERMUTE_H
#include "ir.h"
/* A value equal to node v in every bit, with a permute of an operand moved behind it or taken in; {0} when there
 * is none. */
Val permute_moved(Build *b, Val v);
/* The value whose permute by `at` is x, when it costs nothing to have: what is made of broadcasts, constants and iotas,
 * or a permute itself; {0} otherwise. */
Val permute_undone(Build *b, Val x, uint32_t n, const uint8_t *at);
/* A product equal to node v in every bit, which sums over another axis of an operand that is its own transpose
 * (mirror.c); {0} when there is none. */
Val mirror_turned(Build *b, Val v);
#endif
