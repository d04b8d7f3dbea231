/* A .graph file as a scenario: its entries lowered and optimised, batches of its data, and the moments of a
 * short training. */
#ifndef GR_TESTS_PROGRAM_CASE_H
#define GR_TESTS_PROGRAM_CASE_H
#include "cli.h"
#include "dataset.h"
#include "modes.h"

typedef struct {
    Session session;
    Compiled compiled;
    Scenario scenario;
    Dataset **data;
} ProgramCase;
/* of a phase with one objective */
enum { PROGRAM_INIT, PROGRAM_TRAIN, PROGRAM_EVAL, PROGRAM_BEGIN, PROGRAM_FINISH }; /* its graphs */
typedef struct {
    const char *file, *settings[4]; /* "lr=0.1", to the first NULL */
    int64_t batch;                  /* 0: as the file says */
    uint32_t steps;
    bool evaluate; /* afterwards: begin, one batch, finish */
} ProgramWish;
/* Init, begin, `steps` training steps.  False: `why` says what is wrong. */
bool program_case(const ProgramWish *w, ProgramCase *out, Buf *why);
void program_case_close(ProgramCase *c);
#endif
