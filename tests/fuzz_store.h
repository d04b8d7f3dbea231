/* The files of a run, for the fuzzer: a small run is made, one of its files is overwritten, and its reader called. */
#ifndef GR_TESTS_FUZZ_STORE_H
#define GR_TESTS_FUZZ_STORE_H
#include "str.h"

#define STORE_FOLDER "./fuzz-run"
void store_make(Arena *a);
void store_remove(void);
/* NULL, or what went wrong with the file of this name: last.safetensors, .. */
typedef const char *StoreRead(void);
StoreRead store_checkpoint, store_history, store_card, store_runs, store_pack;
#endif
