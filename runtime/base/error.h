/* The three kinds of error (never mixed):
 *   the user's text is wrong    -> a diagnostic (diag.h), keep going to find more
 *   the world failed            -> GrStatus returned, the message kept in an Error (this file)
 *   we are wrong                -> GR_ASSERT / GR_BUG: says where, aborts */
#ifndef GR_BASE_ERROR_H
#define GR_BASE_ERROR_H
#include "str.h"

#define GR_STATUS_LIST(_)                                                                   \
    _(OK,          "ok")                                                                    \
    _(PROGRAM,     "the program has errors")            /* details are diagnostics */       \
    _(USAGE,       "wrong usage")                                                           \
    _(IO,          "a file could not be read or written")                                   \
    _(DATA,        "data is not what was declared")                                         \
    _(CHECKPOINT,  "a checkpoint does not fit")                                             \
    _(CHANGED,     "a run is of another program")                                           \
    _(NOMEM,       "out of memory")                                                         \
    _(JIT,         "code generation failed")                                                \
    _(UNSUPPORTED, "this machine cannot run it")                                            \
    _(NONFINITE,   "a value is not finite")                                                 \
    _(STOPPED,     "stopped by the program")                                                \
    _(INTERRUPTED, "interrupted")
typedef enum {
#define X(id, text) GR_##id,
    GR_STATUS_LIST(X)
#undef X
    GR_STATUS_COUNT
} GrStatus;
const char *gr_status_name(GrStatus s);                 /* "IO" */

/* A place in the texts that the user wrote: see diag.h. */
typedef struct { uint32_t at, n; } Span;
struct SourceSet;

/* What went wrong and where, and what to do: filled by `fail`, printed by whoever stands at the top.  With `sources`,
 * `at` is the line of the program that asked for it. */
typedef struct {
    GrStatus status; char what[768]; char help[256];
    Span at; const struct SourceSet *sources;
} Error;
GrStatus fail(Error *e, GrStatus s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));   /* returns s */
/* The same with what the system says about errno. */
GrStatus fail_errno(Error *e, GrStatus s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The innermost place is kept; returns s. */
GrStatus fail_place(Error *e, GrStatus s, Span at);
void     fail_help(Error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define TRY(call) do { GrStatus s_ = (call); if (s_ != GR_OK) return s_; } while (0)

/* Who cannot go on without memory says so and ends the process with status 1; what is on the disk is whole. */
_Noreturn void error_no_memory(size_t bytes);

/* Our own mistakes. */
_Noreturn void bug_(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define GR_BUG(...)       bug_(__FILE__, __LINE__, __VA_ARGS__)
#define GR_ASSERT(c)      ((c) ? (void)0 : bug_(__FILE__, __LINE__, "assertion failed: %s", #c))
#endif
