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

static Str state_name(Arena *a, const RecipeObjective *o, uint32_t alarm, Str split, const RecipeSchedule *x) {
    return str_format(a, "alarm.%.*s.%u.%.*s.%.*s", FSTR(o->name), alarm + 1, FSTR(split), FSTR(x->name));
}

/* Its states join the report; one that was never written begins as a number of settings. */
static void add_states(Session *s, Arena *a, const RecipeObjective *o, uint32_t alarm, Str split, Reals *report) {
    const Uniforms *u = exec_plan(s->job->exec)->uniforms;
    const RecipeSchedules *states = &o->alarms.at[alarm].states;
    for (uint32_t i = 0; i < states->at.n; i++) {
        const RecipeSchedule *x = &states->at.at[i];
        Str name = state_name(a, o, alarm, split, x);
        double now = state_has(&s->state, name) ? state_real(&s->state, name)
                                                : inputs_value(&s->uniforms, u, x->init, &s->counters, &s->state);
        vec_push(a, report, (NamedReal){{x->name.s + 7, x->name.n - 7}, now});         /* without "report." */
    }
}

static void keep_states(Session *s, Arena *a, const RecipeObjective *o, uint32_t alarm, Str split) {
    const RecipeSchedules *states = &o->alarms.at[alarm].states;
    for (uint32_t i = 0; i < states->at.n; i++) {
        const RecipeSchedule *x = &states->at.at[i];
        state_set_real(s->arena, &s->state, state_name(a, o, alarm, split, x), s->uniforms.values[x->next]);
    }
}

bool alarm_goes_off(Session *s, Arena *scratch, const RecipeObjective *o, uint32_t alarm, Str split,
                    const TrainValues *values) {
    const RecipeAlarm *a = &o->alarms.at[alarm];
    if (s->state.step < a->after_steps || s->state.epoch < a->after_epochs)
        return false;
    Reals report = report_of(scratch, o, split, values);
    if (report.n == 0)
        return false;                      /* it was not measured this time */
    add_states(s, scratch, o, alarm, split, &report);
    s->uniforms.report = report.at;
    s->uniforms.n_report = report.n;
    bool holds =
        inputs_value(&s->uniforms, exec_plan(s->job->exec)->uniforms, a->inst, &s->counters, &s->state) != 0;
    s->uniforms.n_report = 0;
    keep_states(s, scratch, o, alarm, split);
    Str name = str_format(scratch, "alarm.%.*s.%u.%.*s", FSTR(o->name), alarm + 1, FSTR(split));
    double before = state_real(&s->state, name);
    double count = !holds ? 0 : before > 0 ? before + 1 : 1;
    state_set_real(s->arena, &s->state, name, count);
    return count == (double)a->reports;
}
