/* Rewrite rules as text (rules.def).  A pattern is matched by reading it against the graph: an operation must
 * stand where the pattern has one, a variable binds, a number must be that constant.  Rules are few and short, and
 * only those whose root is the node's operation are read. */
#include "rule.h"
#include "opt.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *pattern, *replacement; } rules[] = {
#define RULE(p, r) {p, r},
#include "rules.def"
#undef RULE
};
enum { RULE_COUNT = sizeof rules / sizeof rules[0], VARIABLES = 3 };

typedef struct { Build *b; const char *at; Val bound[VARIABLES]; Type like; } Reader;

static Str word(Reader *r) {
    while (*r->at == ' ') r->at++;
    const char *from = r->at;
    while (*r->at && !strchr(" ()", *r->at)) r->at++;
    return (Str){from, (uint32_t)(r->at - from)};
}

static bool open(Reader *r) {
    while (*r->at == ' ') r->at++;
    if (*r->at != '(') return false;
    r->at++;
    return true;
}

static void close(Reader *r) {
    while (*r->at == ' ') r->at++;
    GR_ASSERT(*r->at == ')');
    r->at++;
}

static uint32_t variable(Str w) {
    GR_ASSERT(w.n == 2);
    return w.s[1] == 'x' ? 0 : w.s[1] == 'y' ? 1 : 2;
}

static double number(Str w) { return str_is(w, "true") ? 1 : str_is(w, "false") ? 0 : strtod(w.s, NULL); }

bool value_is_number(const Graph *g, Val v, Imm *out) {
    const Node *n = node_of(g, v);
    while (n->op == OP_broadcast) n = node_of(g, operand(g, v, 0)), v = operand(g, v, 0);
    if (n->op != OP_const) return false;
    *out = n->attr.constant;
    return true;
}

static bool same_number(const Graph *g, Val v, double x) {
    Imm have;
    if (!value_is_number(g, v, &have)) return false;
    if (!dtype_is_float(type_of(g, v).dtype)) return (double)have.i == x;
    return have.f == x && signbit(have.f) == signbit(x);
}

static bool match_operation(Reader *r, Val v, bool live);

/* One argument of a pattern; with `live` false it is only read past. */
static bool match_argument(Reader *r, Val v, bool live) {
    if (open(r)) {
        bool ok = match_operation(r, v, live);
        close(r);
        return ok;
    }
    Str w = word(r);
    if (!live) return false;
    if (w.s[0] != '?') return same_number(r->b->g, v, number(w));
    Val *bound = &r->bound[variable(w)];
    if (bound->i) return val_eq(*bound, v);
    *bound = v;
    return true;
}

static bool match_operation(Reader *r, Val v, bool live) {
    Op op;
    bool known = op_parse(word(r), &op);
    GR_ASSERT(known);
    bool ok = live && node_of(r->b->g, v)->op == op;
    for (uint32_t k = 0; k < (uint32_t)op_operands(op); k++)
        ok = match_argument(r, ok ? operand(r->b->g, v, k) : v, ok);
    return ok;
}

static Val build_argument(Reader *r);

static Val build_operation(Reader *r) {
    const char *from = r->at;
    Str w = word(r);
    Op op;
    if (w.s[0] == '?' || !op_parse(w, &op)) {
        r->at = from;
        return build_argument(r);
    }
    Val in[3] = {{0}};
    uint32_t n = (uint32_t)op_operands(op);
    for (uint32_t k = 0; k < n; k++) in[k] = build_argument(r);
    return build_elt(r->b, op, n, in);
}

static Val build_argument(Reader *r) {
    if (open(r)) {
        Val v = build_operation(r);
        close(r);
        return v;
    }
    Str w = word(r);
    if (w.s[0] == '?') return r->bound[variable(w)];
    bool truth = str_is(w, "true") || str_is(w, "false");
    return build_splat(r->b, truth ? DT_BOOL : r->like.dtype, number(w), r->like.shape);
}

Val rule_apply(Build *b, Val v) {
    const char *name = op_name((Op)node_of(b->g, v)->op);
    size_t n = strlen(name);
    for (uint32_t i = 0; i < RULE_COUNT; i++) {
        if (strncmp(rules[i].pattern, name, n) != 0 || rules[i].pattern[n] != ' ') continue;
        Reader r = {b, rules[i].pattern, {{0}}, type_of(b->g, v)};
        if (!match_operation(&r, v, true)) continue;
        r.at = rules[i].replacement;
        return build_operation(&r);
    }
    return (Val){0};
}

uint32_t opt_rule_count(void) { return RULE_COUNT; }
const char *opt_rule_pattern(uint32_t i) { return rules[i].pattern; }

void opt_rule_build(Build *b, uint32_t i, Val x, Val y, Val c, Val *pattern, Val *replacement) {
    Reader r = {b, rules[i].pattern, {x, y, c}, type_of(b->g, x)};
    *pattern = build_operation(&r);
    r.at = rules[i].replacement;
    *replacement = build_operation(&r);
}
