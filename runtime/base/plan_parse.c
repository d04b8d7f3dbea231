/* Reads the text of plan_print.c.  Ids that are written as names are in range when this returns a plan;
 * the rest is for plan_verify, which has to be asked before a plan that was read is used. */
#include "plan_text.h"
#include "text.h"

enum { MAX_DEPTH = 8 };
typedef struct { Plan *p; Text *t; } Parser;

static int64_t parse_size(Parser *ps) { return (int64_t)text_uint(ps->t, INT64_MAX); }
static uint32_t parse_u32(Parser *ps) { return (uint32_t)text_uint(ps->t, UINT32_MAX); }

static uint32_t parse_buffer(Parser *ps) {
    text_want(ps->t, "%");
    Str name = text_name(ps->t);
    for (uint32_t i = 0; i < ps->p->buffers.n; i++) {
        if (str_eq(ps->p->buffers.at[i].name, name))
            return i;
    }
    if (text_ok(ps->t))
        text_fail(ps->t, ps->t->last, "this plan has no buffer `%.*s`", FSTR(name));
    return 0;
}

static uint32_t parse_kernel_name(Parser *ps) {
    text_want(ps->t, "@");
    Str name = text_name(ps->t);
    for (uint32_t i = 0; i < ps->p->kernels.n; i++) {
        if (str_eq(ps->p->kernels.at[i].name, name))
            return i;
    }
    if (text_ok(ps->t))
        text_fail(ps->t, ps->t->last, "this plan has no kernel `%.*s`", FSTR(name));
    return 0;
}

static Region parse_region(Parser *ps) {
    Str word = text_word(ps->t);
    for (uint32_t r = 0; r < REGION_COUNT; r++) {
        if (str_is(word, region_names[r]))
            return (Region)r;
    }
    if (text_ok(ps->t))
        text_fail(ps->t, ps->t->last, "`%.*s` is not a region", FSTR(word));
    return REGION_PARAM;
}

static Shape parse_shape(Parser *ps) {
    Shape s = {0};
    text_want(ps->t, "[");
    if (text_take(ps->t, "]"))
        return s;
    do {
        int64_t extent = parse_size(ps);
        if (s.rank == MAX_RANK)
            text_fail(ps->t, ps->t->last, "a shape has at most %d axes", MAX_RANK);
        else
            s.dim[s.rank++] = extent;
    } while (text_take(ps->t, ","));
    text_want(ps->t, "]");
    return s;
}

/* Appends spans up to what starts the next thing; a list of them ends where no number stands. */
static uint32_t parse_spans(Parser *ps, uint32_t *first) {
    *first = ps->p->spans.n;
    if (!text_take(ps->t, "from"))
        return 0;
    do
        vec_push(ps->p->arena, &ps->p->spans, text_span(ps->t));
    while (text_ok(ps->t) && !text_at_end(ps->t) && *ps->t->at >= '0' && *ps->t->at <= '9');
    return ps->p->spans.n - *first;
}

/* ---- memory, variables, code ---- */
static void parse_memory(Parser *ps) {
    Text *t = ps->t;
    text_want(t, "plan");
    text_want(t, "semantics");
    if (parse_size(ps) != SEMANTICS_VERSION && text_ok(t))
        text_fail(t, t->last, "this plan was made for other semantics than version %d", SEMANTICS_VERSION);
    text_want(t, "arena");
    ps->p->arena_bytes = (uint64_t)parse_size(ps);
    text_want(t, "scratch");
    ps->p->scratch_bytes = (uint64_t)parse_size(ps);
    while (text_take(t, "region")) {
        Region r = parse_region(ps);
        ps->p->region_bytes[r] = (uint64_t)parse_size(ps);
    }
}

static void parse_buffer_line(Parser *ps) {
    Text *t = ps->t;
    PlanBuffer b = {0};
    text_want(t, "%");
    b.name = text_name(t);
    b.region = parse_region(ps);
    b.dtype = text_dtype(t);
    b.shape = parse_shape(ps);
    text_want(t, "at");
    b.offset = (uint64_t)parse_size(ps);
    text_want(t, "bytes");
    b.bytes = (uint64_t)parse_size(ps);
    vec_push(ps->p->arena, &ps->p->buffers, b);
}

static void parse_var(Parser *ps) {
    Text *t = ps->t;
    PlanVar v = {.path = text_name(t)};
    text_want(t, "model");
    v.model = text_name(t);
    text_want(t, "kind");
    v.kind = text_name(t);
    v.buffer = parse_buffer(ps);
    v.of = text_take(t, "of") ? 1 + (uint32_t)text_uint(t, UINT32_MAX - 1) : 0;
    v.frozen = text_take(t, "frozen");
    text_want(t, "from");
    v.span = text_span(t);
    vec_push(ps->p->arena, &ps->p->vars, v);
}

static uint64_t parse_key(Parser *ps) {
    text_want(ps->t, "key");
    return (uint64_t)text_int(ps->t);
}

static void parse_micro(Parser *ps) {
    PlanMicro m = {.symbol = text_name(ps->t)};
    m.key = parse_key(ps);
    vec_push(ps->p->arena, &ps->p->micros, m);
}

static void parse_kernel(Parser *ps) {
    text_want(ps->t, "@");
    PlanKernel k = {.name = text_name(ps->t)};
    k.key = parse_key(ps);
    text_want(ps->t, "scratch");
    k.scratch_bytes = (uint64_t)parse_size(ps);
    if (text_take(ps->t, "micros")) {
        k.first_micro = parse_u32(ps);
        text_want(ps->t, "+");
        k.n_micros = parse_u32(ps);
    }
    vec_push(ps->p->arena, &ps->p->kernels, k);
}

/* ---- steps ---- */
static void parse_args(Parser *ps, PlanStep *s) {
    Text *t = ps->t;
    s->first_arg = ps->p->args.n;
    text_want(t, "(");
    if (text_take(t, ")"))
        return;
    do {
        PlanArg a = {.writes = text_take(t, "out")};
        a.buffer = parse_buffer(ps);
        a.offset = text_take(t, "+") ? text_int(t) : 0;
        a.loop_stride = text_take(t, "step") ? text_int(t) : 0;
        vec_push(ps->p->arena, &ps->p->args, a);
    } while (text_take(t, ","));
    text_want(t, ")");
    s->n_args = ps->p->args.n - s->first_arg;
}

static void parse_figures(Parser *ps, PlanStep *s) {
    Text *t = ps->t;
    text_want(t, "wave");
    s->wave = parse_u32(ps);
    text_want(t, "cost");
    s->cost_ns = text_real(t);
    text_want(t, "flops");
    s->flops = (uint64_t)parse_size(ps);
    text_want(t, "bytes");
    s->bytes = (uint64_t)parse_size(ps);
    s->n_spans = parse_spans(ps, &s->first_span);
}

static void parse_launch(Parser *ps, PlanStep *s) {
    s->kind = STEP_LAUNCH;
    s->kernel = parse_kernel_name(ps);
    text_want(ps->t, "points");
    s->points = parse_size(ps);
    text_want(ps->t, "grain");
    s->grain = parse_size(ps);
    parse_args(ps, s);
    parse_figures(ps, s);
}

static bool parse_transposed(Parser *ps) {
    bool yes = text_take(ps->t, "t");
    if (!yes)
        text_want(ps->t, "n");
    return yes;
}

static void parse_blas(Parser *ps, PlanStep *s) {
    PlanBlas *b = &s->blas;
    s->kind = STEP_BLAS;
    b->trans_a = parse_transposed(ps);
    b->trans_b = parse_transposed(ps);
    text_want(ps->t, "m");
    b->m = parse_size(ps);
    text_want(ps->t, "n");
    b->n = parse_size(ps);
    text_want(ps->t, "k");
    b->k = parse_size(ps);
    text_want(ps->t, "ld");
    b->lda = parse_size(ps);
    b->ldb = parse_size(ps);
    b->ldc = parse_size(ps);
    parse_args(ps, s);
    parse_figures(ps, s);
}

/* A list of numbers in brackets, at most one an argument or extent. */
static uint32_t parse_numbers(Parser *ps) {
    uint32_t before = ps->p->numbers.n;
    text_want(ps->t, "[");
    if (text_take(ps->t, "]"))
        return 0;
    do
        vec_push(ps->p->arena, &ps->p->numbers, parse_size(ps));
    while (text_take(ps->t, ","));
    text_want(ps->t, "]");
    return ps->p->numbers.n - before;
}

static void parse_extern(Parser *ps, PlanStep *s) {
    Text *t = ps->t;
    s->kind = STEP_EXTERN;
    s->external = ps->p->externs.n;
    PlanExtern x = {.first_number = ps->p->numbers.n, .symbol = text_name(t)};
    text_want(t, "of");
    x.library = text_name(t);
    text_want(t, "calls");
    x.calls = parse_size(ps);
    text_want(t, "extents");
    x.n_extents = parse_numbers(ps);
    text_want(t, "counts");
    uint32_t counts = parse_numbers(ps);
    parse_args(ps, s);
    if (text_ok(t) && counts != s->n_args)
        text_fail(t, t->last, "%u counts for %u arguments", counts, s->n_args);
    parse_figures(ps, s);
    vec_push(ps->p->arena, &ps->p->externs, x);
}

static void parse_steps(Parser *ps, int depth);

/* A step and those that belong to it. */
static void parse_body(Parser *ps, PlanStep s, int depth) {
    uint32_t at = ps->p->steps.n;
    if (depth == MAX_DEPTH)
        text_fail(ps->t, ps->t->last, "loops nest at most %d deep", MAX_DEPTH);
    vec_push(ps->p->arena, &ps->p->steps, s);
    text_want(ps->t, "{");
    if (text_ok(ps->t))
        parse_steps(ps, depth + 1);
    ps->p->steps.at[at].count = ps->p->steps.n - at - 1;
}

/* Up to and with the closing brace. */
static void parse_steps(Parser *ps, int depth) {
    Text *t = ps->t;
    while (text_more(t, "}")) {
        PlanStep s = {0};
        if (text_take(t, "loop")) {
            s = (PlanStep){.kind = STEP_LOOP, .trips = parse_size(ps), .reverse = text_take(t, "reverse")};
            parse_body(ps, s, depth);
            continue;
        }
        if (text_take(t, "unsure")) {
            parse_body(ps, (PlanStep){.kind = STEP_UNSURE}, depth);
            continue;
        }
        if (text_take(t, "launch"))
            parse_launch(ps, &s);
        else if (text_take(t, "blas"))
            parse_blas(ps, &s);
        else if (text_take(t, "extern"))
            parse_extern(ps, &s);
        else if (text_take(t, "commit"))
            s.kind = STEP_COMMIT;
        else
            text_fail(t, text_next_span(t), "expected a step: launch, loop, blas, extern, unsure or commit");
        vec_push(ps->p->arena, &ps->p->steps, s);
    }
}

static uint32_t parse_bindings(Parser *ps, const char *word, uint32_t *first) {
    *first = ps->p->bindings.n;
    while (text_take(ps->t, word)) {
        PlanBinding b = {.name = text_name(ps->t)};
        b.buffer = parse_buffer(ps);
        vec_push(ps->p->arena, &ps->p->bindings, b);
    }
    return ps->p->bindings.n - *first;
}

static void parse_entry(Parser *ps) {
    Text *t = ps->t;
    PlanEntry e = {.name = text_name(t)};
    text_want(t, "variant");
    e.variant = text_name(t);
    text_want(t, "rows");
    e.rows = parse_size(ps);
    text_want(t, "{");
    e.n_columns = parse_bindings(ps, "column", &e.first_column);
    e.n_outputs = parse_bindings(ps, "output", &e.first_output);
    e.first_step = ps->p->steps.n;
    parse_steps(ps, 0);
    e.n_steps = ps->p->steps.n - e.first_step;
    vec_push(ps->p->arena, &ps->p->entries, e);
}

Plan *plan_parse(Arena *a, const Source *src, Diags *ds) {
    Text t = text_open(a, src, ds);
    Parser ps = {plan_create(a), &t};
    parse_memory(&ps);
    while (text_take(&t, "buffer"))
        parse_buffer_line(&ps);
    while (text_take(&t, "var"))
        parse_var(&ps);
    while (text_take(&t, "micro"))
        parse_micro(&ps);
    while (text_take(&t, "kernel"))
        parse_kernel(&ps);
    ps.p->uniforms = uniforms_parse(a, &t);
    while (text_take(&t, "entry"))
        parse_entry(&ps);
    if (text_ok(&t) && !text_at_end(&t))
        text_fail(&t, text_next_span(&t), "expected an entry, or the end of the plan");
    return text_ok(&t) ? ps.p : NULL;
}
