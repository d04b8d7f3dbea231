/* Names of a file are paths of variables, unless `names` translates them; a state may also be called as in our
 * checkpoints, `state/PATH`.  What the patterns of the clause name has to be there, with the same shape, and the file
 * may hold nothing more under them: a weight with a slip in its name would else be left as it began, and nobody would
 * know. */
#include "load.h"
#include "safetensors.h"
#include <string.h>

typedef struct { const PlanVar *var; const PlanBuffer *buffer; const StoreTensor *tensor; } Wanted;
typedef struct {
    Session *s;
    Arena *arena;
    const RecipeLoad *clause;
    StoreFile file;
    VEC(Wanted) wanted;
    uint32_t n_missing;
    Buf missing;                           /* the first few */
} Load;

static bool named(const RecipeLoad *c, Str path) {
    for (uint32_t i = 0; i < c->patterns.n; i++) {
        if (recipe_pattern_names(c->patterns.at[i], path))
            return true;
    }
    return false;
}

static const char *shape_text(Load *l, Shape s) {
    Buf b = buf_make(l->arena);
    buf_shape(&b, s);
    return buf_str(&b).s;
}

/* What the file calls the weight. */
static Str name_of(const RecipeLoad *c, Str path) {
    for (uint32_t i = 0; i < c->names.n; i++) {
        if (str_eq(c->names.at[i].path, path))
            return c->names.at[i].name;
    }
    return path;
}

/* What is called so here, if the file's names are translated. */
static Str path_of(const RecipeLoad *c, Str name) {
    for (uint32_t i = 0; i < c->names.n; i++) {
        if (str_eq(c->names.at[i].name, name))
            return c->names.at[i].path;
    }
    return name;
}

/* ---- does it fit? ---- */
static GrStatus wrong_shape(Load *l, const Wanted *w) {
    const Shape *there = &w->tensor->shape, *here = &w->buffer->shape;
    bool turned = there->rank == 2 && here->rank == 2 && there->dim[0] == here->dim[1] && there->dim[1] == here->dim[0];
    fail(l->s->e, GR_CHECKPOINT, "%.*s: `%.*s` is %s there and %s in the program", FSTR(l->clause->path),
         FSTR(w->tensor->name), shape_text(l, *there), shape_text(l, *here));
    fail_help(l->s->e, turned ? "it is the transpose: the weights of `x @ w` are [inputs, outputs]"
                              : "settings that shape a model (`-s`) have to be those of the file");
    return GR_CHECKPOINT;
}

static GrStatus check_tensor(Load *l, const Wanted *w) {
    if (!shape_eq(w->tensor->shape, w->buffer->shape))
        return wrong_shape(l, w);
    if (dtype_is_float(w->tensor->dtype) && w->buffer->dtype == DT_F32)
        return GR_OK;
    return fail(l->s->e, GR_CHECKPOINT, "%.*s: `%.*s` is %s there and %s in the program", FSTR(l->clause->path),
                FSTR(w->tensor->name), dtype_name(w->tensor->dtype), dtype_name(w->buffer->dtype));
}

static void note_missing(Load *l, Str path) {
    if (l->n_missing++ < 4)
        buf_printf(&l->missing, "%s`%.*s`", l->missing.n ? ", " : "", FSTR(path));
}

static GrStatus check_names(const Load *l) {
    const Plan *plan = exec_plan(l->s->job->exec);
    for (uint32_t i = 0; i < l->clause->names.n; i++) {
        uint32_t k = 0;
        while (k < plan->vars.n && !str_eq(plan->vars.at[k].path, l->clause->names.at[i].path))
            k++;
        if (k < plan->vars.n)
            continue;
        fail(l->s->e, GR_CHECKPOINT, "the names of `load` call `%.*s` a weight, which the program does not have",
             FSTR(l->clause->names.at[i].path));
        fail_help(l->s->e, "in each line the path of a weight, as `graphc summary` has it, and its name in the file");
        return GR_CHECKPOINT;
    }
    return GR_OK;
}

static GrStatus find_wanted(Load *l) {
    const Plan *plan = exec_plan(l->s->job->exec);
    for (uint32_t i = 0; i < plan->vars.n; i++) {
        const PlanVar *v = &plan->vars.at[i];
        const PlanBuffer *b = &plan->buffers.at[v->buffer];
        bool state = b->region == REGION_STATE;
        if ((b->region != REGION_PARAM && !state) || !named(l->clause, v->path))
            continue;
        Wanted w = {v, b, store_tensor(&l->file, name_of(l->clause, v->path))};
        if (w.tensor == NULL && state)
            w.tensor = store_tensor(&l->file, str_format(l->arena, "state/%.*s", FSTR(v->path)));
        if (w.tensor == NULL) {
            note_missing(l, v->path);
            continue;
        }
        TRY(check_tensor(l, &w));
        vec_push(l->arena, &l->wanted, w);
    }
    return GR_OK;
}

static GrStatus check_missing(Load *l) {
    if (l->n_missing == 0 || (l->clause->partly && l->wanted.n > 0))
        return GR_OK;
    bool none = l->wanted.n == 0;
    if (l->n_missing > 4)
        buf_printf(&l->missing, " and %u more", l->n_missing - 4);
    fail(l->s->e, GR_CHECKPOINT, "%.*s has no %.*s", FSTR(l->clause->path), FSTR(buf_str(&l->missing)));
    fail_help(l->s->e, none ? "nothing that it holds is asked for; `graphc summary` lists the paths of all weights"
                            : "`load .. from .. partly` leaves what is missing as it begins");
    return GR_CHECKPOINT;
}

static bool is_wanted(const Load *l, const StoreTensor *t) {
    for (uint32_t i = 0; i < l->wanted.n; i++) {
        if (l->wanted.at[i].tensor == t)
            return true;
    }
    return false;
}

static GrStatus check_extra(Load *l) {
    for (uint32_t i = 0; i < l->file.tensors.n; i++) {
        const StoreTensor *t = &l->file.tensors.at[i];
        if (is_wanted(l, t) || !named(l->clause, path_of(l->clause, t->name)))
            continue;
        fail(l->s->e, GR_CHECKPOINT, "%.*s holds `%.*s`, which the program does not have", FSTR(l->clause->path),
             FSTR(t->name));
        fail_help(l->s->e, "a name is the path of a weight; `graphc summary` lists them");
        return GR_CHECKPOINT;
    }
    return GR_OK;
}

/* ---- taking it ---- */
static float element(const StoreTensor *t, int64_t i) {
    switch (t->dtype) {
    case DT_F32:  return flush_f32(((const float *)t->at)[i]);
    case DT_F64:  return f32_of_f64(((const double *)t->at)[i]);
    case DT_BF16: return f32_of_bf16(((const uint16_t *)t->at)[i]);
    case DT_F16:  return f32_of_f16(((const uint16_t *)t->at)[i]);
    case DT_I32:
    case DT_I64:
    case DT_U8:
    case DT_BOOL:
    case DT_COUNT: break;
    }
    GR_BUG("weights of type %s", dtype_name(t->dtype));
}

static void take(Load *l) {
    for (uint32_t i = 0; i < l->wanted.n; i++) {
        const Wanted *w = &l->wanted.at[i];
        float *to = exec_buffer(l->s->job->exec, w->var->buffer);
        for (int64_t k = 0; k < shape_count(w->buffer->shape); k++)
            to[k] = element(w->tensor, k);
    }
}

static GrStatus read_file(Load *l) {
    GrStatus status = safetensors_read(l->arena, l->clause->path, &l->file, l->s->e);
    if (status == GR_IO)
        fail_help(l->s->e, "`load` reads its weights there when the phase begins; a packed run does not hold them");
    return status;
}

GrStatus load_weights(Session *s, Arena *scratch, const RecipePhase *p, Str *note) {
    Load *all = PUSH(scratch, Load, p->loads.n + 1);
    Buf b = buf_make(scratch);
    for (uint32_t i = 0; i < p->loads.n; i++) {
        Load *l = &all[i];
        *l = (Load){.s = s, .arena = scratch, .clause = &p->loads.at[i], .missing = buf_make(scratch)};
        TRY(read_file(l));
        TRY(check_names(l));
        TRY(find_wanted(l));
        TRY(check_missing(l));
        TRY(check_extra(l));
        if (l->n_missing > 0)
            buf_printf(&b, "%s%.*s has no %.*s%s", b.n ? "; " : "", FSTR(l->clause->path), FSTR(buf_str(&l->missing)),
                       l->n_missing > 4 ? str_format(scratch, " and %u more", l->n_missing - 4).s : "");
    }
    for (uint32_t i = 0; i < p->loads.n; i++)
        take(&all[i]);
    *note = buf_str(&b);
    return GR_OK;
}
