/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011): ten rounds of two
 * 32x32 -> 64 bit products over a counter, the key raised by a constant before each round but the first. */
#include "philox.h"

Philox4 philox4x32_10(Philox4 c, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.w[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c.w[2];
        c = (Philox4){{(uint32_t)(p1 >> 32) ^ c.w[1] ^ key0, (uint32_t)p1,
                       (uint32_t)(p0 >> 32) ^ c.w[3] ^ key1, (uint32_t)p0}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

uint32_t philox_word(uint32_t seed, uint32_t stream, uint32_t clock, uint32_t phase, uint32_t iteration, uint64_t e) {
    uint32_t block = (uint32_t)(16 * (e / 64) + e % 16);
    Philox4 r = philox4x32_10((Philox4){{block, iteration, clock, phase}}, seed, stream);
    return r.w[e / 16 % 4];
}

float uniform_of_word(uint32_t w) { return (float)(w >> 8) * 0x1p-24f; }
