/* A statistic is a state that nothing updates: it is saved with the states of layers, under the same kind of name. */
#include "statistics.h"
#include "safetensors.h"
#include "used.h"
#include <string.h>

void statistics_fill(Exec *x, const DataStatistics *values) {
    const Plan *p = exec_plan(x);
    for (uint32_t i = 0; i < p->vars.n; i++) {
        const PlanVar *v = &p->vars.at[i];
        const PlanBuffer *b = &p->buffers.at[v->buffer];
        for (uint32_t k = 0; k < values->n; k++) {
            if (!str_eq(v->path, values->at[k].path))
                continue;
            GR_ASSERT(b->dtype == values->at[k].dtype && shape_eq(b->shape, values->at[k].shape));
            memcpy(exec_buffer(x, v->buffer), values->at[k].at, b->bytes);
        }
    }
}

static GrStatus take(Arena *a, Str checkpoint, const StoreFile *file, const RecipeData *d, DataStatistics *out,
                     Error *e) {
    out->at = PUSH(a, DataStatistic, d->statistics.n + 1);
    for (uint32_t i = 0; i < d->statistics.n; i++) {
        const RecipeStatistic *s = &d->statistics.at[i];
        const StoreTensor *t = store_tensor(file, str_format(a, "state/%.*s", FSTR(s->path)));
        if (t == NULL)
            continue;
        if (t->dtype != s->dtype || !shape_eq(t->shape, s->shape))
            return fail(e, GR_CHECKPOINT, "%.*s: the statistic `%.*s` is of another shape than in the program",
                        FSTR(checkpoint), FSTR(s->path));
        size_t bytes = (size_t)shape_count(s->shape) * dtype_bytes(s->dtype);
        char *copy = arena_push(a, bytes + 1, BUFFER_ALIGN);
        memcpy(copy, t->at, bytes);
        out->at[out->n++] = (DataStatistic){s->path, s->dtype, s->shape, copy};
    }
    return GR_OK;
}

GrStatus statistics_read(Arena *a, Str checkpoint, const RecipeData *d, DataStatistics *out, Error *e) {
    *out = (DataStatistics){0};
    if (d->statistics.n == 0)
        return GR_OK;
    Arena *scratch = arena_create();
    StoreFile file;
    GrStatus status = safetensors_read(scratch, checkpoint, &file, e);
    if (status == GR_OK)
        status = take(a, checkpoint, &file, d, out, e);
    arena_destroy(scratch);
    return status;
}

GrStatus statistics_of_run(Arena *a, const Recipe *r, const RecipeData *d, DataStatistics *out, Error *e) {
    UsedVar *vars = PUSH(a, UsedVar, d->statistics.n + 1);
    *out = (DataStatistics){.n = d->statistics.n, .at = PUSH(a, DataStatistic, d->statistics.n + 1)};
    for (uint32_t i = 0; i < d->statistics.n; i++) {
        const RecipeStatistic *s = &d->statistics.at[i];
        void *at = arena_push(a, (size_t)shape_count(s->shape) * dtype_bytes(s->dtype) + 1, BUFFER_ALIGN);
        vars[i] = (UsedVar){true, s->path, s->dtype, s->shape, at};
        out->at[i] = (DataStatistic){s->path, s->dtype, s->shape, at};
    }
    return used_load(a, r, vars, d->statistics.n, e);
}
