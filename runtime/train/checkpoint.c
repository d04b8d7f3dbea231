/* The whole file is checked against the plan before the first byte is copied into the arena. */
#include "checkpoint.h"
#include "checksum.h"
#include "safetensors.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Str var_name(Arena *a, const Plan *plan, const PlanVar *v) {
    if (plan->buffers.at[v->buffer].region == REGION_PARAM)
        return v->path;
    return str_format(a, "%.*s/%.*s", FSTR(v->kind), FSTR(v->path));
}

/* ---- saving ---- */
static void put_text(Arena *a, StoreFile *f, const char *key, Str value) {
    vec_push(a, &f->texts, (StoreText){str_of(key), value});
}

/* The phases that wait for this one have "outer." before each name, once for each of them. */
static void put_state(Arena *a, StoreFile *f, const TrainState *s, Str prefix) {
#define X(name) \
    put_text(a, f, str_format(a, "%.*s%s", FSTR(prefix), #name).s, str_format(a, "%lld", (long long)s->name));
    STATE_COUNTERS(X)
#undef X
    for (uint32_t i = 0; i < s->reals.n; i++)
        put_text(a, f, str_format(a, "%.*s%.*s", FSTR(prefix), FSTR(s->reals.at[i].name)).s,
                 str_format(a, "%a", s->reals.at[i].x));
    if (s->outer != NULL)
        put_state(a, f, s->outer, str_format(a, "%.*souter.", FSTR(prefix)));
}

GrStatus checkpoint_save(Arena *scratch, const Exec *x, const TrainState *s, uint64_t program, Str path,
                         Error *e) {
    ArenaMark mark = arena_mark(scratch);
    const Plan *plan = exec_plan(x);
    StoreFile f = {0};
    put_text(scratch, &f, "format", STR("graphc checkpoint"));
    put_text(scratch, &f, "semantics", str_format(scratch, "%d", SEMANTICS_VERSION));
    put_text(scratch, &f, "program", str_format(scratch, "%016llx", (unsigned long long)program));
    put_state(scratch, &f, s, STR(""));
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanVar *v = &plan->vars.at[i];
        const PlanBuffer *b = &plan->buffers.at[v->buffer];
        vec_push(scratch, &f.tensors,
                 (StoreTensor){var_name(scratch, plan, v), b->dtype, b->shape, exec_buffer(x, v->buffer)});
    }
    GrStatus status = safetensors_write(scratch, path, &f, e);
    arena_pop(mark);
    return status;
}

/* ---- loading ---- */
typedef struct {
    Arena *arena;
    const Plan *plan;
    CheckpointUse use;
    Str path;
    const StoreFile *file;
    Error *e;
} Load;

static GrStatus other_model(Load *l) {
    fail_help(l->e, "it is of another model; settings that shape a model (`-s`) have to be what they were");
    return l->e->status;
}

static bool wanted(const Load *l, const PlanVar *v) {
    Region r = l->plan->buffers.at[v->buffer].region;
    return l->use == CHECKPOINT_RESUME || r == REGION_PARAM || r == REGION_STATE;
}

static const char *type_text(Load *l, DType t, Shape s) {
    Buf b = buf_make(l->arena);
    buf_printf(&b, "%s", dtype_name(t));
    buf_shape(&b, s);
    return buf_str(&b).s;
}

static GrStatus check_var(Load *l, const PlanVar *v) {
    const PlanBuffer *b = &l->plan->buffers.at[v->buffer];
    Str name = var_name(l->arena, l->plan, v);
    const StoreTensor *t = store_tensor(l->file, name);
    if (t == NULL) {
        fail(l->e, GR_CHANGED, "%.*s has no `%.*s`", FSTR(l->path), FSTR(name));
        return other_model(l);
    }
    if (t->dtype != b->dtype || !shape_eq(t->shape, b->shape)) {
        fail(l->e, GR_CHANGED, "%.*s: `%.*s` is %s there and %s in the program", FSTR(l->path), FSTR(name),
             type_text(l, t->dtype, t->shape), type_text(l, b->dtype, b->shape));
        return other_model(l);
    }
    return GR_OK;
}

static bool plan_has(Load *l, Str name) {
    for (uint32_t i = 0; i < l->plan->vars.n; i++) {
        if (str_eq(var_name(l->arena, l->plan, &l->plan->vars.at[i]), name))
            return true;
    }
    return false;
}

/* Weights may come with more (optimisers, accumulators), but not with parameters that the program has not. */
static GrStatus check_vars(Load *l) {
    for (uint32_t i = 0; i < l->plan->vars.n; i++) {
        if (wanted(l, &l->plan->vars.at[i]))
            TRY(check_var(l, &l->plan->vars.at[i]));
    }
    for (uint32_t i = 0; i < l->file->tensors.n; i++) {
        Str name = l->file->tensors.at[i].name;
        bool other = l->use == CHECKPOINT_WEIGHTS && memchr(name.s, '/', name.n) != NULL;
        if (other || plan_has(l, name))
            continue;
        fail(l->e, GR_CHANGED, "%.*s holds `%.*s`, which the program does not have", FSTR(l->path),
             FSTR(name));
        return other_model(l);
    }
    return GR_OK;
}

static GrStatus bad_text(Load *l, const char *key) {
    return fail(l->e, GR_CHECKPOINT, "%.*s: its `%s` is missing or no number", FSTR(l->path), key);
}

static GrStatus read_counter(Load *l, const char *key, int64_t *out) {
    const Str *text = store_text(l->file, key);
    char *end;
    if (text == NULL || text->n == 0)
        return bad_text(l, key);
    errno = 0;
    *out = strtoll(text->s, &end, 10);
    return *end == 0 && errno == 0 && *out >= 0 ? GR_OK : bad_text(l, key);
}

static GrStatus read_state(Load *l, Str prefix, TrainState *s) {
    *s = (TrainState){0};
#define X(name) TRY(read_counter(l, str_format(l->arena, "%.*s%s", FSTR(prefix), #name).s, &s->name));
    STATE_COUNTERS(X)
#undef X
    for (uint32_t i = 0; i < l->file->texts.n; i++) {
        const StoreText *t = &l->file->texts.at[i];
        char *end;
        if (!str_starts(t->key, prefix.s))
            continue;
        Str key = {t->key.s + prefix.n, t->key.n - prefix.n};
        if (!state_holds(key))
            continue;
        double x = strtod(t->value.s, &end);
        if (t->value.n == 0 || *end != 0)
            return bad_text(l, t->key.s);
        state_set_real(l->arena, s, key, x);
    }
    return GR_OK;
}

/* As many states as the file has, each with those of the phases that wait for it. */
static GrStatus read_states(Load *l, TrainState *s) {
    Str prefix = STR("");
    for (uint32_t depth = 0;; depth++) {
        TRY(read_state(l, prefix, s));
        prefix = str_format(l->arena, "%.*souter.", FSTR(prefix));
        if (store_text(l->file, str_format(l->arena, "%.*sphase", FSTR(prefix)).s) == NULL)
            return GR_OK;
        if (depth == STATE_DEPTH)
            return fail(l->e, GR_CHECKPOINT, "%.*s: more than %d phases inside each other", FSTR(l->path), STATE_DEPTH);
        s = s->outer = PUSH(l->arena, TrainState, 1);
    }
}

static GrStatus check_program(Load *l, uint64_t program) {
    int64_t semantics;
    TRY(read_counter(l, "semantics", &semantics));
    if (semantics != SEMANTICS_VERSION)
        return fail(l->e, GR_CHECKPOINT,
                    "%.*s was written under version %lld of the numeric semantics, this is version %d",
                    FSTR(l->path), (long long)semantics, SEMANTICS_VERSION);
    const Str *was = store_text(l->file, "program");
    if (l->use == CHECKPOINT_RESUME &&
        (was == NULL || !str_eq(*was, str_format(l->arena, "%016llx", (unsigned long long)program)))) {
        fail(l->e, GR_CHANGED, "%.*s was trained with another program", FSTR(l->path));
        fail_help(l->e,
                  "compare it with the run's resolved.graph; a changed program starts a run of its own");
        return GR_CHANGED;
    }
    return GR_OK;
}

static GrStatus check_all(Load *l, uint64_t program, TrainState *s) {
    const Str *format = store_text(l->file, "format");
    if (format == NULL || !str_is(*format, "graphc checkpoint"))
        return fail(l->e, GR_CHECKPOINT, "%.*s is no checkpoint of graphc", FSTR(l->path));
    if (store_text(l->file, CHECKSUM_KEY) == NULL) {
        fail(l->e, GR_CHECKPOINT, "%.*s was written by an older graphc: it has no checksum", FSTR(l->path));
        fail_help(l->e, "`graphc train FILE --fork %.*s` begins a new run with its weights", FSTR(l->path));
        return GR_CHECKPOINT;
    }
    TRY(check_vars(l));
    TRY(check_program(l, program));
    return read_states(l, s);
}

GrStatus checkpoint_check(const Exec *x, uint64_t program, Str path, Error *e) {
    StoreFile file;
    TrainState state;
    Arena *a = arena_create();
    Load l = {.arena = a, .plan = exec_plan(x), .use = CHECKPOINT_RESUME, .path = path, .file = &file, .e = e};
    GrStatus status = safetensors_read(a, path, &file, e);
    if (status == GR_OK)
        status = check_all(&l, program, &state);
    arena_destroy(a);
    return status;
}

GrStatus checkpoint_load(Arena *a, Exec *x, CheckpointUse use, uint64_t program, Str path, TrainState *s,
                         Error *e) {
    StoreFile file;
    Arena *scratch = arena_create();
    Load l = {.arena = a, .plan = exec_plan(x), .use = use, .path = path, .file = &file, .e = e};
    GrStatus status = safetensors_read(scratch, path, &file, e);
    if (status == GR_OK)
        status = check_all(&l, program, s);
    for (uint32_t i = 0; i < l.plan->vars.n && status == GR_OK; i++) {
        const PlanVar *v = &l.plan->vars.at[i];
        if (wanted(&l, v))
            memcpy(exec_buffer(x, v->buffer), store_tensor(&file, var_name(scratch, l.plan, v))->at,
                   l.plan->buffers.at[v->buffer].bytes);
    }
    arena_destroy(scratch);
    return status;
}
