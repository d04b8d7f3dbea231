/* Mutations that keep the grammar: see fuzz_grammar.c. */
#ifndef GR_TESTS_FUZZ_GRAMMAR_H
#define GR_TESTS_FUZZ_GRAMMAR_H
#include "str.h"

typedef uint32_t FuzzPick(uint64_t *state, uint32_t n);      /* a number below n */
Str grammar_mutated(Arena *a, Str text, Str other, uint64_t *state, FuzzPick *pick);
#endif
