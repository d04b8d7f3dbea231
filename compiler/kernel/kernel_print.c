/* Prints a kernel as text (grammar: docs/kernel-ir.md), so that kernel_parse gives back every field.  The
 * same walk makes the text that decides identity: there names are numbers, and what leaves the compiled
 * code as it is (grain, costs, places, graph nodes) is left out. */
#include "kernel_text.h"
#include "hash.h"
#include "text.h"

typedef struct {
    const Kernel *k;
    const SourceSet *sources;
    Buf *out;
    bool identity;
    Str *bufs, *axes;              /* their names, made distinct */
} Printer;

/* In the text that decides identity names are numbers. */
static Str distinct(Arena *a, const Str *names, uint32_t n, Str own, bool identity) {
    return identity ? str_format(a, "%u", n) : text_distinct(a, names, n, own);
}

/* ---- pieces ---- */
static void put_name(Printer *p, const char *before, Str name) {
    buf_put(p->out, str_of(before));
    buf_name(p->out, name);
}

static void put_axis(Printer *p, const char *before, uint32_t axis) { put_name(p, before, p->axes[axis]); }

/* %x[64 + 1000*n + k + 8*@3] : @3 is the value of instruction 3 of the stage. */
static void put_access(Printer *p, const char *before, uint32_t id) {
    const KAccess *a = &p->k->accesses.at[id];
    put_name(p, before, p->bufs[a->buf]);
    const char *join = "";
    buf_char(p->out, '[');
    for (uint32_t i = 0; i < p->k->axes.n && i < MAX_AXES; i++) {
        if (a->coef[i] == 0)
            continue;
        buf_put(p->out, str_of(join));
        if (a->coef[i] != 1)
            buf_printf(p->out, "%lld*", (long long)a->coef[i]);
        put_axis(p, "", i);
        join = " + ";
    }
    if (a->index != 0) {
        buf_printf(p->out, "%s%lld*@%u", join, (long long)a->index_coef, a->index - 1);
        join = " + ";
    }
    if (a->base != 0 || *join == 0)
        buf_printf(p->out, "%s%lld", join, (long long)a->base);
    buf_char(p->out, ']');
}

static void put_imm(Printer *p, DType type, Imm v) {
    buf_char(p->out, ' ');
    if (type == DT_F64)
        buf_real(p->out, v.f);
    else if (dtype_is_float(type))
        buf_real32(p->out, (float)v.f);
    else
        buf_printf(p->out, "%lld", (long long)v.i);
}

static void put_value(Printer *p, const char *before,
                      uint32_t id) { buf_printf(p->out, "%sv%u", before, id); }

static void put_operands(Printer *p, const KInst *in) {
    uint32_t n = inst_operands(in);
    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        put_value(p, i == 0 ? "(" : ", ", in->in[i]);
    buf_char(p->out, ')');
}

static void put_random(Printer *p, const KRandom *r) {
    buf_printf(p->out, " stream %u", r->stream);
    const struct { const char *word; uint32_t value; } keys[] = {
        {" seed v%u", r->seed}, {" clock v%u", r->clock}, {" phase v%u", r->phase},
            {" iteration v%u", r->iteration}};
    for (int i = 0; i < 4; i++) {
        if (keys[i].value != 0)
            buf_printf(p->out, keys[i].word, keys[i].value - 1);
    }
}

static const char *inst_name(const KInst *in) {
    if (in->kop == K_SCALAR)
        return sop_name((SOp)in->op);
    return in->kop == K_MATH ? math_name((MathFn)in->op) : kop_names[in->kop];
}

/* What stands behind the operands. */
static void put_details(Printer *p, const KInst *in) {
    switch ((KOp)in->kop) {
    case K_SCALAR:
        if (in->op == S_const)
            put_imm(p, (DType)in->type, in->imm);
        return;
    case K_LOAD: case K_STORE:
        put_access(p, " %", in->access);
        return;
    case K_AXIS:
        put_axis(p, " ", (uint32_t)in->imm.i);
        return;
    case K_UNIFORM: case K_REG: case K_CHECK: case K_FAULT:
        buf_printf(p->out, " %lld", (long long)in->imm.i);
        return;
    case K_WORD:
        put_random(p, &in->random);
        return;
    case K_MATH: case KOP_COUNT:
        return;
    }
}

static void put_inst(Printer *p, uint32_t number, const KInst *in) {
    buf_put(p->out, STR("    "));
    if (inst_gives_value(in))
        buf_printf(p->out, "v%u = %s.%s", number, inst_name(in), dtype_name((DType)in->type));
    else
        buf_put(p->out, str_of(inst_name(in)));
    put_operands(p, in);
    put_details(p, in);
    uint32_t guard = inst_guarded(in) ? in->in[inst_operands(in)] : 0;
    if (guard != 0) {
        put_value(p, " if ", guard - 1);
        if (in->kop == K_LOAD) {
            buf_put(p->out, STR(" else"));
            put_imm(p, (DType)in->type, in->imm);
        }
    }
    if (in->node != 0 && !p->identity)
        buf_printf(p->out, " !%u", in->node);
    buf_char(p->out, '\n');
}

/* ---- stages ---- */
static void put_dag(Printer *p, const Stage *s) {
    buf_put(p->out, STR(" {\n"));
    for (uint32_t i = 0; i < s->n; i++)
        put_inst(p, i, &p->k->insts.at[s->first + i]);
    if (s->kind == STAGE_CHAIN) {
        buf_printf(p->out, "    yield v%u v%u", s->yield[0], s->yield[1]);
        if (s->yield[2] != 0)
            put_value(p, " if ", s->yield[2] - 1);
        buf_char(p->out, '\n');
    } else if (s->kind != STAGE_MAP) {
        buf_printf(p->out, "    yield v%u\n", s->yield[0]);
    }
    buf_put(p->out, STR("  }"));
}

static void put_tile_side(Printer *p, const char *word, int32_t axis, int64_t extent, uint32_t step) {
    buf_printf(p->out, " %s ", word);
    if (axis >= 0)
        put_axis(p, "", (uint32_t)axis);
    else
        buf_put(p->out, STR("0"));
    buf_printf(p->out, " of %lld by %u", (long long)extent, step);
}

static void put_list(Printer *p, const KList *l) {
    buf_printf(p->out, " list %lld step %lld %lld", (long long)l->count, (long long)l->a_step, (long long)l->b_step);
    if (l->columns)
        buf_printf(p->out, " columns %lld %lld of %lld", (long long)l->of_u, (long long)l->base, (long long)l->places);
    if (!l->window)
        return;
    put_axis(p, " window ", (uint32_t)l->axis);
    buf_printf(p->out, " %lld", (long long)l->of_axis);
    if (l->outer >= 0) {
        put_axis(p, " by ", (uint32_t)l->outer);
        buf_printf(p->out, " %lld", (long long)l->of_outer);
    }
    buf_printf(p->out, " %lld %lld / %lld of %lld step %lld %lld", (long long)l->of_u, (long long)l->base,
               (long long)l->divide, (long long)l->places, (long long)l->a_place, (long long)l->b_place);
}

static void put_tile(Printer *p, const KTile *t) {
    if (t->together > 0)
        buf_printf(p->out, " together %u", t->together);
    if (t->cut >= 0)
        put_axis(p, " cut ", (uint32_t)t->cut);
    put_access(p, " %", t->a);
    put_access(p, " %", t->b);
    buf_printf(p->out, " k %lld step %lld %lld", (long long)t->k, (long long)t->a_k, (long long)t->b_k);
    if (t->a_r != 1)
        buf_printf(p->out, " rows %lld", (long long)t->a_r);
    for (uint32_t i = 0; i < t->n_lists; i++)
        put_list(p, &t->list[i]);
    put_tile_side(p, "m", t->m_axis, t->m, t->mr);
    put_tile_side(p, "n", t->n_axis, t->n, t->nr);
    put_name(p, " -> %", p->bufs[t->out]);
}

static void put_results(Printer *p, const Stage *s) {
    uint32_t n = kernel_results(s);
    if (n == 0)
        return;
    if (s->out[0] == 0) {
        buf_printf(p->out, " -> r%u", s->reg);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        put_access(p, i == 0 ? " -> %" : ", %", s->out[i] - 1);
}

static void put_stage(Printer *p, const Stage *s) {
    buf_printf(p->out, "  %s", stage_names[s->kind]);
    if (stage_reduces(s->kind))
        buf_printf(p->out, " %s", reduce_names[s->reduce]);
    for (uint32_t i = 0; i < s->n_axes; i++)
        put_axis(p, i == 0 && s->n_keep > 0 ? " keep " : i == s->n_keep ? " over " : ", ", s->axis[i]);
    if (s->vec >= 0)
        put_axis(p, " vec ", s->axis[s->vec]);
    if (s->transpose >= 0)
        put_axis(p, " transpose ", s->axis[s->transpose]);
    if (s->with > 0)
        buf_printf(p->out, " with %u", s->with);
    if (s->kind == STAGE_TILE)
        put_tile(p, &s->tile);
    if (s->kind == STAGE_FOLD) {
        buf_printf(p->out, " chunks %lld", (long long)s->fold_chunks);
        put_access(p, " %", s->out[1] - 1);
    }
    if (stage_has_dag(s->kind))
        put_dag(p, s);
    put_results(p, s);
    buf_char(p->out, '\n');
}

/* ---- the head ---- */
static void put_axes(Printer *p, const char *word, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        const KAxis *x = &p->k->axes.at[i];
        put_axis(p, i == from ? word : ", ", i);
        buf_printf(p->out, " %lld", (long long)x->extent);
        if (x->clip_by >= 0) {
            buf_printf(p->out, " of %lld", (long long)x->clip_total);
            put_axis(p, " by ", (uint32_t)x->clip_by);
        }
    }
}

static void put_figures(Printer *p) {
    const Kernel *k = p->k;
    buf_printf(p->out, "  grain %lld cost ", (long long)k->grain);
    buf_real(p->out, k->cost_ns);
    buf_printf(p->out, " flops %llu bytes %llu", (unsigned long long)k->flops, (unsigned long long)k->bytes);
    buf_spans(p->out, p->sources, k->spans.at, k->spans.n);
    buf_char(p->out, '\n');
}

static void put_signature(Printer *p) {
    const Kernel *k = p->k;
    put_name(p, "kernel @", p->identity ? STR("_") : k->name);
    for (uint32_t i = 0; i < k->bufs.n; i++) {
        const KBuf *b = &k->bufs.at[i];
        put_name(p, i == 0 ? "(" : ", ", str_of(kbuf_role_names[b->role]));
        put_name(p, " %", p->bufs[i]);
        buf_printf(p->out, ": %s[%lld]", dtype_name(b->dtype), (long long)b->count);
    }
    buf_put(p->out, str_of(k->bufs.n == 0 ? "()\n" : ")\n"));
    if (!p->identity)
        put_figures(p);
    buf_printf(p->out, "  regs %u%s%s%s", k->n_regs, k->lanes ? " lanes" : "", k->commit ? " commit" : "",
               k->once ? " once" : "");
    for (uint32_t i = 0; i < k->uniforms.n; i++)
        buf_printf(p->out, "%s%u", i == 0 ? " uniforms " : " ", k->uniforms.at[i]);
    put_axes(p, "\n  head ", 0, k->n_head);
    put_axes(p, "\n  axis ", k->n_head, k->axes.n);
}

static void print(const Kernel *k, const SourceSet *s, bool identity, Buf *out) {
    Arena *scratch = arena_create();
    Printer p = {.k = k, .sources = s, .out = out, .identity = identity};
    p.bufs = PUSH(scratch, Str, k->bufs.n + 1);
    p.axes = PUSH(scratch, Str, k->axes.n + 1);
    for (uint32_t i = 0; i < k->bufs.n; i++)
        p.bufs[i] = distinct(scratch, p.bufs, i, k->bufs.at[i].name, identity);
    for (uint32_t i = 0; i < k->axes.n; i++)
        p.axes[i] = distinct(scratch, p.axes, i, k->axes.at[i].name, identity);
    put_signature(&p);
    buf_put(out, STR("\n{\n"));
    for (uint32_t i = 0; i < k->stages.n; i++)
        put_stage(&p, &k->stages.at[i]);
    buf_put(out, STR("}\n"));
    arena_destroy(scratch);
}

void kernel_print(const Kernel *k, const SourceSet *s, Buf *out) { print(k, s, false, out); }

uint64_t kernel_key(const Kernel *k) {
    Arena *scratch = arena_create();
    Buf text = buf_make(scratch);
    print(k, NULL, true, &text);
    uint64_t key = hash_str(SEMANTICS_VERSION, buf_str(&text));
    arena_destroy(scratch);
    return key;
}
