/* See alarm.h.  The condition is an instruction of the uniform program; its inputs "report.NAME" are the numbers
 * among the values, for the time of the question. */
#include "alarm.h"

typedef VEC(NamedReal) Reals;

/* "val.fit.f1" is "f1" in a report of fit on val. */
static Reals report_of(Arena *a, const RecipeObjective *o, Str split, const TrainValues *values) {
    Reals out = {0};
    Str prefix = str_format(a, "%.*s.%.*s.", FSTR(split), FSTR(o->name));
    for (uint32_t i = 0; i < values->at.n; i++) {
        const TrainValue *v = &values->at.at[i];
        if (str_starts(v->whole, prefix.s) && v->shape.rank == 0)
            vec_push(a, &out, (NamedReal){{v->whole.s + prefix.n, v->whole.n - prefix.n}, (double)v->values[0]});
    }
    return out;
}

bool alarm_goes_off(Session *s, Arena *scratch, const RecipeObjective *o, uint32_t alarm, Str split,
                    const TrainValues *values) {
    const RecipeAlarm *a = &o->alarms.at[alarm];
    if (s->state.step < a->after_steps || s->state.epoch < a->after_epochs)
        return false;
    Reals report = report_of(scratch, o, split, values);
    if (report.n == 0)
        return false;                      /* it was not measured this time */
    s->uniforms.report = report.at;
    s->uniforms.n_report = report.n;
    bool holds =
        inputs_value(&s->uniforms, exec_plan(s->job->exec)->uniforms, a->inst, &s->counters, &s->state) != 0;
    s->uniforms.n_report = 0;
    Str name = str_format(scratch, "alarm.%.*s.%u.%.*s", FSTR(o->name), alarm + 1, FSTR(split));
    double before = state_real(&s->state, name);
    double count = !holds ? 0 : before > 0 ? before + 1 : 1;
    state_set_real(s->arena, &s->state, name, count);
    return count == (double)a->reports;
}
