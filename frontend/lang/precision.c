/* `precision bf16 | f16`: in the steps of the phase, operands of products are rounded to that type and
 * summed in f32. Products are the contractions that are written in a model, and so those of its gradient
 * (compiler/grad hands the mark on); what an objective computes beside its models (losses, metrics,
 * statistics), what optimizers compute, and all that is kept stays f32.  Evaluations and exports belong to
 * no phase and round nothing.
 *
 * f16, whose exponents are few, also scales the loss: scaling.c. */
#include "lower.h"

void precision_declare(Lower *l, RecipePhase *p, const TrainClause *c) {
    static const struct { const char *name; DType type; } known[] = {
        {"f32", DT_F32}, {"bf16", DT_BF16}, {"f16", DT_F16}};
    Nearest near = nearest_to(c->precision.text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_is(c->precision.text, known[i].name)) {
            p->precision = known[i].type;
            return;
        }
        nearest_consider(&near, str_of(known[i].name));
    }
    Diag *d = report(l, DIAG_TRAIN_DECL, c->precision.at, "there is no precision `%.*s`",
                     FSTR(c->precision.text));
    report_near(d, &near);
    diag_help(d, "there are `f32`, `bf16` and `f16`");
}

bool lower_in_model(const Lower *l) {
    const Frame *f = l->frame;
    while (f && f->kind != FRAME_MODEL) {
        f = f->caller;
    }
    return f != NULL;
}

uint8_t precision_of_product(const Lower *l) {
    return lower_in_model(l) && l->train ? l->p->recipe->phases.at[l->phase].precision : DT_F32;
}
