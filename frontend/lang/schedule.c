/* Schedules with state: a `def` with `state` in the argument of an optimizer, a weight, a limit, a rate or a constant.
 * Its states are numbers of the uniform program, inputs `schedule.PATH` that the trainer keeps.  Such an expression is
 * lowered twice: once as it is read in every step, where `<-` does nothing, and once as it advances after a
 * validation, where `<-` says what the trainer puts into the input then.  The condition of an alarm is lowered once: a
 * report is all that its states, inputs `report.state.PATH`, are asked in, so `<-` takes effect there. */
#include "lower.h"

V uniform_expr(Lower *l, const Expr *e) {
    bool outer = l->uniform_only;
    uint32_t states = l->n_schedule_states;
    l->uniform_only = true;
    V v = eval(l, e);
    if (l->n_schedule_states > states && v->kind != VAL_POISON && !l->advancing) {
        l->advancing = true;
        eval(l, e);
        l->advancing = false;
    }
    l->uniform_only = outer;
    return v;
}

/* Is a number made of settings alone? */
static bool of_settings(const Uniforms *u, uint32_t inst) {
    const UInst *i = &u->insts.at[inst];
    if (i->op == U_INPUT) {
        return str_starts(u->inputs.at[i->input].name, "setting.");
    }
    static const uint8_t operands[] = {
#define X(id, name, n) n,
        UOP_LIST(X)
#undef X
    };
    for (uint32_t k = 0; k < operands[i->op]; k++) {
        if (!of_settings(u, i->in[k])) {
            return false;
        }
    }
    return true;
}

static bool initial(Lower *l, const Stmt *s, uint32_t *inst) {
    *inst = uniforms_const(l->m->uniforms, 0);
    if (s->cell.init == NULL) {
        return true;
    }
    if (!number_expr_value(l, s->cell.init, "the state of a schedule", inst)) {
        return false;
    }
    if (!of_settings(l->m->uniforms, *inst)) {
        report(l, DIAG_TYPE, s->cell.init->at, "the state of a schedule begins as a number made of settings");
        return false;
    }
    return true;
}

/* Those of the alarm whose condition this is, or those of the program. */
static RecipeSchedules *states_of(Lower *l) { return l->alarm_states ? l->alarm_states : &l->p->recipe->schedules; }

/* 1 + its number; a new one keeps its value until something writes it. */
static uint32_t find(Lower *l, Str path, uint32_t init, Span at) {
    RecipeSchedules *all = states_of(l);
    for (uint32_t i = 0; i < all->at.n; i++) {
        if (str_eq(all->at.at[i].name, path)) {
            return i + 1;
        }
    }
    uint32_t next = uniforms_input(l->m->uniforms, path, false);
    vec_push(l->m->arena, &all->at, (RecipeSchedule){path, init, next, at});
    return all->at.n;
}

void schedule_state(Lower *l, const Stmt *s) {
    uint32_t init = 0;
    bool fine = initial(l, s, &init);
    if (s->cell.type && (s->cell.type->has_dims || !str_is(s->cell.type->base.text, "real"))) {
        report(l, DIAG_TYPE, s->cell.type->at, "the state of a schedule is one real number");
        fine = false;
    }
    for (uint32_t i = 0; i < s->cell.names.n; i++) {
        Name name = s->cell.names.at[i];
        if (str_is(name.text, "_")) {
            report(l, DIAG_NAME, name.at, "a state has a name: checkpoints are read by it");
            continue;
        }
        if (!fine) {
            scope_bind(l, name, value_poison(l));
            continue;
        }
        Str path = str_format(l->m->arena, "%s.%.*s.%.*s", l->alarm_states ? "report.state" : "schedule",
                              FSTR(l->frame->path), FSTR(name.text));
        uint32_t number = find(l, path, init, name.at), inst = uniforms_input(l->m->uniforms, path, false);
        scope_bind(l, name, value_uniform(l, name.at, inst, ELEM_REAL));
        scope_find(l->frame, name.text)->schedule = number;
        l->n_schedule_states++;
    }
}

void schedule_update(Lower *l, const Stmt *s, const Binding *b) {
    uint32_t number = b->schedule;
    Elem e;
    if (!l->advancing) {
        return;
    }
    V v = eval(l, s->update.value);
    if (v->kind == VAL_POISON) {
        return;
    }
    if (!value_scalar(v) || !value_elem(v, &e) || e == ELEM_BOOL) {
        report(l, DIAG_TYPE, s->update.value->at, "the state of a schedule is a number, this is %.*s",
               FSTR(value_describe(l, v)));
        return;
    }
    uint32_t inst = value_inst(l, v);
    states_of(l)->at.at[number - 1].next = inst;
    scope_bind(l, s->update.name, value_uniform(l, s->update.value->at, inst, ELEM_REAL));
    scope_find(l->frame, s->update.name.text)->schedule = number;
}
