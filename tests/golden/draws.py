"""Random numbers as docs/semantics.md 8 says, in bulk: what tests/golden/make.py writes element by element, by numpy.

A draw is named by its path; `words` gives its n elements at a clock, with the seed and phase of a training's start."""
import math

import numpy
import torch

M32, M64 = 0xffffffff, (1 << 64) - 1


def hash_bytes(data):
    """runtime/base/hash.h with seed 0."""
    word, turn = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03

    def fold(a, b):
        return (a * b & M64) ^ (a * b >> 64)

    def mix(a, b):
        return fold((fold(a ^ word, turn) + b) & M64, word)
    h = mix(0, turn)
    for i in range(0, len(data), 8):
        h = (fold(h ^ int.from_bytes(data[i:i + 8], "little"), word) + turn) & M64
    return mix(h, len(data))


def words(path, n, clock=0, seed=1):
    """Philox4x32-10 (Salmon and others, SC 2011): word e / 16 mod 4 of block 16 (e / 64) + e mod 16."""
    e = numpy.arange(n, dtype=numpy.uint64)
    c = [e // 64 * 16 + e % 16, numpy.zeros_like(e), numpy.full_like(e, clock), numpy.zeros_like(e)]
    k = [seed, hash_bytes(path.encode()) & M32]
    low, half = numpy.uint64(M32), numpy.uint64(32)
    for _ in range(10):
        p, q = c[0] * numpy.uint64(0xd2511f53), c[2] * numpy.uint64(0xcd9e8d57)
        c = [(q >> half) ^ c[1] ^ numpy.uint64(k[0]), q & low, (p >> half) ^ c[3] ^ numpy.uint64(k[1]), p & low]
        k = [(k[0] + 0x9e3779b9) & M32, (k[1] + 0xbb67ae85) & M32]
    return numpy.choose((e // 16 % 4).astype(int), c)


def signed(path, n):
    return words(path, n).astype(numpy.uint32).view(numpy.int32)


def uniform(path, *shape):
    return torch.from_numpy((words(path, math.prod(shape)) >> numpy.uint64(8)) * 2.0 ** -24).reshape(shape)


def normal(path, *shape):
    v = torch.from_numpy(((signed(path, math.prod(shape)) >> 8) + 0.5) * 2.0 ** -23)
    return (math.sqrt(2) * torch.erfinv(v)).reshape(shape)


def permutations(path, rows, n):
    return torch.from_numpy(numpy.argsort(signed(path, rows * n).reshape(rows, n), axis=1, kind="stable"))
