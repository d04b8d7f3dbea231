/* Between runner.c, which runs tests, and text.c, which knows what a text test is. */
#ifndef GR_TESTS_RUNNER_H
#define GR_TESTS_RUNNER_H
#include "test.h"

typedef struct { const char *folder, *extension; TextFn *run; } TextKind;
typedef void FoundText(void *user, const TextKind *kind, Str path);     /* path from the root */

void text_find(Arena *a, const TextKind *kind, FoundText *found, void *user);
void text_run(const TextKind *kind, Str path, bool bless);              /* inside the test's process */
#endif
