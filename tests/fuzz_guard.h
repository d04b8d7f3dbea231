/* A piece of work in a process of its own: it may crash, hang or report, and we go on.  What it was doing
 * stands in memory that both share. */
#ifndef GR_TESTS_FUZZ_GUARD_H
#define GR_TESTS_FUZZ_GUARD_H
#include "str.h"

enum { GUARD_TEXT = 1 << 20, GUARD_WHAT = 4096 };
typedef struct {
    uint64_t at;       /* the seed it is at */
    uint32_t modes;    /* a graph that fails: in which modes */
    uint64_t left_out; /* graphs that no plan can be made of */
    bool finding;      /* it looked and did not like what it saw */
    uint32_t text_n;
    char text[GUARD_TEXT]; /* the input it is at */
    char what[GUARD_WHAT]; /* of a finding; else the last words on standard error */
} Guard;
typedef enum { GUARD_WELL, GUARD_FINDING, GUARD_CRASH, GUARD_HANG } GuardEnd;

Guard *guard_create(void);
GuardEnd guard_run(Guard *g, void (*work)(void *user, Guard *g), void *user, unsigned seconds);
const char *guard_end_name(GuardEnd e);
#endif
