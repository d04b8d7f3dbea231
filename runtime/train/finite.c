/* Weights between steps.  Losses and gradients are looked at inside the step, before anything is written; what an
 * optimizer makes of them is not, as that would take memory and time for each weight at each step.  A weight that is
 * no number spoils the next loss, and is met there; here are those that no step follows before they are saved. */
#include "phase.h"
#include <math.h>

static double number(DType t, const void *data, int64_t i) {
    switch (t) {
    case DT_F32: return ((const float *)data)[i];
    case DT_F64: return ((const double *)data)[i];
    case DT_F16: case DT_BF16: case DT_I32: case DT_I64: case DT_U8: case DT_BOOL: case DT_COUNT: break;
    }
    return 0;
}

static GrStatus spoilt(Trainer *t, Str path, const PlanBuffer *b, int64_t element, double x) {
    Buf text = buf_make(t->values);
    int64_t at[MAX_RANK], left = element;
    for (uint32_t k = b->shape.rank; k-- > 0; left /= b->shape.dim[k])
        at[k] = left % b->shape.dim[k];
    buf_shape(&text, shape_of(b->shape.rank, at));
    fail(t->s.e, GR_NONFINITE, "after step %lld the weight `%.*s` is %s at %.*s", (long long)t->s.state.step,
         FSTR(path), isnan(x) ? "nan" : "infinite", FSTR(buf_str(&text)));
    fail_help(t->s.e, "the update made it: look at the optimizer's formulas and arguments; what the run saved "
                      "before is whole");
    return GR_NONFINITE;
}

GrStatus weights_finite(Trainer *t) {
    const Exec *x = t->s.job->exec;
    const Plan *plan = exec_plan(x);
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanBuffer *b = &plan->buffers.at[plan->vars.at[i].buffer];
        const void *data = exec_buffer(x, plan->vars.at[i].buffer);
        int64_t n = b->region == REGION_PARAM ? shape_count(b->shape) : 0;
        for (int64_t k = 0; k < n; k++) {
            double w = number(b->dtype, data, k);
            if (!isfinite(w))
                return spoilt(t, plan->vars.at[i].path, b, k, w);
        }
    }
    return GR_OK;
}
