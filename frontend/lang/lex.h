/* Tokens on demand: the lexer holds a position in the text, not a list of tokens, so a huge file costs no memory. */
#ifndef GR_LANG_LEX_H
#define GR_LANG_LEX_H
#include "ast.h"

typedef enum {
#define TOK(id, text, line) T_##id,
#include "tokens.def"
#undef TOK
    T_COUNT
} TokKind;
const char *tok_text(TokKind k);
bool tok_is_word(TokKind k);            /* a reserved word */
bool tok_joins(TokKind k);              /* the next line belongs to this one */
bool tok_leads(TokKind k);              /* at the start of a line it continues the one above */

typedef struct {
    TokKind  kind;
    Span     at;
    Str      text;                      /* as written */
    uint32_t column;                    /* from 1, in bytes */
    uint32_t indent;                    /* column of the first token on its line */
    bool     line_start;                /* first token on its line */
    bool     glued;                     /* nothing between it and the token before */
} Token;

typedef VEC(Comment) CommentVec;
typedef struct {
    Arena        *arena;
    const Source *source;
    Diags        *diags;
    uint32_t      pos, line_at;         /* offsets in the text: next byte, start of the line */
    uint32_t      indent;
    bool          line_open;            /* a token of this line was seen */
    TokKind       last;
    CommentVec    comments;
    uint32_t      errors;               /* reported so far, also by the parser */
} Lexer;

/* After so many errors the rest of the text is not read: it is no .graph file. */
enum { LEX_MAX_ERRORS = 100 };

Lexer lex_start(Arena *a, const Source *source, Diags *diags);
Token lex_next(Lexer *l);               /* for ever T_END at the end */
/* The text a string token stands for; escapes are `\"`, `\\`, `\n`, `\t`. */
Str   lex_string_value(Arena *a, Str token);
#endif
