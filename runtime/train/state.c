/* A table of a dozen named numbers: a walk finds them. */
#include "state.h"
#include <math.h>

bool state_holds(Str name) {
    static const char *const begins[] = {"series.", "best.", "alarm.", "schedule.", "monitor."};
    for (uint32_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        if (str_starts(name, begins[i]))
            return true;
    }
    return false;
}

double state_real(const TrainState *s, Str name) {
    for (uint32_t i = 0; i < s->reals.n; i++) {
        if (str_eq(s->reals.at[i].name, name))
            return s->reals.at[i].x;
    }
    return (double)NAN;
}

bool state_has(const TrainState *s, Str name) {
    for (uint32_t i = 0; i < s->reals.n; i++) {
        if (str_eq(s->reals.at[i].name, name))
            return true;
    }
    return false;
}

void state_set_real(Arena *a, TrainState *s, Str name, double x) {
    for (uint32_t i = 0; i < s->reals.n; i++) {
        if (str_eq(s->reals.at[i].name, name)) {
            s->reals.at[i].x = x;
            return;
        }
    }
    vec_push(a, &s->reals, (NamedReal){str_copy(a, name), x});
}
