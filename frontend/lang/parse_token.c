/* The parser's hands: look at tokens, take them, report, recover, and the loops over brackets and braces.
 *
 * Recovery goes to where the next statement begins: the end of the line outside brackets, `;`, the brace that closes
 * the block, or, when a bracket was left open, the first line that is indented no deeper than the broken one. */
#include "parse.h"
#include <stdio.h>
#include <string.h>

/* ---- tokens */

const Token *parse_ahead(Parser *p, uint32_t i)
{
    while (p->n_ring <= i) {
        p->ring[p->n_ring++] = lex_next(&p->lex);
    }
    return &p->ring[i];
}

TokKind parse_tok(Parser *p)
{
    if (p->panic) {
        return T_END;
    }
    const Token *t = parse_ahead(p, 0);
    bool newline = t->line_start && !p->joined && p->brackets == 0 && t->kind != T_END;
    return newline && !tok_leads(t->kind) ? T_NEWLINE : t->kind;
}

Token parse_take(Parser *p)
{
    Token t = *parse_ahead(p, 0);
    p->n_ring--;
    memmove(p->ring, p->ring + 1, p->n_ring * sizeof *p->ring);
    p->last = t.at;
    p->last_kind = t.kind;
    p->joined = tok_joins(t.kind);
    p->parens += t.kind == T_LPAREN || t.kind == T_LBRACKET;
    p->parens -= p->parens && (t.kind == T_RPAREN || t.kind == T_RBRACKET);
    p->braces += t.kind == T_LBRACE;
    p->braces -= p->braces && t.kind == T_RBRACE;
    return t;
}

bool parse_accept(Parser *p, TokKind k)
{
    if (parse_tok(p) != k || p->panic) {
        return false;
    }
    parse_take(p);
    return true;
}

bool parse_ahead_is_word(Parser *p, uint32_t i, const char *word)
{
    const Token *t = parse_ahead(p, i);
    return t->kind == T_NAME && str_is(t->text, word);
}

bool parse_is_word(Parser *p, const char *word)
{
    return parse_tok(p) == T_NAME && parse_ahead_is_word(p, 0, word);
}

bool parse_accept_word(Parser *p, const char *word)
{
    if (!parse_is_word(p, word)) {
        return false;
    }
    parse_take(p);
    return true;
}

Span parse_since(const Parser *p, Span start)
{
    return p->last.at < start.at ? start : span_join(start, p->last);
}

/* ---- errors */

static Diag *fail_at(Parser *p, Span at, const char *help, const char *fmt, va_list ap)
{
    if (p->panic) {
        return NULL;
    }
    p->panic = true;
    Buf text = buf_make(p->arena);
    buf_vprintf(&text, fmt, ap);
    Diag *d = diag_add(p->diags, DIAG_SYNTAX, at, "%.*s", FSTR(buf_str(&text)));
    if (help) {
        diag_help(d, "%s", help);
    }
    if (++p->lex.errors >= LEX_MAX_ERRORS) {
        p->lex.pos = p->lex.source->text.n;
    }
    return d;
}

void parse_fail(Parser *p, Span at, const char *help, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_at(p, at, help, fmt, ap);
    va_end(ap);
}

/* The same with a second place. */
__attribute__((format(printf, 6, 7)))
static void fail_from(Parser *p, Span at, Span from, const char *label, const char *help, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    Diag *d = fail_at(p, at, help, fmt, ap);
    va_end(ap);
    if (d) {
        diag_label(d, from, "%s", label);
    }
}

/* What a word or sign of another language wants to be here. */
typedef struct { const char *text, *help; } Hint;
static const Hint hints[] = {
    {"=",        "`=` names a value; a comparison is `==`"},
    {"==",       "`==` compares; a value is named with `=`"},
    {"<-",       "`<-` updates a state; a comparison with a negative number needs a space: `a < -b`"},
    {"if",       "between two values of the data choose with `where(c, a, b)`; an expression cannot hold `if`"},
    {"else",     "`else` stands behind the `}` of an `if`"},
    {"for",      "there are no comprehensions: write the index form `y[i] = …` or a `for` statement"},
    {"while",    "loops are `for i < n { … }` (unrolled) or `scan h = h0 over t < T { … }`"},
    {"return",   "results are named in the signature: `def f(x) -> (y) { y = … }`"},
    {"import",   "write `use \"file.graph\" as name`"},
    {"include",  "write `use \"file.graph\" as name`"},
    {"lambda",   "name it with `def f(x) = …`; a call that lacks its first argument is a function too"},
    {"function", "write `def f(args) -> (results) { … }`"},
    {"fn",       "write `def f(args) -> (results) { … }`"},
    {"func",     "write `def f(args) -> (results) { … }`"},
    {"class",    "weights of one network are a `model`, reusable layers a `def`"},
    {"elif",     "write `} else if c {`"},
    {"then",     "write `if c { … }`"},
    {"let",      "a name needs no keyword: `x = …`"},
    {"var",      "a name needs no keyword: `x = …`; what lives from step to step is `state x = …`"},
    {"const",    "a name needs no keyword: `x = …`"},
    {"print",    "watch a value with `watch x`"},
    {"pass",     "an empty block is `{ }`"},
    {"?",        "between two values of the data choose with `where(c, a, b)`"},
};

static const char *hint_for(Str text)
{
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        if (str_is(text, hints[i].text)) {
            return hints[i].help;
        }
    }
    return NULL;
}

/* A misspelt word of the grammar: reserved ones anywhere, those of `data` where its lines begin. */
static const char *near_word(Parser *p, Str text)
{
    static const char *const data_words[] = {"from", "drop", "episodes", "split"};
    Nearest near = nearest_to(text);
    near.edits = text.n <= 4 ? 2 : 3;            /* the words are short: `best` is not `yes` */
    for (size_t i = 0; p->in_data && i < sizeof data_words / sizeof *data_words; i++) {
        nearest_consider(&near, str_of(data_words[i]));
    }
    for (TokKind k = T_DIV; k < T_COUNT; k++) {
        nearest_consider(&near, str_of(tok_text(k)));
    }
    return near.best.n ? str_format(p->arena, "did you mean `%.*s`?", FSTR(near.best)).s : NULL;
}

static Span end_of_last(const Parser *p)
{
    return (Span){p->last.at + (p->last.n ? p->last.n - 1 : 0), 1};
}

void parse_unexpected(Parser *p, const char *expected)
{
    const Token *t = parse_ahead(p, 0);
    bool names = t->kind == T_ASSIGN && tok_is_word(p->last_kind);      /* `loss = 3` compares nothing */
    const char *help = names ? NULL : hint_for(t->text);
    switch ((int)parse_tok(p)) {
    case T_NEWLINE:
        parse_fail(p, end_of_last(p), NULL, "expected %s, but the line ends", expected);
        break;
    case T_END:
        parse_fail(p, t->at, NULL, "expected %s, but the file ends", expected);
        break;
    case T_STRING:
        parse_fail(p, t->at, NULL, "expected %s, found a string", expected);
        break;
    default:
        if (!help && tok_is_word(t->kind) && t->kind > T_NOGRAD) {
            help = "this word is reserved: no value, column or argument can be called so";
        }
        if (!help && t->kind == T_NAME) {
            help = near_word(p, t->text);
        }
        if (!help && p->last_kind == T_COMMA) {
            help = "the comma before it is one too many, or something is missing between them";
        }
        parse_fail(p, t->at, help, "expected %s, found `%.*s`", expected, FSTR(t->text));
    }
}

bool parse_expect(Parser *p, TokKind k, const char *where)
{
    if (parse_accept(p, k)) {
        return true;
    }
    parse_unexpected(p, str_format(p->arena, "`%s` %s", tok_text(k), where).s);
    return false;
}

bool parse_expect_word(Parser *p, const char *word, const char *where)
{
    if (parse_accept_word(p, word)) {
        return true;
    }
    parse_unexpected(p, str_format(p->arena, "`%s` %s", word, where).s);
    return false;
}

bool parse_enter(Parser *p)
{
    if (++p->nesting <= PARSE_MAX_NESTING) {
        return true;
    }
    if (!p->told_nesting) {
        parse_fail(p, parse_ahead(p, 0)->at, "give the inner part a name of its own",
                   "this is nested more than %d deep", PARSE_MAX_NESTING);
    }
    p->told_nesting = p->panic = true;
    return false;
}

void parse_leave(Parser *p) { p->nesting--; }

/* ---- brackets */

bool parse_open(Parser *p, TokKind opener, Bracket *b, const char *where)
{
    *b = (Bracket){parse_ahead(p, 0)->at, opener == T_LPAREN ? T_RPAREN : T_RBRACKET};
    p->brackets++;
    return parse_expect(p, opener, where);
}

void parse_close(Parser *p, const Bracket *b)
{
    const Token *t = parse_ahead(p, 0);
    if (parse_tok(p) != b->closer && !p->panic) {
        bool lost = t->line_start || t->kind == T_END || t->kind == T_RBRACE || t->kind == T_SEMI
                    || t->kind == T_LBRACE;
        const char *help = hint_for(t->text);
        if (lost) {
            fail_from(p, b->opener, end_of_last(p), "it should be closed about here", NULL, "`%s` is missing its `%s`",
                      b->closer == T_RPAREN ? "(" : "[", tok_text(b->closer));
        } else {
            fail_from(p, t->at, b->opener, "opened here", help, "expected `,` or `%s`, found `%.*s`",
                      tok_text(b->closer), FSTR(t->text));
        }
    }
    parse_accept(p, b->closer);
    p->brackets -= p->brackets > 0;
}

bool parse_comma(Parser *p, const Bracket *b)
{
    return parse_accept(p, T_COMMA) && parse_tok(p) != b->closer;
}

/* ---- braces */

static void begin_item(Parser *p, BlockScope *s)
{
    const Token *t = parse_ahead(p, 0);
    s->item_at = t->at.at;
    s->item_indent = t->indent;
    s->item_parens = p->parens;
    s->item_braces = p->braces;
}

/* Goes to the next statement; the first token of a broken statement is never looked at twice. */
static void recover(Parser *p, const BlockScope *s)
{
    p->panic = false;
    p->brackets = 0;
    for (;;) {
        const Token *t = parse_ahead(p, 0);
        bool level = p->parens <= s->item_parens && p->braces <= s->item_braces;
        if (t->kind == T_END || (t->kind == T_RBRACE && s->open && p->braces <= s->item_braces)) {
            break;
        }
        bool closes = t->kind == T_RBRACE && p->braces > s->item_braces;    /* a block of the broken statement */
        if (p->indented && t->at.at != s->item_at && t->line_start && t->column <= s->item_indent) {
            break;
        }
        if (t->at.at != s->item_at && !closes && !p->indented) {
            if (t->line_start && (t->column <= s->item_indent || (level && !p->joined && !tok_leads(t->kind)))) {
                break;
            }
            if (level && t->kind == T_SEMI) {
                break;
            }
        }
        parse_take(p);
        p->parens = closes ? s->item_parens : p->parens;
    }
    p->parens = s->item_parens;
    p->braces = s->item_braces;
    p->joined = true;
    p->indented = false;
}

static bool is_separator(Parser *p, const BlockScope *s)
{
    TokKind k = parse_tok(p);
    return k == T_NEWLINE || k == T_SEMI || (s->commas && k == T_COMMA);
}

static void skip_separators(Parser *p, const BlockScope *s)
{
    while (is_separator(p, s)) {
        if (parse_tok(p) == T_NEWLINE) {
            p->joined = true;
        } else {
            parse_take(p);
        }
    }
}

bool parse_decl_ahead(Parser *p)
{
    const Token *t = parse_ahead(p, 0);
    if (t->kind == T_DEF || t->kind == T_MODEL) {
        return true;
    }
    TokKind next = parse_ahead(p, 1)->kind, then = parse_ahead(p, 2)->kind;
    if (t->kind != T_NAME) {
        return false;
    }
    if (next == T_LBRACE) {
        return str_is(t->text, "train") || str_is(t->text, "sweep");
    }
    if (next == T_NAME && then == T_LPAREN) {
        return str_is(t->text, "objective") || str_is(t->text, "export");
    }
    if (next == T_NAME && then == T_LBRACE) {
        return str_is(t->text, "train") || str_is(t->text, "sweep") || str_is(t->text, "data");
    }
    return (str_is(t->text, "setting") && next == T_NAME) || (str_is(t->text, "extern") && next == T_DEF);
}

void parse_colon_block(Parser *p)
{
    p->indented = parse_ahead(p, 1)->line_start;
    parse_fail(p, parse_ahead(p, 0)->at,
               "a block stands in braces: `def f(x) -> (y) { y = … }`, `if c { … }`; indentation means nothing",
               "expected `{`, found `:`");
}

void parse_block_open(Parser *p, BlockScope *s, const char *where)
{
    const Token *t = parse_ahead(p, 0);
    bool commas = s->commas;
    *s = (BlockScope){.opener = t->at, .opener_indent = t->indent, .brackets = p->brackets, .commas = commas};
    if (parse_tok(p) == T_COLON) {
        parse_colon_block(p);
    }
    s->open = parse_enter(p) && parse_expect(p, T_LBRACE, where);
    if (s->open) {
        p->brackets = 0;
        p->joined = true;
    }
}

void parse_file_scope(BlockScope *s) { *s = (BlockScope){.open = false}; }

bool parse_block_item(Parser *p, BlockScope *s)
{
    if (p->panic) {
        return false;
    }
    skip_separators(p, s);
    const Token *t = parse_ahead(p, 0);
    if (t->kind == T_END || (s->open && t->kind == T_RBRACE)) {
        return false;
    }
    if (s->open && t->line_start && t->column <= s->opener_indent && parse_decl_ahead(p)) {
        return false;                   /* the brace before it is missing */
    }
    begin_item(p, s);
    return true;
}

bool parse_block_next(Parser *p, BlockScope *s)
{
    TokKind k = parse_tok(p);
    bool done = k == T_END || is_separator(p, s) || (s->open && k == T_RBRACE);
    if (!p->panic && !done) {
        parse_unexpected(p, "the end of the line or `;`");
    }
    bool fine = !p->panic;
    if (!fine) {
        recover(p, s);
    }
    return fine;
}

Span parse_block_close(Parser *p, BlockScope *s)
{
    if (s->open && !p->panic) {
        if (parse_ahead(p, 0)->kind == T_RBRACE) {
            parse_take(p);
        } else {
            fail_from(p, s->opener, end_of_last(p), "it should be closed behind this", NULL, "`{` is missing its `}`");
        }
    }
    p->brackets = s->brackets;
    parse_leave(p);
    return parse_since(p, s->opener);
}

Str parse_rest_of_line(Parser *p)
{
    Span at = parse_ahead(p, 0)->at;
    Str text = p->lex.source->text;
    uint32_t from = at.at - p->lex.source->base, end = from, i = from;
    for (; i < text.n && text.s[i] != '\n' && text.s[i] != '#' && text.s[i] != ';' && text.s[i] != '}'; i++) {
        end = text.s[i] == ' ' || text.s[i] == '\r' ? end : i + 1;
    }
    return (Str){text.s + from, end - from};
}

/* ---- names and strings */

Name parse_name(Parser *p, const char *what)
{
    if (parse_tok(p) != T_NAME) {
        parse_unexpected(p, what);
        return (Name){{"", 0}, parse_ahead(p, 0)->at};
    }
    Token t = parse_take(p);
    return (Name){t.text, t.at};
}

static Str text_between(const Parser *p, Span at)
{
    return (Str){p->lex.source->text.s + (at.at - p->lex.source->base), at.n};
}

Name parse_path(Parser *p, const char *what)
{
    Name n = parse_name(p, what);
    while (parse_tok(p) == T_DOT && parse_ahead(p, 0)->glued && parse_ahead(p, 1)->glued) {
        parse_take(p);
        parse_name(p, "a name behind `.`");
        n.at = span_join(n.at, p->last);
        n.text = text_between(p, n.at);
    }
    return n;
}

void parse_names(Parser *p, const char *what, NameVec *out)
{
    do {
        vec_push(p->arena, out, parse_name(p, what));
    } while (parse_accept(p, T_COMMA));
}

/* A pattern is one word to the eye: nothing may stand between its parts.  `*` is a whole part: `*.b`, `head.*`. */
static bool goes_on(Parser *p, TokKind before)
{
    const Token *t = parse_ahead(p, 0);
    if (p->panic || !t->glued) {
        return false;
    }
    if (t->kind == T_DOT || t->kind == T_LBRACKET) {
        return before != T_DOT && before != T_LBRACKET;
    }
    if (t->kind == T_RBRACKET) {
        return before == T_NUMBER || before == T_STAR;
    }
    return (before == T_DOT && (t->kind == T_NAME || t->kind == T_STAR))
           || (before == T_LBRACKET && (t->kind == T_NUMBER || t->kind == T_STAR));
}

static Name parse_path_pattern(Parser *p)
{
    bool dotted = parse_ahead(p, 1)->kind == T_DOT && parse_ahead(p, 1)->glued;
    if (parse_tok(p) != T_NAME && !(parse_tok(p) == T_STAR && dotted)) {
        parse_unexpected(p, "a model or the path of a parameter");
        return (Name){{"", 0}, parse_ahead(p, 0)->at};
    }
    Token part = parse_take(p);
    Name n = {part.text, part.at};
    while (goes_on(p, part.kind)) {
        part = parse_take(p);
    }
    if (part.kind == T_DOT || part.kind == T_LBRACKET) {
        parse_unexpected(p, "the next part of the path");
    }
    p->joined = false;                  /* a `*` at the end is no product */
    n.at = span_join(n.at, p->last);
    n.text = text_between(p, n.at);
    return n;
}

void parse_patterns(Parser *p, NameVec *out)
{
    do {
        vec_push(p->arena, out, parse_path_pattern(p));
    } while (parse_accept(p, T_COMMA));
}

Str parse_string(Parser *p, const char *what)
{
    if (parse_tok(p) != T_STRING) {
        parse_unexpected(p, what);
        return (Str){"", 0};
    }
    return lex_string_value(p->arena, parse_take(p).text);
}
