/* `convolution direct | winograd`: in the steps of the phase, convolutions of three taps that are written in a model,
 * and those of their gradients, are summed by Winograd's way where that takes less time (compiler/grad/winograd.c).  It
 * holds where `precision` does. */
#include "lower.h"

void winograd_declare(Lower *l, RecipePhase *p, const TrainClause *c) {
    static const char *const known[] = {"direct", "winograd"};
    Nearest near = nearest_to(c->convolution.text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_is(c->convolution.text, known[i])) {
            p->winograd = i == 1;
            return;
        }
        nearest_consider(&near, str_of(known[i]));
    }
    Diag *d = report(l, DIAG_TRAIN_DECL, c->convolution.at, "there is no way to sum convolutions called `%.*s`",
                     FSTR(c->convolution.text));
    report_near(d, &near);
    diag_help(d, "there are `direct` and `winograd`");
}

bool winograd_of_product(const Lower *l) {
    return lower_in_model(l) && l->train && l->p->recipe->phases.at[l->phase].winograd;
}
