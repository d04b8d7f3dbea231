/* Text tests of plans: read, printed, read and printed again without change, verified.  What comes out is
 * what the reader or the verifier says, else `ok` and with the option print the text, and the values of
 * the uniform program for the inputs given as `uniforms=1,0.5,..`. */
#include "test.h"
#include "plan.h"
#include "text.h"
#include <stdlib.h>

static Str printed(Arena *a, const Plan *p, const SourceSet *s) {
    Buf b = buf_make(a);
    plan_print(p, s, &b);
    return buf_str(&b);
}

static void put_uniforms(Arena *a, const Uniforms *u, Str given, Buf *out) {
    double *inputs = PUSH(a, double, u->inputs.n + 1), *values = PUSH(a, double, u->insts.n + 1);
    UValue *outputs = PUSH(a, UValue, u->outputs.n + 1);
    const char *at = str_copy(a, given).s;
    for (uint32_t i = 0; i < u->inputs.n; i++) {
        char *end;
        inputs[i] = strtod(at, &end);
        REQUIRE(end != at);
        at = *end == ',' ? end + 1 : end;
    }
    uniforms_run(u, inputs, values, outputs);
    for (uint32_t i = 0; i < u->outputs.n; i++) {
        buf_printf(out, "%.*s = ", FSTR(u->outputs.at[i].name));
        if (u->outputs.at[i].dtype == DT_F32)
            buf_real32(out, outputs[i].f);
        else
            buf_printf(out, "%d", outputs[i].i);
        buf_char(out, '\n');
    }
}

static Str run_plan(Arena *a, const TextTest *t) {
    SourceSet *sources = sources_create(a);
    Diags *ds = diags_create(a, sources);
    Buf out = buf_make(a);
    Plan *p = plan_parse(a, sources_add(sources, STR("x.plan"), t->input), ds);
    if (p == NULL) {
        diags_render(ds, &out, false);
        return buf_str(&out);
    }
    Str text = printed(a, p, sources);
    Plan *again = plan_parse(a, sources_add(sources, STR("again"), text), ds);
    REQUIRE(again != NULL);
    test_same_str(__FILE__, __LINE__, "printed again", printed(a, again, sources), text);
    Error e;
    if (!plan_verify(p, &e)) {
        buf_printf(&out, "%s\n", e.what);
        return buf_str(&out);
    }
    buf_put(&out, text_flag(t, "print") ? text : STR("ok\n"));
    Str inputs = text_value(t, "uniforms");
    if (inputs.n > 0)
        put_uniforms(a, p->uniforms, inputs, &out);
    return buf_str(&out);
}
TEXT_KIND("plan", "plan", run_plan)

TEST(uniforms_fold_and_share) {
    Uniforms *u = uniforms_create(test_arena());
    uint32_t x = uniforms_input(u, STR("epoch"), true), two = uniforms_const(u, 2);
    double value;
    CHECK_INT(uniforms_input(u, STR("epoch"), true), x);
    CHECK_INT(uniforms_op(u, U_MUL, x, two, 0), uniforms_op(u, U_MUL, x, two, 99));
    CHECK(uniforms_constant(u, uniforms_op(u, U_POW, two, uniforms_const(u, 10), 0), &value));
    CHECK(value == 1024);
    CHECK(uniforms_const(u, 0.0) != uniforms_const(u, -0.0));
    uint32_t out = uniforms_output(u, STR("a"), DT_F32, x);
    CHECK_INT(uniforms_output(u, STR("b"), DT_F32, x), out);
    CHECK(uniforms_output(u, STR("b"), DT_I32, x) != out);
}

TEST(plan_entries_are_found) {
    Plan *p = plan_create(test_arena());
    vec_push(p->arena, &p->entries, (PlanEntry){.name = STR("m.train"), .variant = STR("fused"), .rows = 64});
    vec_push(p->arena, &p->entries, (PlanEntry){.name = STR("m.train"), .variant = STR("fused"), .rows = 16});
    CHECK(plan_entry(p, "m.train", 16, "fused") == &p->entries.at[1]);
    CHECK(plan_entry(p, "m.train", 17, "fused") == NULL);
    CHECK(plan_entry(p, "m.train", 64, "blas") == NULL);
}

TEST(steps_run_in_the_turns_of_their_loops) {
    Plan *p = plan_create(test_arena());
    const PlanStep launch = {.kind = STEP_LAUNCH}, outer = {.kind = STEP_LOOP, .trips = 16, .count = 3},
                   inner = {.kind = STEP_LOOP, .trips = 5, .count = 1};
    const PlanStep steps[] = {launch, outer, launch, inner, launch, launch};
    const int64_t runs[] = {1, 1, 16, 16, 80, 1};
    vec_push(p->arena, &p->steps, (PlanStep){.kind = STEP_LOOP, .trips = 7, .count = 9});   /* of another entry */
    for (uint32_t i = 0; i < 6; i++)
        vec_push(p->arena, &p->steps, steps[i]);
    PlanEntry e = {.first_step = 1, .n_steps = 6};
    for (uint32_t i = 0; i < 6; i++)
        CHECK_INT(plan_step_runs(p, &e, i), runs[i]);
}
