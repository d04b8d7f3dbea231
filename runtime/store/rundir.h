/* Where a training writes: a folder of its own that nothing else is ever written over. */
#ifndef GRR_STORE_RUNDIR_H
#define GRR_STORE_RUNDIR_H
#include "error.h"

#define RUN_PROGRAM "resolved.graph"
#define RUN_METRICS "metrics.jsonl"
#define RUN_LAST    "last.safetensors"
#define RUN_FORK    "fork.safetensors"     /* what a fork began with */

/* parent/NAME-001, or the first number that is free; safe against another training that does the same. */
GrStatus rundir_create(Arena *a, Str parent, Str name, Str *path, Error *e);
/* A folder the user named: made when it is not there, refused when something is in it.  With `resume`: has to
 * hold a run, be it one that ended before its first save (rundir_saved). */
GrStatus rundir_use(Arena *a, Str path, bool resume, Error *e);
/* The folder of a trained model: GR_IO when it holds no run, or one that has saved nothing yet. */
GrStatus rundir_trained(Arena *a, Str path, Error *e);
/* There is a checkpoint to go on from; a run without one begins again. */
bool     rundir_saved(Arena *a, Str path);
/* Something was measured; a run of a sweep may have that and no checkpoint. */
bool     rundir_logged(Arena *a, Str path);
/* Takes the folder for this process, until the descriptor is closed or the process ends; nothing is left behind.
 * Refused while another training has it. */
GrStatus rundir_lock(Arena *a, Str path, int *fd, Error *e);
/* Some training has it now. */
bool     rundir_busy(Arena *a, Str path);
/* A folder and those above it that are not there yet. */
GrStatus rundir_make(Arena *a, Str path, Error *e);
Str      rundir_file(Arena *a, Str run, const char *name);
#endif
