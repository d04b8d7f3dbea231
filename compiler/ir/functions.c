/* Reads the bodies of math.def into straight lines.  A body is C text of ours, so a mistake in it is a bug, not an
 * error of the user.  Names are kept in a small table where a later binding hides an earlier one; a number becomes a
 * constant of the type that the operation's named operands have, and equal constants are one instruction.  Also here:
 * the same functions of libm in f64, which the f64 mode uses and the sweep compares with. */
#include "functions.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *name, *body; uint32_t args; } MathRow;
static const MathRow math_rows[MATH_COUNT] = {
#define MATH(name, args, ulp, what, body) [M_##name] = {#name, body, args},
#include "math.def"
#undef MATH
};

struct Math { SLine line[MATH_COUNT]; };

enum { MAX_INSTS = 160, MAX_OPERANDS = 3 };

typedef struct { Str name; uint32_t value; } Binding;

typedef struct {
    const MathRow *row;
    const char    *at;                        /* rest of the body */
    SInst          inst[MAX_INSTS];
    Binding        bound[MAX_INSTS];
    uint32_t       n, n_bound;
} Reader;

/* ---- words ---- */
static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+';
}

static Str next_word(Reader *r) {
    while (*r->at == ' ') {
        r->at++;
    }
    const char *from = r->at;
    while (is_word(*r->at)) {
        r->at++;
    }
    return (Str){from, (uint32_t)(r->at - from)};
}

static void skip(Reader *r, char c) {
    while (*r->at == ' ') {
        r->at++;
    }
    if (*r->at != c) {
        GR_BUG("%s: `%c` expected at `%.20s`", r->row->name, c, r->at);
    }
    r->at++;
}

/* ---- values ---- */
static uint32_t emit(Reader *r, SInst in) {
    GR_ASSERT(r->n < MAX_INSTS);
    r->inst[r->n] = in;
    return r->n++;
}

static void bind(Reader *r, Str name, uint32_t value) {
    GR_ASSERT(r->n_bound < MAX_INSTS);
    r->bound[r->n_bound++] = (Binding){name, value};
}

static bool find(const Reader *r, Str name, uint32_t *out) {
    for (uint32_t i = r->n_bound; i-- > 0;) {
        if (str_eq(r->bound[i].name, name)) {
            *out = r->bound[i].value;
            return true;
        }
    }
    return false;
}

static uint32_t constant(Reader *r, Str number, DType type) {
    Imm v = {0};
    char *end;
    if (type == DT_F32 || type == DT_F64) {
        v.f = strtod(number.s, &end);
    } else {
        v.i = strtoll(number.s, &end, 0);
        v.i = type == DT_I32 ? (int32_t)v.i : v.i;
    }
    if (number.n == 0 || end != number.s + number.n) {
        GR_BUG("%s: `%.*s` is neither a name nor a number", r->row->name, FSTR(number));
    }
    for (uint32_t k = 0; k < r->n; k++) {
        if (r->inst[k].op == S_const && r->inst[k].type == type && r->inst[k].imm.i == v.i) {
            return k;
        }
    }
    return emit(r, (SInst){.op = S_const, .type = (uint8_t)type, .imm = v});
}

/* Reads the operands and gives their common type; the condition of a select stands apart. */
static DType read_operands(Reader *r, SOp op, uint32_t *in) {
    Str word[MAX_OPERANDS];
    bool named[MAX_OPERANDS];
    DType type = DT_F32;
    uint32_t n = sop_operands(op);
    for (uint32_t k = 0; k < n; k++) {
        word[k] = next_word(r);
        named[k] = find(r, word[k], &in[k]);
        if (named[k] && !(op == S_select && k == 0)) {
            type = r->inst[in[k]].type;
        }
    }
    for (uint32_t k = 0; k < n; k++) {
        if (!named[k]) {
            in[k] = constant(r, word[k], type);
        }
        DType wanted = op == S_select && k == 0 ? DT_BOOL : type;
        if (r->inst[in[k]].type != wanted) {
            GR_BUG("%s: operand `%.*s` of %s is not %s", r->row->name, FSTR(word[k]), sop_name(op),
                   dtype_name(wanted));
        }
    }
    return type;
}

/* `cast.f64` */
static SOp read_op(Reader *r, DType *target) {
    Str word = next_word(r), type = {0};
    for (uint32_t i = 0; i < word.n; i++) {
        if (word.s[i] == '.') {
            type = (Str){word.s + i + 1, word.n - i - 1};
            word.n = i;
        }
    }
    SOp op;
    bool typed = type.n > 0;
    if (!sop_parse(word, &op) || (typed && !dtype_parse(type, target)) ||
        typed != (op == S_cast || op == S_bitcast)) {
        GR_BUG("%s: no operation `%.*s`", r->row->name, FSTR(word));
    }
    return op;
}

static void read_statement(Reader *r, Str result) {
    DType type = DT_F32;
    skip(r, '=');
    SOp op = read_op(r, &type);
    SInst in = {.op = (uint8_t)op};
    DType operand = read_operands(r, op, in.in);
    bool truth = op == S_lt || op == S_le || op == S_eq || op == S_isnan;
    in.type = (uint8_t)(truth ? DT_BOOL : op == S_cast || op == S_bitcast ? type : operand);
    bind(r, result, emit(r, in));
}

/* Arguments are x and y, or the random word w; only those that the body mentions cost an instruction anywhere. */
static void bind_arguments(Reader *r) {
    bool word = strstr(r->row->body, " w ") != NULL;
    for (uint32_t k = 0; k < r->row->args; k++) {
        SInst in = {.op = S_arg, .type = word ? DT_I32 : DT_F32, .imm.i = k};
        bind(r, word ? STR("w") : k == 0 ? STR("x") : STR("y"), emit(r, in));
    }
}

static SLine read_line(Arena *a, const MathRow *row) {
    Reader r = {.row = row, .at = row->body};
    bind_arguments(&r);
    for (;;) {
        Str first = next_word(&r);
        if (str_is(first, "return")) {
            break;
        }
        read_statement(&r, first);
        skip(&r, ';');
    }
    uint32_t result;
    if (!find(&r, next_word(&r), &result)) {
        GR_BUG("%s: nothing to return", row->name);
    }
    SLine line = {.at = PUSH(a, SInst, r.n), .n = r.n, .result = result, .n_args = row->args};
    memcpy(line.at, r.inst, sizeof(SInst) * r.n);
    return line;
}

GrStatus math_create(Arena *a, const Math **out, Error *e) {
    (void)e;
    Math *m = PUSH(a, Math, 1);
    for (uint32_t f = 0; f < MATH_COUNT; f++) {
        m->line[f] = read_line(a, &math_rows[f]);
    }
    *out = m;
    return GR_OK;
}

const SLine *math_line(const Math *m, MathFn f) { return &m->line[f]; }

const char *math_name(MathFn f) { return math_rows[f].name; }

/* ---- the functions of libm ---- */

/* The deviate z with erf(z / sqrt 2) = v for the same v as the line makes of the word: Newton's method on the upper
 * tail, which erfc resolves where 1 - erf does not. */
static double normal_f64(double word) {
    double v = (floor(word / 256) + 0.5) * 0x1p-23;
    double tail = 1 - fabs(v), z = sqrt(-2 * log1p(-fabs(v))) * fabs(v);
    for (int i = 0; i < 12; i++) {
        z += (erfc(z * M_SQRT1_2) - tail) * sqrt(M_PI / 2) * exp(z * z / 2);
    }
    return copysign(z, v);
}

double math_f64(MathFn f, double x, double y) {
    switch (f) {
    case M_exp:     return exp(x);
    case M_expm1:   return expm1(x);
    case M_log:     return log(x);
    case M_log1p:   return log1p(x);
    case M_sin:     return sin(x);
    case M_cos:     return cos(x);
    case M_tanh:    return tanh(x);
    case M_sigmoid: return 1 / (1 + exp(-x));
    case M_erf:     return erf(x);
    case M_erfc:    return erfc(x);
    case M_pow:     return pow(x, y);
    case M_atan2:   return atan2(x, y);
    case M_normal:  return normal_f64(x);
    case MATH_COUNT: break;
    }
    GR_BUG("function %d", (int)f);
}
