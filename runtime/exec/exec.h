/* The executor: runs the entries of a plan over one arena of memory, with one pool of threads.  Everything an
 * entry needs (pointers, chunks, waves) is worked out when the plan arrives; a run allocates nothing. */
#ifndef GRR_EXEC_EXEC_H
#define GRR_EXEC_EXEC_H
#include "plan.h"

typedef struct Exec Exec;
typedef struct { uint32_t threads; } ExecOptions;

/* The plan and its code stay where they are as long as the Exec lives, or until exec_update.  A kernel may be
 * NULL in the code: then the entries that launch it cannot be run yet. */
GrStatus exec_create(Arena *a, const Plan *plan, const PlanCode *code, ExecOptions options, Exec **out,
                     Error *e);
void     exec_destroy(Exec *x);                                  /* NULL is fine */
/* The plan has grown (an entry for other rows) or got code: ids are what they were; persistent buffers keep
 * what they hold. Pointers from exec_buffer are to be asked for again.  After an error the old state still
 * stands. */
GrStatus exec_update(Exec *x, const Plan *plan, const PlanCode *code, Error *e);

const Plan *exec_plan(const Exec *x);
void       *exec_buffer(const Exec *x, uint32_t id);
uint64_t    exec_bytes(const Exec *x);                           /* of the arena: what the plan says */
bool        exec_ready(const Exec *x, const PlanEntry *entry);   /* all its kernels are there */
/* Returns the health word; not 0: nothing was committed.  The caller's float mode is what it was. */
uint32_t    exec_run(Exec *x, const PlanEntry *entry, const UValue *uniforms);
/* Runs the entry `times` times, launch by launch; ns[i] is the least time of its i-th step (of all its trips
 * in a loop). */
void        exec_profile(Exec *x, const PlanEntry *entry, const UValue *uniforms, uint32_t times, double *ns);
#endif
