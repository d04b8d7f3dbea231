/* One meaning, many machines: a scenario is a row of graphs run one after the other on the same variables; a
 * mode is a way to run it (the graph interpreter; a plan by the kernel interpreter or as code; unfused or
 * fused; for this machine or haswell; on so many threads).  Every mode has to leave the same bits in every
 * variable and every output after every moment. */
#ifndef GR_TESTS_MODES_H
#define GR_TESTS_MODES_H
#include "code.h"
#include "fuse.h"
#include "random_graph.h"

typedef struct {
    uint32_t graph;
    const Tensor *columns;
    const UValue *uniforms;
} Moment;
typedef struct {
    const Module *meaning; /* after differentiation: what the interpreter runs */
    const Module *final;   /* the same graphs after every pass */
    const Tensor *vars;    /* what they hold at the start; NULL: zeros */
    const Moment *moments;
    uint32_t n_moments;
    const Math *math;
} Scenario;
typedef struct {
    Tensor *vars, *outputs;
    uint32_t health;
} After; /* copies, after one moment */

/* threads 0: the kernel interpreter instead of code */
typedef struct {
    const char *cpu;
    bool fused;
    uint32_t threads;
} Mode;
enum { MODE_COUNT = 12, MODES_ALL = (1 << MODE_COUNT) - 1 };
Mode mode_of(uint32_t i);        /* i < MODE_COUNT; those that share a plan are neighbours */
Str mode_name(Arena *a, Mode m); /* "fused, haswell, 2 threads" */
enum { MODES_SHORT = 1 << 2 | 1 << 4 | 1 << 7 | 1 << 11 }; /* every cpu, fused and not, once */

GrStatus modes_interpret(Arena *a, const Scenario *s, After *out /* n_moments */, Error *e);
/* The same by one mode. */
GrStatus modes_run(Arena *a, const Scenario *s, Mode m, After *out, Error *e);
/* By every mode of the set against the interpreter.  False: `what` says which mode differs where, or which
 * step failed, and *failed holds the modes it shows in.  True with a text in `what`: no plan can be made of
 * it (GR_UNSUPPORTED). */
bool modes_agree(Arena *a, const Scenario *s, uint32_t set, uint32_t *failed, Buf *what);
/* Of all parameters: paths and bits, every NaN the same. */
uint64_t modes_hash(const Module *m, const After *after);
#endif
