/* A run used as `vae` holds `encoder.linear1.w`; in the program that uses it this is `vae.encoder.linear1.w`.
 * Modules come in the order outside in, so the first run that holds a variable is the outermost, which may
 * have trained it further than the one it was taken from. */
#include "used.h"
#include "atomic.h"
#include "rundir.h"
#include "safetensors.h"
#include "trainer.h"
#include <string.h>
#include <stdio.h>

typedef struct { const RecipeUse *use; Str path; StoreFile file; } Used;
typedef struct { Arena *arena; const Recipe *recipe; uint32_t n; Used *runs; Error *e; } Load;

static bool belongs(const RecipeUse *u, Str path) {
    return u->run.n > 0 && path.n > u->name.n && path.s[u->name.n] == '.' &&
           str_eq((Str){path.s, u->name.n}, u->name);
}

bool used_has(const Recipe *r, Str path) {
    for (uint32_t i = 0; i < r->uses.n; i++) {
        if (belongs(&r->uses.at[i], path))
            return true;
    }
    return false;
}

/* ---- reading ---- */
static GrStatus open_runs(Load *l) {
    l->runs = PUSH(l->arena, Used, l->recipe->uses.n + 1);
    for (uint32_t i = 0; i < l->recipe->uses.n; i++) {
        const RecipeUse *u = &l->recipe->uses.at[i];
        if (u->run.n == 0)
            continue;
        Used *r = &l->runs[l->n++];
        *r = (Used){.use = u, .path = train_best(l->arena, u->run)};
        TRY(safetensors_read(l->arena, r->path, &r->file, l->e));
        const Str *format = store_text(&r->file, "format");
        if (format == NULL || !str_is(*format, "graphc checkpoint"))
            return fail(l->e, GR_CHECKPOINT, "%.*s is no checkpoint of graphc", FSTR(r->path));
    }
    return GR_OK;
}

static const char *type_text(Arena *a, DType t, Shape s) {
    Buf b = buf_make(a);
    buf_printf(&b, "%s", dtype_name(t));
    buf_shape(&b, s);
    return buf_str(&b).s;
}

static GrStatus wrong_type(Load *l, const Used *r, const StoreTensor *t, const UsedVar *v) {
    fail(l->e, GR_CHECKPOINT, "%.*s: `%.*s` is %s there and %s in its text", FSTR(r->path), FSTR(t->name),
         type_text(l->arena, t->dtype, t->shape), type_text(l->arena, v->dtype, v->shape));
    fail_help(l->e, "text and weights of a run belong together: was " RUN_PROGRAM " changed?");
    return GR_CHECKPOINT;
}

/* NULL in *out: the variable belongs to no run. */
static GrStatus find(Load *l, const UsedVar *v, const StoreTensor **out) {
    const Used *last = NULL;
    *out = NULL;
    for (uint32_t i = 0; i < l->n && *out == NULL; i++) {
        const Used *r = &l->runs[i];
        if (!belongs(r->use, v->path))
            continue;
        Str rest = {v->path.s + r->use->name.n + 1, v->path.n - r->use->name.n - 1};
        *out = store_tensor(&r->file, v->state ? str_format(l->arena, "state/%.*s", FSTR(rest)) : rest);
        last = r;
    }
    if (last == NULL)
        return GR_OK;
    if (*out == NULL) {
        fail(l->e, GR_CHECKPOINT, "%.*s has no weights for `%.*s`", FSTR(last->path), FSTR(v->path));
        fail_help(l->e, "a run keeps the weights of models that its objectives or exports call");
        return GR_CHECKPOINT;
    }
    bool same = (*out)->dtype == v->dtype && shape_eq((*out)->shape, v->shape);
    return same ? GR_OK : wrong_type(l, last, *out, v);
}

GrStatus used_load(Arena *scratch, const Recipe *r, const UsedVar *vars, uint32_t n, Error *e) {
    ArenaMark mark = arena_mark(scratch);
    Load l = {.arena = scratch, .recipe = r, .e = e};
    const StoreTensor **found = PUSH(scratch, const StoreTensor *, n + 1);
    GrStatus status = open_runs(&l);
    for (uint32_t i = 0; i < n && status == GR_OK; i++)
        status = find(&l, &vars[i], &found[i]);
    for (uint32_t i = 0; i < n && status == GR_OK; i++) {
        if (found[i] != NULL && vars[i].to != NULL)
            memcpy(vars[i].to, found[i]->at, (size_t)shape_count(vars[i].shape) * dtype_bytes(vars[i].dtype));
    }
    arena_pop(mark);
    return status;
}

/* ---- keeping ---- */
static GrStatus copy_file(Arena *a, Str from, Str to, Error *e) {
    char portion[64 << 10];
    AtomicFile f;
    FILE *in = fopen(str_copy(a, from).s, "rb");
    if (in == NULL)
        return fail_errno(e, GR_IO, "%.*s cannot be opened", FSTR(from));
    atomic_begin(a, to, &f, e);
    for (size_t n; f.status == GR_OK && (n = fread(portion, 1, sizeof portion, in)) > 0;)
        atomic_put(&f, portion, n);
    bool whole = !ferror(in);
    fclose(in);
    if (whole)
        return atomic_finish(&f);
    atomic_discard(&f);
    return fail(e, GR_IO, "%.*s cannot be read", FSTR(from));
}

static GrStatus keep_weights(Arena *a, Str from, Str folder, Error *e) {
    Str best = train_best(a, from);
    Str to = str_format(a, "%.*s/%.*s", FSTR(folder), (int)(best.n - from.n - 1), best.s + from.n + 1);
    return copy_file(a, best, to, e);
}

static GrStatus keep(Arena *a, const RecipeUse *u, Str run, Error *e) {
    Str to = str_format(a, "%.*s/%.*s", FSTR(run), FSTR(u->copy));
    if (u->run.n == 0) {
        uint32_t n = to.n;
        while (to.s[n - 1] != '/')
            n--;
        TRY(rundir_make(a, (Str){to.s, n - 1}, e));
        return atomic_write_text(a, to, u->text, e);
    }
    TRY(rundir_make(a, to, e));
    TRY(keep_weights(a, u->run, to, e));
    return atomic_write_text(a, rundir_file(a, to, RUN_PROGRAM), u->text, e);
}

GrStatus used_keep(Arena *scratch, const Recipe *r, Str run, Error *e) {
    ArenaMark mark = arena_mark(scratch);
    GrStatus status = GR_OK;
    for (uint32_t i = 0; i < r->uses.n && status == GR_OK; i++)
        status = keep(scratch, &r->uses.at[i], run, e);
    arena_pop(mark);
    return status;
}
