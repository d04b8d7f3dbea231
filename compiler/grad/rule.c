/* Gradient rules of elementwise primitives: the text of grads.def, read by a prefix-expression reader that builds
 * nodes as it goes.  A rule is a dozen characters long and read once a node, so nothing is gained by compiling it
 * first. */
#include "rule.h"
#include <stdlib.h>
#include <string.h>

static const char *const rules[OP_COUNT][3] = {
#define GRAD(op, r0, r1, r2) [OP_##op] = {r0, r1, r2},
#include "grads.def"
#undef GRAD
};

typedef struct { Build *b; const char *at; Val v, g; Type like; } Reader;

static void skip_spaces(Reader *r) {
    while (*r->at == ' ') r->at++;
}

static Str word(Reader *r) {
    skip_spaces(r);
    const char *from = r->at;
    while (*r->at && !strchr(" ()", *r->at)) r->at++;
    return (Str){from, (uint32_t)(r->at - from)};
}

static Val expression(Reader *r);

static Val argument(Reader *r) {
    skip_spaces(r);
    if (*r->at == '(') {
        r->at++;
        Val v = expression(r);
        skip_spaces(r);
        GR_ASSERT(*r->at == ')');
        r->at++;
        return v;
    }
    Str w = word(r);
    GR_ASSERT(w.n > 0);
    if (w.n == 1 && w.s[0] == 'g') return r->g;
    if (w.n == 1 && w.s[0] == 'y') return r->v;
    if (w.n == 1 && w.s[0] >= 'a' && w.s[0] <= 'c') return operand(r->b->g, r->v, (uint32_t)(w.s[0] - 'a'));
    return build_splat(r->b, r->like.dtype, strtod(w.s, NULL), r->like.shape);
}

/* One atom, or a primitive and its arguments. */
static Val expression(Reader *r) {
    const char *from = r->at;
    Str w = word(r);
    Op op;
    if (w.n < 2 || !op_parse(w, &op)) {
        r->at = from;
        return argument(r);
    }
    Val in[3] = {{0}};
    uint32_t n = (uint32_t)op_operands(op);
    for (uint32_t i = 0; i < n; i++) in[i] = argument(r);
    return build_elt(r->b, op, n, in);
}

Val rule_build(Build *b, Val v, uint32_t k, Val g) {
    const char *text = rules[node_of(b->g, v)->op][k];
    if (text[0] == '-' && text[1] == 0) return (Val){0};
    Reader r = {b, text, v, g, type_of(b->g, g)};
    return expression(&r);
}
