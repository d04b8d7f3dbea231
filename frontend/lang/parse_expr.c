/* Expressions, by precedence:
 *   `|>` `as`  <  or  <  and  <  not  <  comparison  <  + -  <  * / @ div mod  <  unary -, reducers  <  ^  <  postfix
 * Comparisons do not chain.  A reducer is a factor that takes the product of `*` and `@` to its right, so that
 * `sum[i] a[i] * b[i] / c` divides the sum. */
#include "parse.h"
#include <assert.h>

static Expr *make(Parser *p, ExprKind kind, Span start)
{
    Expr *e = PUSH(p->arena, Expr, 1);
    e->kind = kind;
    e->at = start;
    e->op_at = start;
    e->height = 1;
    return e;
}

Expr *parse_error_expr(Parser *p) { return make(p, EX_ERROR, parse_ahead(p, 0)->at); }

/* The parent is higher than each child; trees too high for recursion are refused here, once. */
static void above(Parser *p, Expr *e, const Expr *child)
{
    if (child && child->height >= e->height) {
        e->height = (uint16_t)(child->height + 1);
    }
    if (e->height > PARSE_MAX_HEIGHT) {
        parse_fail(p, e->op_at, "give a part of it a name of its own", "this expression has more than %d levels",
                   PARSE_MAX_HEIGHT);
        e->height = PARSE_MAX_HEIGHT;
        e->kind = EX_ERROR;
    }
}

static void above_dims(Parser *p, Expr *e, const DimVec *dims)
{
    for (uint32_t i = 0; i < dims->n; i++) {
        above(p, e, dims->at[i].expr);
    }
}

static void above_items(Parser *p, Expr *e, const ItemVec *items)
{
    for (uint32_t i = 0; i < items->n; i++) {
        above(p, e, items->at[i].expr);
        above(p, e, items->at[i].lo);
        above(p, e, items->at[i].hi);
        above(p, e, items->at[i].step);
    }
}

static Expr *unary(Parser *p, UnaryOp op, Span op_at, Expr *x)
{
    Expr *e = make(p, EX_UNARY, span_join(op_at, p->last));
    e->op_at = op_at;
    e->unary.op = op;
    e->unary.x = x;
    above(p, e, x);
    return e;
}

static Expr *binary(Parser *p, BinaryOp op, Span start, Span op_at, Expr *l, Expr *r)
{
    Expr *e = make(p, EX_BINARY, parse_since(p, start));
    e->op_at = op_at;
    e->binary.op = op;
    e->binary.l = l;
    e->binary.r = r;
    above(p, e, l);
    above(p, e, r);
    return e;
}

/* ---- brackets */

static Item parse_item(Parser *p)
{
    Item it = {.at = parse_ahead(p, 0)->at};
    if (parse_accept(p, T_DOTS)) {
        it.kind = ITEM_REST;
        return it;
    }
    if (parse_tok(p) != T_COLON) {
        it.expr = parse_expr(p);
    }
    if (parse_accept(p, T_COLON)) {
        it.lo = it.expr;
        it.expr = NULL;
        if (parse_tok(p) != T_COMMA && parse_tok(p) != T_RBRACKET && parse_tok(p) != T_COLON) {
            it.hi = parse_expr(p);
        }
        if (parse_accept(p, T_COLON)) {
            it.step = parse_expr(p);
        }
        it.kind = it.lo || it.hi || it.step ? ITEM_SLICE : ITEM_ALL;
    }
    it.at = parse_since(p, it.at);
    return it;
}

static void parse_items(Parser *p, ItemVec *out, const char *where)
{
    Bracket b;
    parse_open(p, T_LBRACKET, &b, where);
    if (parse_tok(p) == T_RBRACKET) {
        parse_fail(p, parse_since(p, b.opener), "everything is `[..]`", "nothing stands in these brackets");
    }
    do {
        vec_push(p->arena, out, parse_item(p));
    } while (parse_comma(p, &b));
    parse_close(p, &b);
}

void parse_args(Parser *p, ArgVec *out)
{
    Bracket b;
    parse_open(p, T_LPAREN, &b, "before the arguments");
    bool named = false;
    if (parse_tok(p) != T_RPAREN && !p->panic) {
        do {
            Arg a = {.name = {.at = parse_ahead(p, 0)->at}};
            if (parse_tok(p) == T_NAME && parse_ahead(p, 1)->kind == T_ASSIGN) {
                a.name = parse_name(p, "an argument");
                parse_take(p);
                named = true;
            } else if (named) {
                parse_fail(p, a.name.at, "arguments by position come first", "an argument without a name behind one "
                                                                             "with a name");
            }
            a.value = parse_expr(p);
            vec_push(p->arena, out, a);
        } while (parse_comma(p, &b));
    }
    parse_close(p, &b);
}

void parse_exprs(Parser *p, ExprVec *out)
{
    do {
        vec_push(p->arena, out, parse_expr(p));
    } while (parse_accept(p, T_COMMA));
}

/* `( e )` or a tuple `( a, b )`. */
static Expr *parse_parens(Parser *p)
{
    Bracket b;
    parse_open(p, T_LPAREN, &b, "before an expression");
    Expr *first = parse_expr(p);
    if (parse_tok(p) != T_COMMA) {
        parse_close(p, &b);
        first->parens = true;
        return first;
    }
    Expr *e = make(p, EX_TUPLE, b.opener);
    vec_push(p->arena, &e->list.items, first);
    while (parse_comma(p, &b)) {
        vec_push(p->arena, &e->list.items, parse_expr(p));
    }
    parse_close(p, &b);
    e->at = parse_since(p, b.opener);
    for (uint32_t i = 0; i < e->list.items.n; i++) {
        above(p, e, e->list.items.at[i]);
    }
    return e;
}

static Expr *parse_list(Parser *p)
{
    Bracket b;
    parse_open(p, T_LBRACKET, &b, "before a list");
    Expr *e = make(p, EX_LIST, b.opener);
    if (parse_tok(p) != T_RBRACKET && !p->panic) {
        do {
            Expr *item = parse_expr(p);
            vec_push(p->arena, &e->list.items, item);
            above(p, e, item);
        } while (parse_comma(p, &b));
    }
    parse_close(p, &b);
    e->at = parse_since(p, b.opener);
    return e;
}

/* ---- match */

static Expr *number_expr(Parser *p, Token t)
{
    Expr *e = make(p, EX_NUMBER, t.at);
    e->number.text = t.text;
    e->number.is_int = true;
    for (uint32_t i = 0; i < t.text.n; i++) {
        e->number.is_int &= t.text.s[i] >= '0' && t.text.s[i] <= '9';
    }
    return e;
}

Expr *parse_pattern(Parser *p)
{
    const Token *t = parse_ahead(p, 0);
    Span at = t->at;
    if (parse_is_word(p, "_")) {
        parse_take(p);
        return NULL;
    }
    bool minus = parse_accept(p, T_MINUS);
    TokKind k = parse_tok(p);
    bool fits = k == T_NUMBER || (!minus && (k == T_NAME || k == T_STRING || k == T_YES || k == T_NO));
    if (!fits) {
        parse_unexpected(p, "a case: a name, a number, a string, `yes`, `no` or `_`");
        return parse_error_expr(p);
    }
    Token word = parse_take(p);
    if (k == T_NUMBER) {
        Expr *n = number_expr(p, word);
        return minus ? unary(p, UN_NEG, at, n) : n;
    }
    Expr *e = make(p, EX_NAME, word.at);
    if (k == T_STRING) {
        e->kind = EX_STRING;
        e->string = lex_string_value(p->arena, word.text);
    } else if (k == T_YES || k == T_NO) {
        e->kind = EX_BOOL;
        e->boolean = k == T_YES;
    } else {
        e->name = (Name){word.text, word.at};
    }
    return e;
}

static Expr *parse_match(Parser *p)
{
    Expr *e = make(p, EX_MATCH, parse_take(p).at);
    e->match.subject = parse_expr(p);
    above(p, e, e->match.subject);
    BlockScope s = {.commas = true};
    parse_block_open(p, &s, "before the cases of `match`");
    while (parse_block_item(p, &s)) {
        MatchArm arm = {.at = parse_ahead(p, 0)->at};
        arm.pattern = parse_pattern(p);
        parse_expect(p, T_FAT_ARROW, "behind a case");
        if (parse_tok(p) == T_LBRACE) {
            parse_fail(p, parse_ahead(p, 0)->at, "statements stand in a `match` that is a statement itself",
                       "a case of this `match` is an expression");
        }
        arm.value = parse_expr(p);
        arm.at = parse_since(p, arm.at);
        vec_push(p->arena, &e->match.arms, arm);
        above(p, e, arm.value);
        parse_block_next(p, &s);
    }
    e->at = span_join(e->op_at, parse_block_close(p, &s));
    return e;
}

/* ---- primaries and what stands behind them */

static Expr *name_expr(Parser *p, Token t)
{
    Expr *e = make(p, EX_NAME, t.at);
    e->name = (Name){t.text, t.at};
    if (parse_tok(p) == T_NAME && str_is(t.text, "lambda")) {
        parse_fail(p, t.at, "name it with `def f(x) = …`; a call that lacks its first argument is a function too",
                   "functions without a name do not exist here");
    }
    return e;
}

static Expr *parse_primary(Parser *p)
{
    TokKind k = parse_tok(p);
    switch ((int)k) {
    case T_NUMBER:
        return number_expr(p, parse_take(p));
    case T_NAME: {
        Token t = parse_take(p);
        return name_expr(p, t);
    }
    case T_STRING: {
        Token t = parse_take(p);
        Expr *e = make(p, EX_STRING, t.at);
        e->string = lex_string_value(p->arena, t.text);
        return e;
    }
    case T_YES: case T_NO: {
        Expr *e = make(p, EX_BOOL, parse_take(p).at);
        e->boolean = k == T_YES;
        return e;
    }
    case T_INF: case T_PI:
        return make(p, k == T_INF ? EX_INF : EX_PI, parse_take(p).at);
    case T_LPAREN:
        return parse_parens(p);
    case T_LBRACKET:
        return parse_list(p);
    case T_MATCH:
        return parse_match(p);
    default:
        parse_unexpected(p, "an expression");
        return parse_error_expr(p);
    }
}

static bool is_reducer(TokKind k) { return k >= T_SUM && k <= T_LOGSUMEXP; }
static_assert(T_LOGSUMEXP - T_SUM == RED_LOGSUMEXP && T_MEAN - T_SUM == RED_MEAN && RED_COUNT == 10,
              "the reducers of tokens.def stand in the order of REDUCER_LIST");

/* A word behind `.` that is a reducer elsewhere is a name: `h.mean` of a watch. */
static Name field_name(Parser *p)
{
    if (!is_reducer(parse_tok(p))) {
        return parse_name(p, "a name behind `.`");
    }
    Token t = parse_take(p);
    return (Name){t.text, t.at};
}

static Expr *parse_tail(Parser *p, Expr *e, Span start)
{
    for (;;) {
        TokKind k = parse_tok(p);
        Expr *x;
        if (k == T_LPAREN) {
            x = make(p, EX_CALL, start);
            x->op_at = parse_ahead(p, 0)->at;
            x->call.callee = e;
            parse_args(p, &x->call.args);
            for (uint32_t i = 0; i < x->call.args.n; i++) {
                above(p, x, x->call.args.at[i].value);
            }
        } else if (k == T_LBRACKET) {
            x = make(p, EX_INDEX, start);
            x->op_at = parse_ahead(p, 0)->at;
            x->index.base = e;
            parse_items(p, &x->index.items, "before indices");
            above_items(p, x, &x->index.items);
        } else if (k == T_QUOTE) {
            x = make(p, EX_UNARY, start);
            x->op_at = parse_take(p).at;
            x->unary.op = UN_TRANSPOSE;
            x->unary.x = e;
        } else if (k == T_DOT) {
            parse_take(p);
            x = make(p, EX_FIELD, start);
            x->field.base = e;
            x->field.name = field_name(p);
            x->op_at = x->field.name.at;
        } else {
            return e;
        }
        x->at = parse_since(p, start);
        above(p, x, e);
        e = x;
    }
}

Expr *parse_postfix(Parser *p)
{
    Span start = parse_ahead(p, 0)->at;
    return parse_tail(p, parse_primary(p), start);
}

Expr *parse_callable(Parser *p, const char *what)
{
    Name path = parse_path(p, what);
    Expr *e = NULL;
    uint32_t from = 0;                  /* `a.b.c`: a name and two fields */
    for (uint32_t i = 0; i <= path.text.n; i++) {
        if (i < path.text.n && path.text.s[i] != '.') {
            continue;
        }
        Name part = {{path.text.s + from, i - from}, {path.at.at + from, i - from}};
        Expr *x = make(p, e ? EX_FIELD : EX_NAME, (Span){path.at.at, i});
        if (e) {
            x->field.base = e;
            x->field.name = part;
            x->op_at = part.at;
            above(p, x, e);
        } else {
            x->name = part;
        }
        e = x;
        from = i + 1;
    }
    return e;
}

/* ---- reducers and factors */

static Expr *parse_factor(Parser *p);

/* The product to the right of a reducer. */
static Expr *parse_reduced(Parser *p)
{
    Span start = parse_ahead(p, 0)->at;
    Expr *e = parse_factor(p);
    while (parse_tok(p) == T_STAR || parse_tok(p) == T_AT) {
        Token op = parse_take(p);
        Expr *r = parse_factor(p);
        e = binary(p, op.kind == T_STAR ? BIN_MUL : BIN_MATMUL, start, op.at, e, r);
    }
    return e;
}

/* Without brackets: `max(a, b)` is a call, all else a mistake that deserves its own kind. */
static void fail_reducer(Parser *p, Token word)
{
    const char *name = tok_text(word.kind);
    if (p->panic) {
        return;
    }
    p->panic = true;
    Diag *d = diag_add(p->diags, DIAG_REDUCE, word.at, "`%s` needs brackets", name);
    diag_help(d, "over everything `%s[..] x`; over some dims `%s[n] x[n]`; a function of the result "
                 "`f(%s[..] x)`", name, name, name);
    p->lex.errors++;
}

static Expr *parse_reducer(Parser *p)
{
    Token word = parse_take(p);
    bool elementwise = word.kind == T_MAX || word.kind == T_MIN;
    if (parse_tok(p) == T_LPAREN && elementwise) {
        Expr *callee = make(p, EX_NAME, word.at);
        callee->name = (Name){word.text, word.at};
        return parse_tail(p, callee, word.at);
    }
    if (parse_tok(p) != T_LBRACKET) {
        fail_reducer(p, word);
        return parse_error_expr(p);
    }
    Expr *e = make(p, EX_REDUCE, word.at);
    e->reduce.op = (Reducer)(word.kind - T_SUM);
    parse_items(p, &e->reduce.items, "behind a reducer");
    above_items(p, e, &e->reduce.items);
    e->reduce.x = parse_reduced(p);
    e->at = parse_since(p, word.at);
    above(p, e, e->reduce.x);
    return e;
}

/* `x^y`; the exponent may have a sign, and `-x^2` is `-(x^2)`. */
static Expr *parse_power(Parser *p)
{
    Span start = parse_ahead(p, 0)->at;
    Expr *e = is_reducer(parse_tok(p)) ? parse_reducer(p) : parse_postfix(p);
    if (parse_tok(p) == T_CARET) {
        Span op_at = parse_take(p).at;
        Expr *r = parse_factor(p);
        e = binary(p, BIN_POW, start, op_at, e, r);
    }
    return e;
}

static Expr *parse_factor(Parser *p)
{
    if (!parse_enter(p)) {
        parse_leave(p);
        return parse_error_expr(p);
    }
    Expr *e;
    if (parse_tok(p) == T_MINUS) {
        Span op_at = parse_take(p).at;
        Expr *x = parse_factor(p);
        e = unary(p, UN_NEG, op_at, x);
    } else {
        e = parse_power(p);
    }
    parse_leave(p);
    return e;
}

/* ---- binary operators */

enum { PREC_OR = 1, PREC_AND, PREC_NOT, PREC_COMPARE, PREC_SUM, PREC_PRODUCT, PREC_NONE = 0 };

static int precedence(TokKind k, BinaryOp *op)
{
    switch ((int)k) {
    case T_OR:    *op = BIN_OR;     return PREC_OR;
    case T_AND:   *op = BIN_AND;    return PREC_AND;
    case T_EQ:    *op = BIN_EQ;     return PREC_COMPARE;
    case T_NE:    *op = BIN_NE;     return PREC_COMPARE;
    case T_LT:    *op = BIN_LT;     return PREC_COMPARE;
    case T_LE:    *op = BIN_LE;     return PREC_COMPARE;
    case T_GT:    *op = BIN_GT;     return PREC_COMPARE;
    case T_GE:    *op = BIN_GE;     return PREC_COMPARE;
    case T_PLUS:  *op = BIN_ADD;    return PREC_SUM;
    case T_MINUS: *op = BIN_SUB;    return PREC_SUM;
    case T_STAR:  *op = BIN_MUL;    return PREC_PRODUCT;
    case T_SLASH: *op = BIN_DIV;    return PREC_PRODUCT;
    case T_AT:    *op = BIN_MATMUL; return PREC_PRODUCT;
    case T_DIV:   *op = BIN_IDIV;   return PREC_PRODUCT;
    case T_MOD:   *op = BIN_MOD;    return PREC_PRODUCT;
    default:                        return PREC_NONE;
    }
}

static Expr *parse_binary(Parser *p, int least);

static Expr *parse_not(Parser *p, int least)
{
    Span op_at = parse_take(p).at;
    if (least > PREC_NOT) {
        parse_fail(p, op_at, "put it in parentheses: `(not a)`", "`not` cannot stand behind this operator");
    }
    Expr *x = parse_enter(p) ? parse_binary(p, PREC_NOT) : parse_error_expr(p);
    parse_leave(p);
    return unary(p, UN_NOT, op_at, x);
}

static Expr *parse_binary(Parser *p, int least)
{
    Span start = parse_ahead(p, 0)->at;
    Expr *e = parse_tok(p) == T_NOT ? parse_not(p, least) : parse_factor(p);
    for (;;) {
        BinaryOp op;
        int prec = precedence(parse_tok(p), &op);
        if (prec == PREC_NONE || prec < least) {
            return e;
        }
        Span op_at = parse_take(p).at;
        Expr *r = parse_binary(p, prec + 1);
        e = binary(p, op, start, op_at, e, r);
        BinaryOp next;
        if (prec == PREC_COMPARE && precedence(parse_tok(p), &next) == PREC_COMPARE) {
            parse_fail(p, parse_ahead(p, 0)->at, "write `a < b and b < c`", "comparisons do not chain");
        }
    }
}

Expr *parse_sum(Parser *p) { return parse_binary(p, PREC_SUM); }

/* ---- `|>` and `as` */

static Expr *parse_pipe(Parser *p, Expr *x, Span start)
{
    Expr *e = make(p, EX_PIPE, start);
    e->op_at = parse_take(p).at;
    e->pipe.x = x;
    if (is_reducer(parse_tok(p)) && parse_ahead(p, 1)->kind != T_LPAREN) {
        fail_reducer(p, parse_take(p));
    }
    e->pipe.f = is_reducer(parse_tok(p)) ? parse_reducer(p) : parse_postfix(p);
    e->at = parse_since(p, start);
    above(p, e, x);
    above(p, e, e->pipe.f);
    ExprKind k = e->pipe.f->kind;
    if (k != EX_NAME && k != EX_FIELD && k != EX_CALL && k != EX_MATCH && k != EX_ERROR) {
        parse_fail(p, e->pipe.f->at, "`x |> f(a)` is `f(x, a)`", "behind `|>` stands a function or a call");
    }
    BinaryOp op;
    if (precedence(parse_tok(p), &op) != PREC_NONE) {
        parse_fail(p, parse_ahead(p, 0)->at, "put the pipe in parentheses: `(x |> f) + y`",
                   "a pipe cannot be calculated with");
    }
    return e;
}

static Expr *parse_as(Parser *p, Expr *x, Span start)
{
    Expr *e = make(p, EX_AS, start);
    e->op_at = parse_take(p).at;
    e->as.x = x;
    if (parse_tok(p) != T_LBRACKET) {
        parse_fail(p, parse_ahead(p, 0)->at, "a shape is `x as [N, 8]`; another element type is a call: `int(x)`",
                   "behind `as` stands a shape in brackets");
    }
    parse_dims(p, &e->as.dims);
    e->at = parse_since(p, start);
    above(p, e, x);
    above_dims(p, e, &e->as.dims);
    BinaryOp op;
    if (precedence(parse_tok(p), &op) != PREC_NONE) {
        parse_fail(p, parse_ahead(p, 0)->at, "put it in parentheses: `(x as [N, 8]) + y`",
                   "the shape of `as` ends the expression");
    }
    return e;
}

Expr *parse_expr(Parser *p)
{
    Span start = parse_ahead(p, 0)->at;
    Expr *e = parse_enter(p) ? parse_binary(p, PREC_OR) : parse_error_expr(p);
    while (parse_tok(p) == T_PIPE || parse_tok(p) == T_AS) {
        e = parse_tok(p) == T_PIPE ? parse_pipe(p, e, start) : parse_as(p, e, start);
    }
    parse_leave(p);
    if (p->panic) {                     /* nobody should reason about half an expression */
        e = make(p, EX_ERROR, start);
    }
    return e;
}
