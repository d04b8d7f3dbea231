/* Text to tokens.  Spellings come from tokens.def.  What other languages write instead of ours (`**`, `&&`, `'text'`)
 * is reported here with what to write, and handed on as our token, so that one slip makes one message. */
#include "lex.h"
#include <string.h>

typedef enum { LINE_ENDS = 0, LINE_JOINS = 1, LINE_LEADS = 2, LINE_BOTH = 3 } LineRole;
typedef struct { const char *text; LineRole line; } TokRow;
static const TokRow rows[T_COUNT] = {
#define TOK(id, text, line) [T_##id] = {text, LINE_##line},
#include "tokens.def"
#undef TOK
};

const char *tok_text(TokKind k) { return rows[k].text; }
bool tok_joins(TokKind k) { return rows[k].line & LINE_JOINS; }
bool tok_leads(TokKind k) { return rows[k].line & LINE_LEADS; }
bool tok_is_word(TokKind k) { return k >= T_DIV; }

/* Spellings of other languages; longer ones first where one begins another. */
typedef struct { const char *text; TokKind means; const char *help; } Foreign;
static const Foreign foreign[] = {
    {"**",  T_CARET,  "a power is written `x^2`"},
    {"//",  T_DIV,    "whole division is written `a div b`; a comment begins with `#`"},
    {"/*",  T_SLASH,  "a comment begins with `#` and ends with its line"},
    {"\\",  T_SLASH,  "division is `/`; a line goes on behind an operator or inside brackets"},
    {"!",   T_NOT,    "write `not a`; not equal is `!=`"},
    {"%",   T_MOD,    "the remainder is written `a mod b`"},
    {"&&",  T_AND,    "write `a and b`"},
    {"&",   T_AND,    "write `a and b`"},
    {"||",  T_OR,     "write `a or b`"},
    {"===", T_EQ,     "write `a == b`"},
    {"+=",  T_ASSIGN, "write `x = x + …`; a state takes `m <- m + …`"},
    {"-=",  T_ASSIGN, "write `x = x - …`; a state takes `m <- m - …`"},
    {"*=",  T_ASSIGN, "write `x = x * …`; a state takes `m <- m * …`"},
    {"/=",  T_ASSIGN, "write `x = x / …`; not equal is `!=`"},
    {":=",  T_ASSIGN, "write `x = …`"},
    {"<>",  T_NE,     "write `a != b`"},
    {"...", T_DOTS,   "further dims are two dots, `..`"},
    {"\xC3\x97",     T_STAR,  "write `*`"},          /* × */
    {"\xC2\xB7",     T_STAR,  "write `*`"},          /* · */
    {"\xE2\x88\x92", T_MINUS, "write `-`"},          /* − */
    {"\xE2\x89\xA4", T_LE,    "write `<=`"},
    {"\xE2\x89\xA5", T_GE,    "write `>=`"},
    {"\xE2\x89\xA0", T_NE,    "write `!=`"},
    {"\xE2\x86\x92", T_ARROW, "write `->`"},
    {"\xCF\x80",     T_PI,    "write `pi`"},
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static char peek(const Lexer *l, uint32_t ahead)
{
    uint64_t i = (uint64_t)l->pos + ahead;
    return i < l->source->text.n ? l->source->text.s[i] : '\0';
}

static bool at_end(const Lexer *l) { return l->pos >= l->source->text.n; }

static bool looking_at(const Lexer *l, const char *z)
{
    size_t n = strlen(z);
    return n <= l->source->text.n - l->pos && !memcmp(l->source->text.s + l->pos, z, n);
}

static Span span_from(const Lexer *l, uint32_t start)
{
    return (Span){l->source->base + start, l->pos - start};
}

static void report(Lexer *l, uint32_t start, const char *what, const char *help)
{
    Diag *d = diag_add(l->diags, DIAG_SYNTAX, span_from(l, start), "%s", what);
    diag_help(d, "%s", help);
    if (++l->errors >= LEX_MAX_ERRORS) {
        l->pos = l->source->text.n;
    }
}

static void skip_comment(Lexer *l)
{
    uint32_t start = l->pos;
    while (!at_end(l) && peek(l, 0) != '\n') {
        l->pos++;
    }
    uint32_t end = l->pos;
    while (end > start && (l->source->text.s[end - 1] == ' ' || l->source->text.s[end - 1] == '\r'
                           || l->source->text.s[end - 1] == '\t')) {
        end--;
    }
    Comment c = {{l->source->base + start, end - start}, !l->line_open};
    vec_push(l->arena, &l->comments, c);
}

/* Blanks, newlines and comments before the next token. */
static void skip_blank(Lexer *l)
{
    for (;;) {
        char c = peek(l, 0);
        if (at_end(l)) {
            return;
        }
        if (c == '\n') {
            l->pos++;
            l->line_at = l->pos;
            l->line_open = false;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            l->pos++;
        } else if (c == '#') {
            skip_comment(l);
        } else if (!l->line_open && looking_at(l, "//")) {
            skip_comment(l);
            report(l, l->pos, "a line that begins with `//`", "a comment begins with `#`");
        } else {
            return;
        }
    }
}

static TokKind word_kind(Str text)
{
    for (TokKind k = T_DIV; k < T_COUNT; k++) {
        if (str_is(text, rows[k].text)) {
            return k;
        }
    }
    return T_NAME;
}

static TokKind take_word(Lexer *l)
{
    uint32_t start = l->pos;
    while (is_letter(peek(l, 0)) || is_digit(peek(l, 0))) {
        l->pos++;
    }
    return word_kind((Str){l->source->text.s + start, l->pos - start});
}

static void take_digits(Lexer *l)
{
    while (is_digit(peek(l, 0))) {
        l->pos++;
    }
}

static TokKind take_number(Lexer *l)
{
    uint32_t start = l->pos;
    take_digits(l);
    if (peek(l, 0) == '.' && is_digit(peek(l, 1))) {
        l->pos++;
        take_digits(l);
    }
    if (peek(l, 0) == '.' && peek(l, 1) != '.' && !is_letter(peek(l, 1))) {
        l->pos++;
        report(l, start, "a number that ends with its point", "write `1.0`");
    }
    bool sign = peek(l, 1) == '+' || peek(l, 1) == '-';
    if ((peek(l, 0) == 'e' || peek(l, 0) == 'E') && is_digit(peek(l, sign ? 2 : 1))) {
        l->pos += sign ? 2 : 1;
        take_digits(l);
    }
    if (is_letter(peek(l, 0)) || is_digit(peek(l, 0))) {
        while (is_letter(peek(l, 0)) || is_digit(peek(l, 0))) {
            l->pos++;
        }
        report(l, start, "a number with letters in it", "numbers are decimal: `12`, `0.5`, `1e-3`; "
                                                         "a product needs its `*`");
    }
    return T_NUMBER;
}

/* A string in `quote`; it ends with its line at the latest. */
static TokKind take_string(Lexer *l, char quote)
{
    uint32_t start = l->pos++;
    while (!at_end(l) && peek(l, 0) != quote && peek(l, 0) != '\n') {
        bool escape = peek(l, 0) == '\\' && l->pos + 1 < l->source->text.n && peek(l, 1) != '\n';
        if (escape && quote == '"' && !strchr("\"\\nt", peek(l, 1))) {
            uint32_t at = l->pos;
            l->pos += 2;
            report(l, at, "an escape that strings do not have", "a string has `\\\"`, `\\\\`, `\\n` and `\\t`");
        } else {
            l->pos += escape ? 2 : 1;
        }
    }
    if (peek(l, 0) == quote) {
        l->pos++;
        if (quote == '\'') {
            report(l, start, "text in single quotes", "strings stand in double quotes; `a'` is the transpose");
        }
    } else {
        uint32_t end = l->pos;
        l->pos = start + 1;
        report(l, start, "this string does not end on its line", "close it with `\"`");
        l->pos = end;
    }
    return T_STRING;
}

static bool ends_operand(TokKind k)
{
    return k == T_NAME || k == T_NUMBER || k == T_RPAREN || k == T_RBRACKET || k == T_QUOTE;
}

/* A word processor's quotes: one message for the text in them. */
static bool take_typographic(Lexer *l)
{
    static const char *const quotes[][2] = {
        {"\xE2\x80\x9C", "\xE2\x80\x9D"}, {"\xE2\x80\x98", "\xE2\x80\x99"}, {"\xE2\x80\x9E", "\xE2\x80\x9C"},
        {"\xE2\x80\x9D", "\xE2\x80\x9D"}, {"\xC2\xAB", "\xC2\xBB"}};
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++) {
        if (looking_at(l, quotes[i][0])) {
            uint32_t start = l->pos;
            l->pos += (uint32_t)strlen(quotes[i][0]);
            while (!at_end(l) && peek(l, 0) != '\n' && !looking_at(l, quotes[i][1])) {
                l->pos++;
            }
            l->pos += looking_at(l, quotes[i][1]) ? (uint32_t)strlen(quotes[i][1]) : 0;
            report(l, start, "quotes of a word processor", "strings stand in straight double quotes: `\"text\"`");
            return true;
        }
    }
    return false;
}

/* `'` right behind an operand is the transpose; anywhere else somebody means a string. */
static bool quote_opens_string(const Lexer *l, uint32_t gap) { return gap > 0 || !ends_operand(l->last); }

static bool has_closing_quote(const Lexer *l)
{
    for (uint32_t i = 1; peek(l, i) && peek(l, i) != '\n'; i++) {
        if (peek(l, i) == '\'') {
            return true;
        }
    }
    return false;
}

/* Bytes of the longest sign of ours that stands here. */
static size_t punctuation(const Lexer *l, TokKind *kind)
{
    size_t best = 0;
    for (TokKind k = T_LPAREN; k < T_DIV; k++) {
        size_t n = strlen(rows[k].text);
        if (n > best && looking_at(l, rows[k].text)) {
            best = n;
            *kind = k;
        }
    }
    return best;
}

static bool take_foreign(Lexer *l, TokKind *kind)
{
    TokKind ours;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (looking_at(l, foreign[i].text) && strlen(foreign[i].text) > punctuation(l, &ours)) {
            uint32_t start = l->pos;
            l->pos += (uint32_t)strlen(foreign[i].text);
            report(l, start, "this operator is written differently here", foreign[i].help);
            *kind = foreign[i].means;
            return true;
        }
    }
    return false;
}

static bool take_punctuation(Lexer *l, TokKind *kind)
{
    size_t n = punctuation(l, kind);
    l->pos += (uint32_t)n;
    return n > 0;
}

/* Bytes no token begins with: one message for the whole run, then on with what follows. */
static void skip_stray(Lexer *l)
{
    uint32_t start = l->pos;
    const char *fine = " \t\r\n#\"'()[]{},;:.=<>|+-*/@^";
    char c;
    do {
        l->pos++;
        c = peek(l, 0);
    } while (!at_end(l) && !is_letter(c) && !is_digit(c) && !(c && strchr(fine, c)));
    bool ascii = (unsigned char)l->source->text.s[start] < 0x80;
    if (!memcmp(l->source->text.s + start, "\xC2\xA0", 2)) {
        report(l, start, "a blank that is no space", "write a plain space");
        return;
    }
    report(l, start, ascii ? "a character the language does not use" : "a character outside strings and comments "
                                                                        "that is not ASCII",
           ascii ? "leave it out" : "names are ASCII letters, digits and `_`");
}

Lexer lex_start(Arena *a, const Source *source, Diags *diags)
{
    uint32_t mark = str_starts(source->text, "\xEF\xBB\xBF") ? 3 : 0;      /* that some editors put before UTF-8 */
    return (Lexer){
        .arena = a, .source = source, .diags = diags, .last = T_NEWLINE, .pos = mark, .line_at = mark};
}

static TokKind take_token(Lexer *l, uint32_t gap, uint32_t *start)
{
    TokKind kind;
    for (;;) {
        char c = peek(l, 0);
        *start = l->pos;
        if (at_end(l)) {
            return T_END;
        }
        if (is_letter(c)) {
            return take_word(l);
        }
        if (is_digit(c)) {
            return take_number(l);
        }
        if (c == '.' && is_digit(peek(l, 1)) && (gap > 0 || !ends_operand(l->last))) {
            l->pos++;
            take_number(l);
            report(l, *start, "a number that begins with its point", "write `0.5`");
            return T_NUMBER;
        }
        if (take_typographic(l)) {
            return T_STRING;
        }
        if (c == '"') {
            return take_string(l, '"');
        }
        if (c == '\'' && quote_opens_string(l, gap) && has_closing_quote(l)) {
            return take_string(l, '\'');
        }
        if (take_foreign(l, &kind) || take_punctuation(l, &kind)) {
            return kind;
        }
        skip_stray(l);
        skip_blank(l);
    }
}

Token lex_next(Lexer *l)
{
    uint32_t before = l->pos;
    skip_blank(l);
    Token t = {.glued = l->pos == before};
    uint32_t start;
    t.kind = take_token(l, l->pos - before, &start);
    t.line_start = !l->line_open;
    t.column = start - l->line_at + 1;
    if (t.line_start) {
        l->indent = t.column;
    }
    t.indent = l->indent;
    t.at = span_from(l, start);
    t.text = (Str){l->source->text.s + start, t.at.n};
    l->line_open = true;
    l->last = t.kind;
    return t;
}

Str lex_string_value(Arena *a, Str token)
{
    if (token.n < 2) {
        return (Str){"", 0};
    }
    bool closed = token.s[token.n - 1] == token.s[0];
    Buf b = buf_make(a);
    for (uint32_t i = 1; i < token.n - (closed ? 1 : 0); i++) {
        char c = token.s[i];
        if (c == '\\' && i + 1 < token.n) {
            c = token.s[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        buf_char(&b, c);
    }
    return str_copy(a, buf_str(&b));
}
