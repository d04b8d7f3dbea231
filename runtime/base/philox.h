/* Random numbers (semantics 8): Philox4x32-10, counter based.  Element e of a draw is word (e/16) mod 4 of block
 * 16*floor(e/64) + e mod 16, so that sixteen lanes take four vectors from sixteen consecutive blocks. */
#ifndef GR_BASE_PHILOX_H
#define GR_BASE_PHILOX_H
#include <stdint.h>
typedef struct { uint32_t w[4]; } Philox4;
Philox4  philox4x32_10(Philox4 counter, uint32_t key0, uint32_t key1);
/* The word of element e: counter = (block, iteration, clock, phase), key = (seed, stream). */
uint32_t philox_word(uint32_t seed, uint32_t stream, uint32_t clock, uint32_t phase, uint32_t iteration, uint64_t e);
float    uniform_of_word(uint32_t w);    /* (w >> 8) * 2^-24: in [0, 1) */
#endif
