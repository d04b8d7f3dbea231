/* The text that a run keeps against the text that would be run now, token by token: both are resolved (each default
 * and each `-s` written out), so comments, layout and who gave a value make no difference.  What does not belong to
 * the longest common subsequence was changed.  Lines are those of the user's file, which the resolved text is aligned
 * with in the same way. */
#include "changes.h"
#include "lex.h"
#include "rundir.h"
#include <string.h>

enum { CELLS_MOST = 1 << 24, TOLD_MOST = 4, SHOWN_BYTES = 40 };
static const uint32_t none = UINT32_MAX;

typedef struct { Token *at; uint32_t n; const Source *source; } Tokens;

static Tokens tokens_of(Session *s, const Source *source) {
    Tokens t = {.source = source};
    VEC(Token) all = {0};
    Lexer l = lex_start(s->arena, source, diags_create(s->arena, s->files));
    for (Token next = lex_next(&l); next.kind != T_END; next = lex_next(&l)) vec_push(s->arena, &all, next);
    t.at = all.at;
    t.n = all.n;
    return t;
}

/* partner[i]: the token of y that token i of x is, or none. */
typedef struct { const Tokens *x, *y; uint32_t *partner; } Aligned;

static bool same(const Aligned *a, uint32_t i, uint32_t k) { return str_eq(a->x->at[i].text, a->y->at[k].text); }

/* Both ends that agree are left away; the table is of what lies between.  One too large stays unaligned. */
static Aligned align(Arena *arena, const Tokens *x, const Tokens *y) {
    Aligned a = {x, y, PUSH(arena, uint32_t, x->n + 1)};
    uint32_t from = 0, nx = x->n, ny = y->n;
    memset(a.partner, 0xff, sizeof(uint32_t) * (x->n + 1));
    for (; from < nx && from < ny && same(&a, from, from); from++) a.partner[from] = from;
    for (; nx > from && ny > from && same(&a, nx - 1, ny - 1); nx--, ny--) a.partner[nx - 1] = ny - 1;
    uint32_t rows = nx - from, columns = ny - from;
    if ((uint64_t)(rows + 1) * (columns + 1) > CELLS_MOST) return a;
    uint32_t *longest = PUSH(arena, uint32_t, (size_t)(rows + 1) * (columns + 1));      /* of what is left from there */
    for (uint32_t i = rows; i-- > 0;)
        for (uint32_t k = columns; k-- > 0;) {
            uint32_t *at = longest + i * (columns + 1) + k, below = at[columns + 1], right = at[1];
            *at = same(&a, from + i, from + k) ? at[columns + 2] + 1 : below > right ? below : right;
        }
    for (uint32_t i = 0, k = 0; i < rows && k < columns;) {
        const uint32_t *at = longest + i * (columns + 1) + k;
        if (same(&a, from + i, from + k)) a.partner[from + i++] = from + k++;
        else if (at[columns + 1] >= at[1]) i++;
        else k++;
    }
    return a;
}

/* Tokens [was, was_end) of the run's text stand where [now, now_end) do in this one. */
typedef struct { uint32_t was, was_end, now, now_end; } Change;

/* The next one from there; false at the end. */
static bool next_change(const Aligned *old, const Tokens *now, Change *c) {
    uint32_t i = c->was_end, k = c->now_end;
    while (i < old->x->n && old->partner[i] == k) i++, k++;
    *c = (Change){i, i, k, now->n};
    for (; c->was_end < old->x->n; c->was_end++) {
        if (old->partner[c->was_end] == none) continue;
        c->now_end = old->partner[c->was_end];
        break;
    }
    return c->was_end > i || c->now_end > k;
}

static Str shown(Session *s, const Tokens *t, uint32_t from, uint32_t to) {
    Span last = t->at[to - 1].at;
    Str text = {t->at[from].text.s, last.at + last.n - t->at[from].at.at};
    const char *line = memchr(text.s, '\n', text.n);
    uint32_t n = line ? (uint32_t)(line - text.s) : text.n;
    n = n > SHOWN_BYTES ? SHOWN_BYTES : n;
    while (n > 1 && n < text.n && ((unsigned char)text.s[n] & 0xc0) == 0x80) n--;
    return str_format(s->arena, "%.*s%s", (int)n, text.s, n < text.n ? " .." : "");
}

/* The name that a token is the value of: of a setting (alone on its line), or a clause word before it; empty: none. */
static Str value_name(const Tokens *t, uint32_t i) {
    static const char *const clauses[] = {"epochs", "steps", "batch", "seed"};
    for (uint32_t k = 0; i > 0 && k < sizeof clauses / sizeof *clauses; k++)
        if (str_is(t->at[i - 1].text, clauses[k])) return t->at[i - 1].text;
    uint32_t first = i;
    while (first > 0 && !t->at[first].line_start && t->at[first - 1].kind != T_SEMI) first--;
    bool setting = first + 2 < t->n && str_is(t->at[first].text, "setting") && t->at[first + 2].kind == T_COLON;
    for (uint32_t k = first; setting && k < i; k++)
        if (t->at[k].kind == T_ASSIGN) return t->at[first + 1].text;
    return (Str){0};
}

/* The line of the file at which token `now` stands, or would. */
static uint32_t line_of(Session *s, const Aligned *file, uint32_t now) {
    uint32_t i = now < file->x->n ? now : file->x->n;
    while (i > 0 && (i == file->x->n || file->partner[i] == none)) i--;
    if (file->x->n == 0 || file->partner[i] == none) return 1;
    return sources_place(s->files, file->y->at[file->partner[i]].at).line;
}

/* As it was typed, without the defaults that were written into it; what `-s` gave nobody typed. */
static Str shown_now(Session *s, const Aligned *file, const Tokens *now, uint32_t from, uint32_t to) {
    while (file && from < to && file->partner[from] == none) from++;
    while (file && to > from && file->partner[to - 1] == none) to--;
    return from < to ? shown(s, now, from, to) : (Str){0};
}

typedef struct { Buf text, settings; uint32_t n; bool others; } Told;

/* file: the text now, aligned with what the user sees; NULL for a used text, whose lines are those of the run's
 * copy. */
static void tell(Session *s, const Aligned *old, const Aligned *file, Str copy, const Change *c, Told *out) {
    Str was = c->was_end > c->was ? shown(s, old->x, c->was, c->was_end) : (Str){0};
    Str now = shown_now(s, file, old->y, c->now, c->now_end);
    if (!now.n && c->now_end > c->now) now = shown(s, old->y, c->now, c->now_end);
    Str name = file && was.n && now.n ? value_name(old->y, c->now) : (Str){0};
    out->others |= name.n == 0;
    if (name.n) buf_printf(&out->settings, " -s %.*s=%.*s", FSTR(name), FSTR(was));
    if (out->n++ >= TOLD_MOST) return;
    if (out->n > 1) buf_printf(&out->text, ", ");
    if (name.n) buf_printf(&out->text, "%.*s %.*s → %.*s", FSTR(name), FSTR(was), FSTR(now));
    else if (was.n && now.n) buf_printf(&out->text, "`%.*s` → `%.*s`", FSTR(was), FSTR(now));
    else buf_printf(&out->text, "`%.*s` is %s", FSTR(was.n ? was : now), was.n ? "gone" : "new");
    uint32_t is = c->now - (!now.n && c->now > 0), before = c->was - (!was.n && c->was > 0);
    Span at = before < old->x->n ? old->x->at[before].at : (Span){old->x->source->base, 1};
    if (file) buf_printf(&out->text, " (line %u)", line_of(s, file, is));
    else buf_printf(&out->text, " (%.*s:%u)", FSTR(copy), sources_place(s->files, at).line);
}

static void tell_use(Session *s, Str run, const RecipeUse *u, Told *out) {
    const Source *source;
    Error unread;
    Str copy = u->run.n ? rundir_file(s->arena, u->copy, RUN_PROGRAM) : str_copy(s->arena, u->copy);
    Str path = rundir_file(s->arena, run, copy.s);
    if (sources_load(s->files, path, &source, &unread) != GR_OK) return;
    Tokens was = tokens_of(s, source), now = tokens_of(s, sources_add(s->files, u->copy, u->text));
    Aligned old = align(s->arena, &was, &now);
    for (Change c = {0}; next_change(&old, &now, &c);) tell(s, &old, NULL, copy, &c, out);
}

void changes_explain(Session *s, Str run, Error *e) {
    const Source *source;
    Error unread;
    if (sources_load(s->files, rundir_file(s->arena, run, RUN_PROGRAM), &source, &unread) != GR_OK) return;
    Tokens was = tokens_of(s, source), typed = tokens_of(s, s->main);
    Tokens now = tokens_of(s, sources_add(s->files, s->main->path, s->recipe->resolved));
    Aligned old = align(s->arena, &was, &now), file = align(s->arena, &now, &typed);
    Told told = {buf_make(s->arena), buf_make(s->arena), 0, false};
    for (Change c = {0}; next_change(&old, &now, &c);) tell(s, &old, &file, (Str){0}, &c, &told);
    for (uint32_t i = 0; i < s->recipe->uses.n; i++) tell_use(s, run, &s->recipe->uses.at[i], &told);
    if (told.n == 0) return;
    if (told.n > TOLD_MOST) buf_printf(&told.text, " and %u more", told.n - TOLD_MOST);
    fail(e, GR_CHANGED, "%.*s was trained with another program: %.*s", FSTR(run), FSTR(buf_str(&told.text)));
    if (told.others) fail_help(e, "a changed program begins a run of its own: another `--run`");
    else fail_help(e, "`%.*s` makes it the program of the run", (int)told.settings.n - 1, told.settings.s + 1);
}
