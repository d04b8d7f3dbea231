/* Types, dims and the argument lists of definitions. */
#include "parse.h"

/* `(T N)` merges dims; `(T - 1)` is an expression.  Two operands side by side tell them apart. */
static bool merged_ahead(Parser *p)
{
    TokKind a = parse_ahead(p, 1)->kind, b = parse_ahead(p, 2)->kind;
    return parse_tok(p) == T_LPAREN && (a == T_NAME || a == T_NUMBER) && (b == T_NAME || b == T_NUMBER);
}

static DimSyntax parse_merged(Parser *p)
{
    DimSyntax d = {.kind = DIM_MERGED};
    Bracket b;
    parse_open(p, T_LPAREN, &b, "before merged dims");
    while (parse_tok(p) == T_NAME || parse_tok(p) == T_NUMBER) {
        Expr *part = parse_pattern(p);
        if (!part) {
            parse_fail(p, p->last, "`_` is a dim of its own", "a merged dim cannot be inferred");
            part = parse_error_expr(p);
        }
        vec_push(p->arena, &d.merged, part);
    }
    parse_close(p, &b);
    d.at = parse_since(p, b.opener);
    return d;
}

static DimSyntax parse_dim(Parser *p)
{
    DimSyntax d = {.at = parse_ahead(p, 0)->at};
    if (merged_ahead(p)) {
        return parse_merged(p);
    }
    if (parse_accept(p, T_DOTS)) {
        d.kind = DIM_REST;
    } else if (parse_accept_word(p, "_")) {
        d.kind = DIM_INFER;
    } else if (parse_is_word(p, "up") && parse_ahead_is_word(p, 1, "to")) {
        parse_take(p);
        parse_take(p);
        d.kind = DIM_UP_TO;
        d.expr = parse_sum(p);
    } else {
        d.kind = DIM_EXPR;
        d.expr = parse_sum(p);
    }
    d.at = parse_since(p, d.at);
    return d;
}

void parse_dims(Parser *p, DimVec *out)
{
    Bracket b;
    parse_open(p, T_LBRACKET, &b, "before a shape");
    if (parse_tok(p) != T_RBRACKET && !p->panic) {
        do {
            vec_push(p->arena, out, parse_dim(p));
        } while (parse_comma(p, &b));
    }
    parse_close(p, &b);
}

TypeSyntax *parse_type(Parser *p)
{
    TypeSyntax *t = PUSH(p->arena, TypeSyntax, 1);
    t->at = parse_ahead(p, 0)->at;
    if (parse_is_word(p, "one") && parse_ahead_is_word(p, 1, "of")) {
        parse_take(p);
        parse_take(p);
        t->kind = TYPE_ONE_OF;
        parse_names(p, "one of the choices", &t->choices);
    } else if (parse_is_word(p, "list") && parse_ahead(p, 1)->kind == T_NAME) {
        parse_take(p);
        t->kind = TYPE_LIST;
        t->base = parse_name(p, "the type of the elements");
    } else {
        t->kind = TYPE_PLAIN;
        t->base = parse_path(p, "a type");
        t->has_dims = parse_tok(p) == T_LBRACKET;
        if (t->has_dims) {
            parse_dims(p, &t->dims);
        }
        if (parse_accept(p, T_LT)) {
            t->bound = parse_sum(p);
        }
    }
    t->at = parse_since(p, t->at);
    return t;
}

/* `a, b : T, c = 1`: names up to a `:` share its type; a default ends the group. */
void parse_signature_part(Parser *p, ParamVec *out, bool presets)
{
    Bracket b;
    parse_open(p, T_LPAREN, &b, presets ? "before the arguments" : "before the results");
    if (parse_tok(p) == T_RPAREN || p->panic) {
        parse_close(p, &b);
        return;
    }
    uint32_t first = out->n;
    do {
        Param a = {.name = parse_name(p, presets ? "the name of an argument" : "the name of a result")};
        vec_push(p->arena, out, a);
        if (parse_accept(p, T_COLON)) {
            TypeSyntax *type = parse_type(p);
            for (uint32_t i = first; i < out->n; i++) {
                out->at[i].type = type;
            }
            first = out->n;
        }
        if (presets && parse_accept(p, T_ASSIGN)) {
            out->at[out->n - 1].preset = parse_expr(p);
            first = out->n;
        }
    } while (parse_comma(p, &b));
    parse_close(p, &b);
}
