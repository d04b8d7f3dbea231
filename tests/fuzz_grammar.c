/* Mutations of programs that know the grammar: the tree of a program gives the places of its expressions, statements,
 * types, clauses and declarations, and a place is filled with another of its class, from this program or another one.
 * What comes out mostly parses, so it tries the checker and the lowering, where mutated words seldom get. */
#include "fuzz_grammar.h"
#include "lower.h"

typedef enum { NODE_EXPR, NODE_TYPE, NODE_STMT, NODE_CLAUSE, NODE_DECL, NODE_CLASSES } NodeClass;
typedef struct {
    Arena *arena;
    Str text;
    uint32_t base;
    VEC(Span) of[NODE_CLASSES];
} Nodes;

/* ---- places ---- */

static void add(Nodes *n, NodeClass class, Span at) {
    if (at.at >= n->base && at.n > 0 && at.at - n->base + at.n <= n->text.n)
        vec_push(n->arena, &n->of[class], at);
}

static bool add_expr(void *user, const Expr *e) {
    add(user, NODE_EXPR, e->at);
    return true;
}

static void add_statements(Nodes *n, const Block *b) {
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        const Stmt *s = b->stmts.at[i];
        add(n, NODE_STMT, s->at);
        if (s->kind == ST_FOR)
            add_statements(n, &s->loop.body);
        if (s->kind == ST_SCAN)
            add_statements(n, &s->scan.body);
        if (s->kind == ST_IF)
            add_statements(n, &s->branch.then);
        if (s->kind == ST_IF && s->branch.has_else)
            add_statements(n, &s->branch.otherwise);
        for (uint32_t k = 0; s->kind == ST_MATCH && k < s->match.arms.n; k++)
            add_statements(n, &s->match.arms.at[k].body);
    }
}

static void add_block(Nodes *n, const Block *b) {
    add_statements(n, b);
    walk_block(b, add_expr, n);
}

static void add_params(Nodes *n, const ParamVec *ps) {
    for (uint32_t i = 0; i < ps->n; i++) {
        if (ps->at[i].type)
            add(n, NODE_TYPE, ps->at[i].type->at);
        if (ps->at[i].preset)
            walk_expr(ps->at[i].preset, add_expr, n);
    }
}

static void add_train(Nodes *n, const Decl *d) {
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        const TrainClause *c = &d->train.clauses.at[i];
        add(n, NODE_CLAUSE, c->at);
        if (c->kind == TC_OPTIMIZER)
            walk_expr(c->optimizer.call, add_expr, n);
        if (c->kind == TC_KEEP)
            walk_expr(c->keep.score, add_expr, n);
    }
}

static void add_decl(Nodes *n, const Decl *d) {
    add(n, NODE_DECL, d->at);
    switch (d->kind) {
    case DECL_DATA: add_block(n, &d->data); break;
    case DECL_TRAIN: add_train(n, d); break;
    case DECL_CONSTANT: walk_expr(d->constant, add_expr, n); break;
    case DECL_OPTIMIZER:
        add_params(n, &d->optimizer.sig.args);
        add_block(n, &d->optimizer.body);
        break;
    case DECL_DEF: case DECL_MODEL: case DECL_OBJECTIVE: case DECL_EXPORT:
        add_params(n, &d->function.sig.args);
        add_params(n, &d->function.sig.results);
        if (d->function.value)
            walk_expr(d->function.value, add_expr, n);
        else
            add_block(n, &d->function.body);
        break;
    case DECL_SETTING:
        add(n, NODE_TYPE, d->setting.type->at);
        for (uint32_t i = 0; i < d->setting.values.n; i++)
            walk_expr(d->setting.values.at[i], add_expr, n);
        break;
    case DECL_SWEEP:
        for (uint32_t i = 0; i < d->sweep.clauses.n; i++)
            add(n, NODE_CLAUSE, d->sweep.clauses.at[i].at);
        break;
    case DECL_ERROR: case DECL_USE: case DECL_REQUIRE: case DECL_FOLLOWS: case DECL_EXTERN: case DECL_COUNT: break;
    }
}

static Nodes nodes_of(Arena *a, Str text) {
    SourceSet *sources = sources_create(a);
    const Source *s = sources_add(sources, STR("fuzz.graph"), text);
    Nodes n = {.arena = a, .text = s->text, .base = s->base};
    const AstFile *file = parse_source(a, s, diags_create(a, sources));
    for (uint32_t i = 0; i < file->decls.n; i++)
        add_decl(&n, file->decls.at[i]);
    return n;
}

/* ---- mutations ---- */

static Str text_of(const Nodes *n, Span at) { return (Str){n->text.s + (at.at - n->base), at.n}; }

static Str replaced(const Nodes *n, Span at, Str by) {
    Buf b = buf_make(n->arena);
    uint32_t from = at.at - n->base;
    buf_put(&b, (Str){n->text.s, from});
    buf_put(&b, by);
    buf_put(&b, (Str){n->text.s + from + at.n, n->text.n - from - at.n});
    return buf_str(&b);
}

static Str swapped(const Nodes *n, Span x, Span y) {
    if (x.at > y.at) {
        Span z = x;
        x = y;
        y = z;
    }
    if (x.at + x.n > y.at)                        /* one in the other: the outer becomes the inner */
        return replaced(n, x, text_of(n, y));
    Buf b = buf_make(n->arena);
    uint32_t between = x.at + x.n - n->base, to = y.at - n->base;
    buf_put(&b, (Str){n->text.s, x.at - n->base});
    buf_put(&b, text_of(n, y));
    buf_put(&b, (Str){n->text.s + between, to - between});
    buf_put(&b, text_of(n, x));
    buf_put(&b, (Str){n->text.s + to + y.n, n->text.n - to - y.n});
    return buf_str(&b);
}

/* The expression inside another: what a user adds around a value. */
static Str wrapped(const Nodes *n, Span at, uint32_t which) {
    static const char *const around[][2] = {
        {"(sum[..] ", ")"},       {"-(", ")"},          {"(", ")[0]"},         {"(", ")[n]"},       {"(", ")'"},
        {"relu(", ")"},           {"linear(", ", 3)"},  {"softmax(", ")"},     {"int(", ")"},       {"(", " as [_])"},
        {"stop_gradient(", ")"},  {"(", ")^2"},         {"where(", ", 1, 0)"}, {"(", ")[:, 1:]"},   {"mean[i] (", ")"},
        {"(argmax[k] ", "[..,k])"}, {"[", ", 2]"},      {"concat(", ", 1)"},   {"normal(like = ", ")"}, {"(", " @ x)"}};
    const char *const *w = around[which % (sizeof around / sizeof *around)];
    return replaced(n, at, str_format(n->arena, "%s%.*s%s", w[0], FSTR(text_of(n, at)), w[1]));
}

Str grammar_mutated(Arena *a, Str text, Str other, uint64_t *state, FuzzPick *pick) {
    Nodes mine = nodes_of(a, text), theirs = nodes_of(a, other);
    NodeClass class = (NodeClass)pick(state, NODE_CLASSES + 3);       /* expressions most often */
    class = class >= NODE_CLASSES ? NODE_EXPR : class;
    uint32_t n = mine.of[class].n;
    if (n == 0)
        return text;
    Span at = mine.of[class].at[pick(state, n)], second = mine.of[class].at[pick(state, n)];
    switch (pick(state, 7)) {
    case 0: return replaced(&mine, at, class == NODE_EXPR ? STR("0") : STR(""));
    case 1: return swapped(&mine, at, second);
    case 2: return replaced(&mine, at, text_of(&mine, second));
    case 3: return class == NODE_EXPR ? wrapped(&mine, at, pick(state, 1u << 16)) : swapped(&mine, at, second);
    case 4:
        return replaced(&mine, at, str_format(a, "%.*s%s%.*s", FSTR(text_of(&mine, at)),
                                              class == NODE_EXPR ? " + " : "\n", FSTR(text_of(&mine, second))));
    default:
        n = theirs.of[class].n;
        return n ? replaced(&mine, at, text_of(&theirs, theirs.of[class].at[pick(state, n)])) : text;
    }
}
