/* A fork may be of another program: that is what it is for.  So unlike `load` it takes what fits and tells the rest. */
#include "fork.h"
#include "safetensors.h"
#include <string.h>

enum { NAMED_MOST = 4 };

static const StoreTensor *tensor_of(Arena *a, const StoreFile *f, const PlanVar *v, const PlanBuffer *b) {
    Str name = b->region == REGION_PARAM ? v->path : str_format(a, "%.*s/%.*s", FSTR(v->kind), FSTR(v->path));
    const StoreTensor *t = store_tensor(f, name);
    return t != NULL && t->dtype == b->dtype && shape_eq(t->shape, b->shape) ? t : NULL;
}

GrStatus fork_weights(Session *s, Arena *scratch, Str path, Str *note) {
    const Plan *plan = exec_plan(s->job->exec);
    StoreFile file;
    Buf others = buf_make(scratch);
    uint32_t taken = 0, left = 0;
    TRY(safetensors_read(scratch, path, &file, s->e));
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanVar *v = &plan->vars.at[i];
        const PlanBuffer *b = &plan->buffers.at[v->buffer];
        if (b->region != REGION_PARAM && b->region != REGION_STATE)
            continue;
        const StoreTensor *t = tensor_of(scratch, &file, v, b);
        if (t != NULL) {
            memcpy(exec_buffer(s->job->exec, v->buffer), t->at, b->bytes);
            taken++;
        } else if (left++ < NAMED_MOST) {
            buf_printf(&others, "%s`%.*s`", others.n ? ", " : "", FSTR(v->path));
        }
    }
    if (left > NAMED_MOST)
        buf_printf(&others, " and %u more", left - NAMED_MOST);
    *note = STR("");
    if (left > 0)
        *note = str_format(scratch, "%.*s has no %.*s of that shape", FSTR(path), FSTR(buf_str(&others)));
    if (taken > 0)
        return GR_OK;
    fail(s->e, GR_CHECKPOINT, "%.*s has no weight of this program: no path and shape is the same", FSTR(path));
    fail_help(s->e, "`graphc summary` lists paths and shapes; a fork takes those that both have");
    return GR_CHECKPOINT;
}
