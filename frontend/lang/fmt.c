/* The formatter: one layout, comments kept.  It works on tokens, not on the tree, so nothing can be lost.
 *
 * What a person decides: where lines break, which blocks stand on one line, single blank lines, comments.  What is
 * fixed here: spaces, indentation (4 a block, 4 more for a line that goes on), `;` only between statements of one
 * line, a block with a line break in it opens and closes its lines, comments behind code aligned within a run of
 * lines, and `graph 1` at the top.  Formatting twice changes nothing, and the tree stays equal: the fuzzer holds
 * us to both. */
#include "lex.h"
#include "syntax.h"

typedef struct {
    Token    t;                         /* of a comment only `at` and `text` */
    bool     comment;
    uint32_t newlines;                  /* before it */
    uint32_t match;                     /* of `{`: the index of its `}`; 0 when there is none */
} Piece;
typedef VEC(Piece) PieceVec;

/* ---- reading */

static uint32_t newlines_between(const Source *src, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) {
        n += src->text.s[i - src->base] == '\n';
    }
    return n;
}

static void add_piece(Arena *a, const Source *src, PieceVec *out, Piece piece)
{
    uint32_t end = out->n ? out->at[out->n - 1].t.at.at + out->at[out->n - 1].t.at.n : src->base;
    piece.newlines = newlines_between(src, end, piece.t.at.at);
    vec_push(a, out, piece);
}

static PieceVec read_pieces(Arena *a, const Source *src, Diags *diags)
{
    PieceVec out = {0};
    Lexer lex = lex_start(a, src, diags);
    uint32_t comments = 0;
    for (Token t = lex_next(&lex);; t = lex_next(&lex)) {
        for (; comments < lex.comments.n; comments++) {
            Span at = lex.comments.at[comments].at;
            Str text = {src->text.s + (at.at - src->base), at.n};
            add_piece(a, src, &out, (Piece){.t = {.at = at, .text = text}, .comment = true});
        }
        if (t.kind == T_END) {
            return out;
        }
        add_piece(a, src, &out, (Piece){.t = t});
    }
}

static void match_braces(Arena *a, PieceVec *pieces)
{
    VEC(uint32_t) open = {0};
    for (uint32_t i = 0; i < pieces->n; i++) {
        TokKind k = pieces->at[i].comment ? T_NEWLINE : pieces->at[i].t.kind;
        if (k == T_LBRACE) {
            vec_push(a, &open, i);
        } else if (k == T_RBRACE && open.n) {
            pieces->at[open.at[--open.n]].match = i;
        }
    }
}

static bool is_kind(const PieceVec *pieces, uint32_t i, TokKind k)
{
    return i < pieces->n && !pieces->at[i].comment && pieces->at[i].t.kind == k;
}

static bool is_closer(const PieceVec *pieces, uint32_t i)
{
    return is_kind(pieces, i, T_RPAREN) || is_kind(pieces, i, T_RBRACKET) || is_kind(pieces, i, T_RBRACE);
}

/* Separators that separate nothing: a comma before its closer, a `;` at the end of a line or a block. */
static void drop_separators(Arena *a, PieceVec *pieces)
{
    PieceVec out = {0};
    uint32_t newlines = 0;
    for (uint32_t i = 0; i < pieces->n; i++) {
        Piece piece = pieces->at[i];
        bool comma = is_kind(pieces, i, T_COMMA) && is_closer(pieces, i + 1);
        bool semi = is_kind(pieces, i, T_SEMI)
                    && (i + 1 == pieces->n || pieces->at[i + 1].newlines || pieces->at[i + 1].comment
                        || is_kind(pieces, i + 1, T_SEMI) || is_kind(pieces, i + 1, T_RBRACE) || out.n == 0
                        || piece.newlines || newlines || is_kind(&out, out.n - 1, T_LBRACE));
        piece.newlines += newlines;
        newlines = 0;
        if (comma || semi) {
            newlines = piece.newlines;
        } else {
            vec_push(a, &out, piece);
        }
    }
    *pieces = out;
}

static bool block_breaks(const PieceVec *pieces, uint32_t open, uint32_t close)
{
    for (uint32_t i = open + 1; i <= close; i++) {
        if (pieces->at[i].newlines) {
            return true;
        }
    }
    return false;
}

/* Line breaks of blocks, and `} else` on one line. */
static void settle_newlines(PieceVec *pieces)
{
    for (uint32_t i = 0; i < pieces->n; i++) {
        Piece *piece = &pieces->at[i];
        if (is_kind(pieces, i, T_ELSE) && i && is_kind(pieces, i - 1, T_RBRACE)) {
            piece->newlines = 0;
        }
        if (piece->newlines > 2) {
            piece->newlines = 2;
        }
        if (piece->match && block_breaks(pieces, i, piece->match)) {
            Piece *first = &pieces->at[i + 1];
            first->newlines = first->comment && !first->newlines ? 0 : 1;
            pieces->at[piece->match].newlines = 1;
        }
    }
    if (pieces->n) {
        pieces->at[0].newlines = 0;
    }
}

/* ---- spaces */

/* Clause words before which no value can stand: a `(` or `-` behind them opens a value of its own. */
static bool opens_value(Str word)
{
    static const char *const words[] = {
        "where", "require", "lowest", "highest", "rate", "seed", "by", "epochs", "steps", "batch", "shards", "points",
        "draw", "every", "patience", "norm", "after", "to", "split", "from", "objective", "of", "train", "val", "test",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_is(word, words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_reducer_tok(TokKind k) { return k >= T_SUM && k <= T_LOGSUMEXP; }

typedef struct {
    VEC(TokKind) open;                  /* `(`, `[`, `{`, and T_SUM for the bracket of a reducer */
    VEC(bool)    tight;                 /* of the same: `[n,c,:]`, items of one token each, without blanks */
    bool         reduced;               /* the token before closed the bracket of a reducer */
    bool         prefix;                /* the token before is a sign: nothing between it and its operand */
    bool         match;                 /* a `match` whose brace is still to come */
    VEC(bool)    match_braces;          /* of the open braces: the cases of a match */
} Context;

static TokKind innermost(const Context *c) { return c->open.n ? c->open.at[c->open.n - 1] : T_LBRACE; }

static bool ends_operand(const Context *c, TokKind k)
{
    switch ((int)k) {
    case T_NAME: case T_NUMBER: case T_STRING: case T_RPAREN: case T_QUOTE: case T_YES: case T_NO: case T_INF:
    case T_PI: case T_RBRACE:
        return true;
    case T_RBRACKET:
        return !c->reduced;
    default:
        return false;
    }
}

/* A `*` that stands for any name in a parameter pattern. */
static bool is_wildcard(const Token *before, const Token *star, const Token *after)
{
    bool behind = star->glued && (before->kind == T_DOT || before->kind == T_LBRACKET);
    return behind || (after && after->kind == T_DOT && after->glued);
}

static bool is_sign(const Context *c, const Token *before, const Token *minus, const Token *after)
{
    if (!ends_operand(c, before->kind)) {
        return true;
    }
    return before->kind == T_NAME && opens_value(before->text) && !minus->glued && after && after->glued;
}

/* Indices of one token each: `x[n,c,:]`.  Shapes and lists keep their blanks: `real[N, C]`, `[64, 128]`. */
static bool is_tight(const PieceVec *pieces, uint32_t open)
{
    if (open < 2 || pieces->at[open - 1].comment) {
        return false;
    }
    TokKind before = pieces->at[open - 1].t.kind;
    bool type = is_kind(pieces, open - 2, T_COLON);
    if (type || !(before == T_NAME || before == T_RBRACKET || before == T_RPAREN || is_reducer_tok(before))) {
        return false;
    }
    for (uint32_t i = open + 1; i + 1 < pieces->n; i += 2) {
        TokKind k = pieces->at[i].comment ? T_END : pieces->at[i].t.kind;
        bool one = k == T_NAME || k == T_NUMBER || k == T_COLON || k == T_DOTS;
        if (!one || pieces->at[i].newlines || pieces->at[i + 1].newlines || is_kind(pieces, i + 1, T_RBRACKET)) {
            return one && is_kind(pieces, i + 1, T_RBRACKET) && !pieces->at[i].newlines && !pieces->at[i + 1].newlines;
        }
        if (!is_kind(pieces, i + 1, T_COMMA)) {
            return false;
        }
    }
    return false;
}

/* Whether a blank stands between two tokens of one line. */
static bool needs_space(const Context *c, const Token *before, const Token *t, const Token *after)
{
    bool wild_before = before->kind == T_STAR && (t->kind == T_DOT || t->kind == T_RBRACKET);
    bool tight = before->kind == T_COMMA && c->tight.n && c->tight.at[c->tight.n - 1];
    bool opened = before->kind == T_LPAREN || before->kind == T_LBRACKET || before->kind == T_DOT;
    if (c->prefix || wild_before || tight || opened) {
        return false;
    }
    bool in_index = innermost(c) == T_LBRACKET || innermost(c) == T_SUM;
    switch ((int)t->kind) {
    case T_RPAREN: case T_RBRACKET: case T_COMMA: case T_SEMI: case T_DOT: case T_QUOTE:
        return false;
    case T_STAR:
        return !(is_wildcard(before, t, after) && before->kind == T_DOT);
    case T_CARET:
        return false;
    case T_COLON:
        return !in_index || before->kind == T_COMMA;
    case T_LPAREN:
        if (before->kind == T_NAME) {
            return opens_value(before->text) && !t->glued;
        }
        return !(before->kind == T_MAX || before->kind == T_MIN || (ends_operand(c, before->kind)
                 && before->kind != T_RBRACE)) && before->kind != T_CARET && !(before->kind == T_COLON && in_index);
    case T_LBRACKET:
        if (before->kind == T_NAME) {
            return opens_value(before->text) && !t->glued;
        }
        return !(is_reducer_tok(before->kind) || (ends_operand(c, before->kind) && before->kind != T_RBRACE))
               && before->kind != T_CARET && !(before->kind == T_COLON && in_index);
    default:
        return before->kind != T_CARET && !(before->kind == T_COLON && in_index);
    }
}

/* ---- lines */

typedef struct { Str code, comment; bool blank_before; } Line;
typedef VEC(Line) LineVec;

static Str tidy_comment(Arena *a, Str c)
{
    bool slashes = c.n > 1 && c.s[0] == '/';
    Str body = {c.s + (slashes ? 2 : 1), c.n - (slashes ? 2 : 1)};
    char first = body.n ? body.s[0] : ' ';
    bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || (first >= '0' && first <= '9');
    Buf b = buf_make(a);
    buf_put(&b, letter ? STR("# ") : STR("#"));
    buf_put(&b, body);
    return buf_str(&b);
}

static void track_brackets(Arena *a, Context *c, const PieceVec *pieces, uint32_t i)
{
    switch ((int)pieces->at[i].t.kind) {
    case T_LPAREN: case T_LBRACE: vec_push(a, &c->tight, false); break;
    case T_LBRACKET: vec_push(a, &c->tight, is_tight(pieces, i)); break;
    case T_RPAREN: case T_RBRACKET: case T_RBRACE: c->tight.n -= c->tight.n > 0; break;
    default: break;
    }
}

static void track(Arena *a, Context *c, const Token *before, const Token *t, const Token *after)
{
    c->prefix = t->kind == T_MINUS && is_sign(c, before, t, after);
    bool closes_reducer = t->kind == T_RBRACKET && innermost(c) == T_SUM;
    switch ((int)t->kind) {
    case T_LPAREN: vec_push(a, &c->open, T_LPAREN); break;
    case T_LBRACKET: vec_push(a, &c->open, is_reducer_tok(before->kind) ? T_SUM : T_LBRACKET); break;
    case T_LBRACE:
        vec_push(a, &c->open, T_LBRACE);
        vec_push(a, &c->match_braces, c->match);
        c->match = false;
        break;
    case T_RBRACE:
        c->match_braces.n -= c->match_braces.n > 0;
        c->open.n -= c->open.n > 0;
        break;
    case T_RPAREN: case T_RBRACKET: c->open.n -= c->open.n > 0; break;
    case T_MATCH: c->match = true; break;
    default: break;
    }
    c->reduced = closes_reducer;
}

/* Blanks before the first token of a line: blocks, and one step more for a line that continues the one above. */
static uint32_t indentation(const Context *c, const Token *before, const Token *t)
{
    uint32_t braces = c->match_braces.n;
    bool in_match = braces && c->match_braces.at[braces - 1] && innermost(c) == T_LBRACE;
    bool case_ends = in_match && before->kind == T_COMMA;
    bool closer = t->kind == T_RPAREN || t->kind == T_RBRACKET;
    bool inside = innermost(c) != T_LBRACE && !closer;
    bool goes_on = (tok_joins(before->kind) && !case_ends) || (tok_leads(t->kind) && before->kind != T_NEWLINE);
    uint32_t depth = braces - (t->kind == T_RBRACE && braces > 0);
    return 4 * (depth + (inside || (goes_on && !closer)));
}

static void end_line(Arena *a, LineVec *lines, Line *line, Buf *code)
{
    line->code = str_copy(a, buf_str(code));
    vec_push(a, lines, *line);
    *line = (Line){0};
    *code = buf_make(a);
}

static const Token *token_after(const PieceVec *pieces, uint32_t i)
{
    return i + 1 < pieces->n && !pieces->at[i + 1].comment ? &pieces->at[i + 1].t : NULL;
}

static LineVec lay_out(Arena *a, const PieceVec *pieces)
{
    static const Token start = {.kind = T_NEWLINE};
    LineVec lines = {0};
    Context c = {0};
    Line line = {0};
    Buf code = buf_make(a);
    Token before = start;
    for (uint32_t i = 0; i < pieces->n; i++) {
        const Piece *piece = &pieces->at[i];
        bool fresh = piece->newlines > 0 || i == 0;
        if (piece->newlines > 0) {
            end_line(a, &lines, &line, &code);
            line.blank_before = piece->newlines > 1;
        }
        if (piece->comment) {
            static const Token word = {.kind = T_NAME};     /* indented like a statement in its place */
            if (fresh) {
                buf_printf(&code, "%*s", (int)indentation(&c, &before, &word), "");
            }
            line.comment = tidy_comment(a, piece->t.text);
            continue;
        }
        const Token *t = &piece->t, *after = token_after(pieces, i);
        if (fresh) {
            buf_printf(&code, "%*s", (int)indentation(&c, &before, t), "");
            c.prefix = false;
        } else if (needs_space(&c, &before, t, after)) {
            buf_put(&code, before.kind == T_SEMI || t->kind == T_WEIGHT ? STR("  ") : STR(" "));
        }
        buf_put(&code, t->text);
        track(a, &c, &before, t, after);
        track_brackets(a, &c, pieces, i);
        before = *t;
    }
    end_line(a, &lines, &line, &code);
    return lines;
}

static bool only_blank(Str s)
{
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.s[i] != ' ') {
            return false;
        }
    }
    return true;
}

enum { COMMENT_COLUMN_MAX = 80 };       /* a comment behind longer code is not lined up with its neighbours */

static bool lines_up(const Line *l)
{
    return l->comment.n && !only_blank(l->code) && l->code.n <= COMMENT_COLUMN_MAX;
}

/* The longest code in the run of lines that begins at `first`. */
static uint32_t run_width(const LineVec *lines, uint32_t first)
{
    uint32_t width = 0;
    for (uint32_t i = first; i < lines->n && lines_up(&lines->at[i]); i++) {
        if (i > first && lines->at[i].blank_before) {
            break;
        }
        width = lines->at[i].code.n > width ? lines->at[i].code.n : width;
    }
    return width;
}

static void write_lines(const LineVec *lines, Buf *out)
{
    uint32_t width = 0;
    for (uint32_t i = 0; i < lines->n; i++) {
        const Line *l = &lines->at[i];
        if (lines_up(l) && (i == 0 || !lines_up(l - 1) || l->blank_before)) {
            width = run_width(lines, i);
        }
        if (l->blank_before) {
            buf_char(out, '\n');
        }
        buf_put(out, l->code);
        if (l->comment.n && !only_blank(l->code)) {
            buf_printf(out, "%*s", lines_up(l) ? (int)(width - l->code.n) + 2 : 2, "");
        }
        buf_put(out, l->comment);
        buf_char(out, '\n');
    }
}

void fmt_source(const Source *source, Diags *diags, Buf *out)
{
    Arena *a = arena_create();
    uint32_t errors = diags_errors(diags);
    const AstFile *file = parse_source(a, source, diags);
    if (diags_errors(diags) > errors) {
        buf_put(out, source->text);
    } else {
        PieceVec pieces = read_pieces(a, source, diags);
        drop_separators(a, &pieces);
        match_braces(a, &pieces);
        settle_newlines(&pieces);
        if (!file->edition_at.n) {
            buf_put(out, STR("graph 1\n"));
        }
        if (pieces.n) {
            LineVec lines = lay_out(a, &pieces);
            write_lines(&lines, out);
        }
    }
    arena_destroy(a);
}
