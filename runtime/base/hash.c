/* Eight bytes at a time: combine, multiply to 128 bits, fold the halves together.  The length goes in last, so that
 * trailing zeros count.  Reads words in the byte order of x86. */
#include "hash.h"
#include <string.h>

static const uint64_t k_word = 0x9e3779b97f4a7c15u;    /* 2^64 / golden ratio, odd */
static const uint64_t k_turn = 0xd1b54a32d192ed03u;    /* 2^64 / the root of x^4 = x + 1, odd */

static uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t hash_mix(uint64_t a, uint64_t b) { return fold(fold(a ^ k_word, k_turn) + b, k_word); }

HashParts hash_begin(uint64_t seed) { return (HashParts){hash_mix(seed, k_turn), 0}; }

void hash_part(HashParts *parts, const void *p, size_t n) {
    const char *at = p;
    uint64_t h = parts->hash, word;
    size_t left = n;
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        h = fold(h ^ word, k_word) + k_turn;
    }
    if (left > 0) {
        word = 0;
        memcpy(&word, at, left);
        h = fold(h ^ word, k_word) + k_turn;
    }
    *parts = (HashParts){h, parts->bytes + n};
}

uint64_t hash_end(const HashParts *h) { return hash_mix(h->hash, h->bytes); }

uint64_t hash_bytes(uint64_t seed, const void *p, size_t n) {
    HashParts h = hash_begin(seed);
    hash_part(&h, p, n);
    return hash_end(&h);
}
