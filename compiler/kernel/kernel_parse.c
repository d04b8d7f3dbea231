/* Reads the text of kernel_print.c.  It takes only what can be held in a Kernel (names resolve, numbers
 * fit their fields), so that the verifier may look at any parsed kernel; whether the kernel makes sense
 * is the verifier's business. */
#include "kernel_text.h"
#include "text.h"
#include <string.h>

typedef struct { Kernel *k; Text *t; Stage *stage; } Parser;

/* ---- names and numbers ---- */
static uint32_t find_word(Parser *p, const char *const *words, uint32_t n, const char *what) {
    Str word = text_word(p->t);
    for (uint32_t i = 0; i < n; i++) {
        if (str_is(word, words[i]))
            return i;
    }
    if (text_ok(p->t))
        text_fail(p->t, p->t->last, "`%.*s` is not %s", FSTR(word), what);
    return 0;
}

static uint32_t parse_buf(Parser *p) {
    text_want(p->t, "%");
    Str name = text_name(p->t);
    for (uint32_t i = 0; i < p->k->bufs.n; i++) {
        if (str_eq(p->k->bufs.at[i].name, name))
            return i;
    }
    if (text_ok(p->t))
        text_fail(p->t, p->t->last, "this kernel has no buffer `%.*s`", FSTR(name));
    return 0;
}

static uint32_t parse_axis(Parser *p) {
    Str name = text_name(p->t);
    for (uint32_t i = 0; i < p->k->axes.n; i++) {
        if (str_eq(p->k->axes.at[i].name, name))
            return i;
    }
    if (text_ok(p->t))
        text_fail(p->t, p->t->last, "this kernel has no axis `%.*s`", FSTR(name));
    return 0;
}

/* v12 or r3: the number behind the letter. */
static uint32_t parse_numbered(Parser *p, char letter) {
    Str word = text_word(p->t);
    uint64_t number = 0;
    bool good = word.n >= 2 && word.s[0] == letter;
    for (uint32_t i = 1; i < word.n; i++) {
        good = good && word.s[i] >= '0' && word.s[i] <= '9' && number < UINT32_MAX / 16;
        number = number * 10 + (uint64_t)(word.s[i] - '0');
    }
    if (text_ok(p->t) && !good)
        text_fail(p->t, p->t->last, "expected %c and a number, found `%.*s`", letter, FSTR(word));
    return good ? (uint32_t)number : 0;
}

static uint32_t parse_value(Parser *p) { return parse_numbered(p, 'v'); }

static int64_t parse_size(Parser *p) { return (int64_t)text_uint(p->t, INT64_MAX); }

static Imm parse_imm(Parser *p, DType type) {
    Imm v = {0};
    if (dtype_is_float(type))
        v.f = text_real(p->t);
    else
        v.i = text_int(p->t);
    return v;
}

/* ---- addresses ---- */
static void parse_term(Parser *p, KAccess *a) {
    Text *t = p->t;
    if (text_is(t, "@")) {
        text_fail(t, text_next_span(t), "a value in an address needs a factor, as in 1*@3");
        return;
    }
    char next = t->at < t->end ? *t->at : 0;
    if (next != '-' && !(next >= '0' && next <= '9')) {
        a->coef[parse_axis(p)] += 1;
        return;
    }
    int64_t number = text_int(t);
    if (!text_take(t, "*")) {
        a->base += number;
    } else if (text_take(t, "@")) {
        a->index = 1 + (uint32_t)text_uint(t, UINT32_MAX - 1);
        a->index_coef = number;
    } else {
        a->coef[parse_axis(p)] += number;
    }
}

static uint32_t parse_access(Parser *p) {
    KAccess a = {.buf = parse_buf(p)};
    text_want(p->t, "[");
    do
        parse_term(p, &a);
    while (text_take(p->t, "+"));
    text_want(p->t, "]");
    vec_push(p->k->arena, &p->k->accesses, a);
    return p->k->accesses.n - 1;
}

/* ---- instructions ---- */
static bool parse_op(KInst *in, Str word) {
    SOp op;
    if (sop_parse(word, &op)) {
        in->kop = K_SCALAR;
        in->op = (uint8_t)op;
        return true;
    }
    for (uint32_t f = 0; f < MATH_COUNT; f++) {
        if (str_is(word, math_name((MathFn)f))) {
            in->kop = K_MATH;
            in->op = (uint8_t)f;
            return true;
        }
    }
    for (uint32_t kop = 0; kop < KOP_COUNT; kop++) {
        if (kop != K_SCALAR && kop != K_MATH && str_is(word, kop_names[kop])) {
            in->kop = (uint8_t)kop;
            return true;
        }
    }
    return false;
}

static void parse_operands(Parser *p, KInst *in) {
    uint32_t n = inst_operands(in);
    for (uint32_t i = 0; i < n; i++) {
        text_want(p->t, i == 0 ? "(" : ",");
        in->in[i] = parse_value(p);
    }
    if (n > 0)
        text_want(p->t, ")");
}

static void parse_random(Parser *p, KRandom *r) {
    text_want(p->t, "stream");
    r->stream = (uint32_t)text_uint(p->t, UINT32_MAX);
    const struct { const char *word; uint32_t *key; } keys[] = {
        {"seed", &r->seed}, {"clock", &r->clock}, {"phase", &r->phase}, {"iteration", &r->iteration}};
    for (int i = 0; i < 4; i++) {
        if (text_take(p->t, keys[i].word))
            *keys[i].key = 1 + parse_value(p);
    }
}

static void parse_details(Parser *p, KInst *in) {
    switch ((KOp)in->kop) {
    case K_SCALAR:
        if (in->op == S_const)
            in->imm = parse_imm(p, (DType)in->type);
        return;
    case K_LOAD: case K_STORE:
        in->access = parse_access(p);
        return;
    case K_AXIS:
        in->imm.i = parse_axis(p);
        return;
    case K_UNIFORM: case K_REG: case K_CHECK: case K_FAULT:
        in->imm.i = parse_size(p);
        return;
    case K_WORD:
        parse_random(p, &in->random);
        return;
    case K_MATH: case KOP_COUNT:
        return;
    }
}

/* `v3 =` in front of what gives a value; the number is the position. */
static void parse_inst(Parser *p) {
    Text *t = p->t;
    KInst in = {0};
    bool value = !text_is(t, "store") && !text_is(t, "check") && !text_is(t, "fault");
    if (value) {
        if (parse_value(p) != p->stage->n)
            text_fail(t, t->last, "this should be v%u: values are numbered by their place", p->stage->n);
        text_want(t, "=");
    }
    Str word = text_word(t);
    if (text_ok(t) && !parse_op(&in, word))
        text_fail(t, t->last, "`%.*s` is not an instruction of the kernel IR", FSTR(word));
    if (value) {
        text_want(t, ".");
        in.type = (uint8_t)text_dtype(t);
    }
    parse_operands(p, &in);
    parse_details(p, &in);
    if (inst_guarded(&in) && text_take(t, "if")) {
        in.in[inst_operands(&in)] = 1 + parse_value(p);
        if (in.kop == K_LOAD) {
            text_want(t, "else");
            in.imm = parse_imm(p, (DType)in.type);
        }
    }
    if (text_take(t, "!"))
        in.node = (uint32_t)text_uint(t, UINT32_MAX);
    if (text_ok(t) && value != inst_gives_value(&in))
        text_fail(t, t->last, "this instruction gives no value");
    vec_push(p->k->arena, &p->k->insts, in);
    p->stage->n++;
}

/* ---- stages ---- */
static void parse_dag(Parser *p) {
    Text *t = p->t;
    Stage *s = p->stage;
    text_want(t, "{");
    s->first = p->k->insts.n;
    while (text_ok(t) && !text_is(t, "yield") && !text_is(t, "}"))
        parse_inst(p);
    if (s->kind != STAGE_MAP) {
        text_want(t, "yield");
        s->yield[0] = parse_value(p);
    }
    if (s->kind == STAGE_CHAIN) {
        s->yield[1] = parse_value(p);
        s->yield[2] = text_take(t, "if") ? 1 + parse_value(p) : 0;
    }
    text_want(t, "}");
}

static int32_t parse_tile_side(Parser *p, const char *word, int64_t *extent, uint8_t *step) {
    text_want(p->t, word);
    int32_t axis = text_take(p->t, "0") ? -1 : (int32_t)parse_axis(p);
    text_want(p->t, "of");
    *extent = parse_size(p);
    text_want(p->t, "by");
    *step = (uint8_t)text_uint(p->t, UINT8_MAX);
    return axis;
}

static KList parse_list(Parser *p) {
    Text *t = p->t;
    KList l = {.count = parse_size(p), .outer = -1};
    text_want(t, "step");
    l.a_step = text_int(t);
    l.b_step = text_int(t);
    l.columns = text_take(t, "columns");
    if (l.columns) {
        l.of_u = text_int(t);
        l.base = text_int(t);
        text_want(t, "of");
        l.places = parse_size(p);
    }
    l.window = !l.columns && text_take(t, "window");
    if (!l.window)
        return l;
    l.axis = (int32_t)parse_axis(p);
    l.of_axis = text_int(t);
    if (text_take(t, "by")) {
        l.outer = (int32_t)parse_axis(p);
        l.of_outer = text_int(t);
    }
    l.of_u = text_int(t);
    l.base = text_int(t);
    text_want(t, "/");
    l.divide = parse_size(p);
    text_want(t, "of");
    l.places = parse_size(p);
    text_want(t, "step");
    l.a_place = text_int(t);
    l.b_place = text_int(t);
    return l;
}

static void parse_tile(Parser *p, KTile *tile) {
    Text *t = p->t;
    tile->together = text_take(t, "together") ? (uint8_t)text_uint(t, UINT8_MAX) : 0;
    tile->cut = text_take(t, "cut") ? (int32_t)parse_axis(p) : -1;
    tile->a = parse_access(p);
    tile->b = parse_access(p);
    text_want(t, "k");
    tile->k = parse_size(p);
    text_want(t, "step");
    tile->a_k = text_int(t);
    tile->b_k = text_int(t);
    tile->a_r = text_take(t, "rows") ? parse_size(p) : 1;
    while (text_take(t, "list")) {
        KList l = parse_list(p);
        if (tile->n_lists == MAX_LISTS)
            text_fail(t, t->last, "a tile has at most %d lists", MAX_LISTS);
        else
            tile->list[tile->n_lists++] = l;
    }
    tile->m_axis = parse_tile_side(p, "m", &tile->m, &tile->mr);
    tile->n_axis = parse_tile_side(p, "n", &tile->n, &tile->nr);
    text_want(t, "->");
    tile->out = parse_buf(p);
}

static void parse_results(Parser *p) {
    Stage *s = p->stage;
    uint32_t n = kernel_results(s);
    if (n == 0)
        return;
    text_want(p->t, "->");
    if (!text_is(p->t, "%")) {
        s->reg = parse_numbered(p, 'r');
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            text_want(p->t, ",");
        s->out[i] = 1 + parse_access(p);
    }
}

static void parse_axis_list(Parser *p) {
    Stage *s = p->stage;
    do {
        uint32_t axis = parse_axis(p);
        if (s->n_axes == sizeof s->axis)
            text_fail(p->t, p->t->last, "a stage has at most %zu axes", sizeof s->axis);
        else
            s->axis[s->n_axes++] = (uint8_t)axis;
    } while (text_take(p->t, ","));
}

/* The position in the stage's list of the axis that stands here. */
static int8_t parse_position(Parser *p) {
    uint32_t axis = parse_axis(p);
    for (uint32_t i = 0; i < p->stage->n_axes; i++) {
        if (p->stage->axis[i] == axis)
            return (int8_t)i;
    }
    if (text_ok(p->t))
        text_fail(p->t, p->t->last, "this axis is none of the stage");
    return -1;
}

static void parse_stage(Parser *p) {
    Text *t = p->t;
    Stage s = {.vec = -1, .transpose = -1};
    p->stage = &s;
    s.kind = (StageKind)find_word(p, stage_names, STAGE_FOLD + 1, "a kind of stage");
    if (stage_reduces(s.kind))
        s.reduce = (ReduceKind)find_word(p, reduce_names, REDUCE_COUNT, "a kind of reduction");
    if (text_take(t, "keep"))
        parse_axis_list(p);
    s.n_keep = s.n_axes;
    if (text_take(t, "over"))
        parse_axis_list(p);
    if (text_take(t, "vec"))
        s.vec = parse_position(p);
    if (text_take(t, "transpose"))
        s.transpose = parse_position(p);
    if (text_take(t, "with"))
        s.with = (uint8_t)text_uint(t, MAX_SWEEP - 1);
    if (s.kind == STAGE_TILE)
        parse_tile(p, &s.tile);
    if (s.kind == STAGE_FOLD) {
        text_want(t, "chunks");
        s.fold_chunks = parse_size(p);
        s.out[1] = 1 + parse_access(p);
    }
    if (stage_has_dag(s.kind))
        parse_dag(p);
    parse_results(p);
    vec_push(p->k->arena, &p->k->stages, s);
}

/* ---- the head ---- */
static void parse_buffers(Parser *p) {
    text_want(p->t, "(");
    if (text_take(p->t, ")"))
        return;
    do {
        KBuf b = {.role = (KBufRole)find_word(p, kbuf_role_names, KBUF_HEALTH + 1, "a role of a buffer")};
        text_want(p->t, "%");
        b.name = text_name(p->t);
        for (uint32_t i = 0; i < p->k->bufs.n; i++) {
            if (str_eq(p->k->bufs.at[i].name, b.name))
                text_fail(p->t, p->t->last, "two buffers have this name");
        }
        text_want(p->t, ":");
        b.dtype = text_dtype(p->t);
        text_want(p->t, "[");
        b.count = parse_size(p);
        text_want(p->t, "]");
        vec_push(p->k->arena, &p->k->bufs, b);
    } while (text_take(p->t, ","));
    text_want(p->t, ")");
}

static void parse_axes(Parser *p) {
    Text *t = p->t;
    Kernel *k = p->k;
    do {
        KAxis x = {.name = text_name(t), .clip_by = -1};
        if (k->axes.n == MAX_AXES)
            text_fail(t, t->last, "a kernel has at most %d axes", MAX_AXES);
        for (uint32_t i = 0; i < k->axes.n; i++) {
            if (str_eq(k->axes.at[i].name, x.name))
                text_fail(t, t->last, "two axes have this name");
        }
        x.extent = parse_size(p);
        if (text_take(t, "of")) {
            x.clip_total = parse_size(p);
            text_want(t, "by");
            x.clip_by = (int32_t)parse_axis(p);
        }
        if (text_ok(t))
            vec_push(k->arena, &k->axes, x);
    } while (text_take(t, ","));
}

static void parse_figures(Parser *p) {
    Text *t = p->t;
    Kernel *k = p->k;
    if (text_take(t, "grain"))
        k->grain = parse_size(p);
    if (text_take(t, "cost"))
        k->cost_ns = text_real(t);
    if (text_take(t, "flops"))
        k->flops = (uint64_t)text_int(t);
    if (text_take(t, "bytes"))
        k->bytes = (uint64_t)text_int(t);
    if (!text_take(t, "from"))
        return;
    do
        vec_push(k->arena, &k->spans, text_span(t));
    while (text_ok(t) && !text_is(t, "regs"));
}

static void parse_head(Parser *p) {
    Text *t = p->t;
    Kernel *k = p->k;
    text_want(t, "kernel");
    text_want(t, "@");
    k->name = text_name(t);
    parse_buffers(p);
    parse_figures(p);
    text_want(t, "regs");
    k->n_regs = (uint32_t)text_uint(t, 1u << 16);
    k->lanes = text_take(t, "lanes");
    k->commit = text_take(t, "commit");
    k->once = text_take(t, "once");
    if (text_take(t, "uniforms")) {
        do
            vec_push(k->arena, &k->uniforms, (uint32_t)text_uint(t, UINT32_MAX));
        while (text_ok(t) && !text_is(t, "head") && !text_is(t, "axis") && !text_is(t, "{"));
    }
    if (text_take(t, "head"))
        parse_axes(p);
    k->n_head = k->axes.n;
    if (text_take(t, "axis"))
        parse_axes(p);
}

Kernel *kernel_parse(Arena *a, const Source *src, Diags *ds) {
    Text t = text_open(a, src, ds);
    Parser p = {.k = kernel_create(a, STR("")), .t = &t};
    parse_head(&p);
    text_want(&t, "{");
    while (text_more(&t, "}"))
        parse_stage(&p);
    if (text_ok(&t) && !text_at_end(&t))
        text_fail(&t, text_next_span(&t), "the kernel ends before this");
    return text_ok(&t) ? p.k : NULL;
}
