/* What the files of the parser share.  Recursive descent, at most three tokens of look-ahead.
 *
 * Newlines: the parser knows whether it stands inside brackets, so it asks for a token kind with `parse_tok`, which
 * answers T_NEWLINE when the next token stands on a new line and nothing joins the two lines.
 * Errors: `parse_fail` reports once and sets `panic`; from then on parse_tok says T_END, every loop ends, every rule
 * returns what it has, until the block the mistake stands in recovers (parse_block_next). */
#ifndef GR_LANG_PARSE_H
#define GR_LANG_PARSE_H
#include "lex.h"

enum { PARSE_AHEAD = 3, PARSE_MAX_NESTING = 200, PARSE_MAX_HEIGHT = 1000 };

typedef struct {
    Arena   *arena;
    Diags   *diags;
    Lexer    lex;
    Token    ring[PARSE_AHEAD];
    uint32_t n_ring;
    Span     last;              /* the token taken last */
    TokKind  last_kind;
    bool     joined;            /* the token before lets the line go on */
    bool     panic;
    bool     indented;          /* what is broken is a block by indentation: recovery goes past it */
    bool     in_data;           /* inside `data`: its clause words count */
    uint32_t brackets;          /* open `(` `[` since the innermost `{` */
    uint32_t parens, braces;    /* open ones in all, for recovery */
    uint32_t nesting;           /* recursion of rules */
    bool told_nesting;          /* that it is too deep: once a file */
} Parser;

/* ---- parse_token.c: tokens, errors, recovery, blocks */
const Token *parse_ahead(Parser *p, uint32_t i);        /* i < PARSE_AHEAD; 0 is the next token */
TokKind parse_tok(Parser *p);                           /* kind of the next token; T_NEWLINE, T_END as said above */
Token   parse_take(Parser *p);
bool    parse_accept(Parser *p, TokKind k);
bool    parse_expect(Parser *p, TokKind k, const char *where);  /* where: "behind the arguments" */
void    parse_colon_block(Parser *p);                   /* reports the `:` that comes next */
bool    parse_is_word(Parser *p, const char *word);     /* the next token is this clause word */
bool    parse_accept_word(Parser *p, const char *word);
bool    parse_expect_word(Parser *p, const char *word, const char *where);
bool    parse_ahead_is_word(Parser *p, uint32_t i, const char *word);
void    parse_fail(Parser *p, Span at, const char *help, const char *fmt, ...)
            __attribute__((format(printf, 4, 5)));      /* help may be NULL */
void    parse_unexpected(Parser *p, const char *expected);      /* the next token, and what people mean by it */
Span    parse_since(const Parser *p, Span start);       /* from start to the token taken last */
bool    parse_enter(Parser *p);                         /* one rule deeper; false (reported) when too deep */
void    parse_leave(Parser *p);

/* Brackets: `( ` or `[`, the items by the caller, then the closing one, which is named with its opener if missing. */
typedef struct { Span opener; TokKind closer; } Bracket;
bool parse_open(Parser *p, TokKind opener, Bracket *b, const char *where);
void parse_close(Parser *p, const Bracket *b);
bool parse_comma(Parser *p, const Bracket *b);          /* another item follows, not only a last comma */

/* Braces and the items in them, separated by newlines or `;` (or also by commas).  Use:
 *   parse_block_open(p, &s, where);
 *   while (parse_block_item(p, &s)) { … one item …; parse_block_next(p, &s); }
 *   span = parse_block_close(p, &s); */
typedef struct {
    Span     opener;
    uint32_t opener_indent, brackets, item_at, item_indent, item_parens, item_braces;
    bool     commas, open;
} BlockScope;
void parse_block_open(Parser *p, BlockScope *s, const char *where);
bool parse_block_item(Parser *p, BlockScope *s);
bool parse_block_next(Parser *p, BlockScope *s);            /* false: the item was broken */
Span parse_block_close(Parser *p, BlockScope *s);
void parse_file_scope(BlockScope *s);                   /* the whole file as a block without braces */

Name parse_name(Parser *p, const char *what);           /* what: "the name of the model" */
Name parse_path(Parser *p, const char *what);           /* `a.b.c` */
void parse_names(Parser *p, const char *what, NameVec *out);    /* `a, b`, at least one */
void parse_patterns(Parser *p, NameVec *out);           /* parameter patterns: `see, decoder.residual1[3].*` */
Str  parse_rest_of_line(Parser *p);                      /* from the next token on, without a comment */
Str  parse_string(Parser *p, const char *what);
bool parse_decl_ahead(Parser *p);                       /* the next tokens can only begin a declaration */

/* ---- parse_expr.c */
Expr *parse_expr(Parser *p);
Expr *parse_sum(Parser *p);                             /* binds tighter than a comparison: `T - 1` */
Expr *parse_postfix(Parser *p);                         /* a name, literal, bracket, with calls and fields behind it */
Expr *parse_callable(Parser *p, const char *what);      /* a name or path */
void  parse_args(Parser *p, ArgVec *out);               /* `( … )` */
void  parse_exprs(Parser *p, ExprVec *out);             /* `a, b`, at least one */
Expr *parse_pattern(Parser *p);                         /* of a match arm; NULL for `_` */
Expr *parse_error_expr(Parser *p);

/* ---- parse_type.c */
TypeSyntax *parse_type(Parser *p);
void parse_dims(Parser *p, DimVec *out);                /* `[ … ]` */
void parse_signature_part(Parser *p, ParamVec *out, bool presets);  /* `(a, b : T, c = 1)` */

/* ---- parse_stmt.c, parse_data.c */
Block  parse_body(Parser *p, const char *where);
Stmt  *parse_stmt(Parser *p);
Target parse_target(Parser *p);
Count  parse_count(Parser *p, const Unit *allowed, uint32_t n_allowed);
bool   parse_data_clause(Parser *p, Stmt *s);           /* false: not a clause of `data` */
bool   parse_binds_ahead(Parser *p);                    /* `name =`, `name,`, `name[`, `name :`, `name <-` */
void   parse_column(Parser *p, Stmt *s, const NameVec *names);
void   parse_require(Parser *p, Expr **cond, Str *why);

/* ---- parse_train.c */
void parse_train(Parser *p, Decl *d);
void parse_sweep(Parser *p, Decl *d);
void parse_direction(Parser *p, bool *highest);         /* `lowest` or `highest` */
#endif
