/* Declarations and the file as a whole.  Words like `data` and `train` are words only where a declaration begins, and
 * not when `=` follows: then the word is the name of a constant. */
#include "parse.h"
#include "syntax.h"

/* ---- declarations with a body */

static void parse_results(Parser *p, Decl *d, bool needed)
{
    if (parse_tok(p) == T_COLON) {
        parse_colon_block(p);
    }
    d->function.has_results = parse_tok(p) == T_ARROW;
    if (needed && !d->function.has_results) {
        parse_unexpected(p, "`-> (results)` behind the arguments");
    }
    if (parse_accept(p, T_ARROW)) {
        parse_signature_part(p, &d->function.sig.results, false);
    }
}

static void parse_function(Parser *p, Decl *d, DeclKind kind)
{
    d->kind = kind;
    parse_signature_part(p, &d->function.sig.args, true);
    if (kind == DECL_DEF) {
        parse_results(p, d, false);
        if (parse_accept(p, T_ASSIGN)) {
            d->function.value = parse_expr(p);
            return;
        }
        if (!d->function.has_results && parse_tok(p) != T_LBRACE) {
            parse_unexpected(p, "`-> (results) { … }` or `= expression` behind the arguments");
        }
    } else if (kind != DECL_OBJECTIVE) {
        parse_results(p, d, true);
    }
    d->function.body = parse_body(p, "before the body");
}

static void parse_model(Parser *p, Decl *d)
{
    parse_take(p);
    d->name = parse_name(p, "the name of the model");
    if (!parse_accept_word(p, "follows")) {
        parse_function(p, d, DECL_MODEL);
        return;
    }
    d->kind = DECL_FOLLOWS;
    d->follows.source = parse_path(p, "the model that is followed");
    parse_expect_word(p, "rate", "in `model t follows m rate e`");
    d->follows.rate = parse_expr(p);
}

static void parse_optimizer(Parser *p, Decl *d)
{
    d->kind = DECL_OPTIMIZER;
    parse_signature_part(p, &d->optimizer.sig.args, true);
    parse_expect(p, T_FOR, "in `optimizer o(args) for p, g, k { … }`");
    d->optimizer.p = parse_name(p, "the name of the parameter");
    parse_expect(p, T_COMMA, "before the name of the gradient");
    d->optimizer.g = parse_name(p, "the name of the gradient");
    parse_expect(p, T_COMMA, "before the name of the update's number");
    d->optimizer.k = parse_name(p, "the name of the update's number");
    d->optimizer.body = parse_body(p, "before the body");
}

static void parse_extern(Parser *p, Decl *d)
{
    d->kind = DECL_EXTERN;
    parse_expect(p, T_DEF, "behind `extern`");
    d->name = parse_name(p, "the name of the function");
    parse_signature_part(p, &d->external.sig.args, true);
    parse_expect(p, T_ARROW, "before the results");
    parse_signature_part(p, &d->external.sig.results, false);
    parse_expect_word(p, "from", "before the library");
    Span at = parse_ahead(p, 0)->at;
    d->external.library = (Name){parse_string(p, "the path of the library"), at};
    d->external.nograd = parse_accept(p, T_NOGRAD);
    if (d->external.nograd) {
        return;
    }
    if (!parse_accept_word(p, "gradient")) {
        parse_unexpected(p, "`gradient name` or `nograd`");
    }
    d->external.gradient = parse_name(p, "the C function of the gradient");
}

/* ---- the small ones */

static void parse_use(Parser *p, Decl *d)
{
    d->kind = DECL_USE;
    d->use.path = parse_string(p, "a path in quotes");
    parse_expect(p, T_AS, "in `use \"file.graph\" as name`");
    d->name = parse_name(p, "the name of the module");
}

static void parse_setting(Parser *p, Decl *d)
{
    d->kind = DECL_SETTING;
    parse_names(p, "the name of the setting", &d->setting.names);
    parse_expect(p, T_COLON, "before the type of the setting");
    d->setting.type = parse_type(p);
    parse_expect(p, T_ASSIGN, "before the value of the setting");
    parse_exprs(p, &d->setting.values);
    uint32_t names = d->setting.names.n, values = d->setting.values.n;
    if (values != 1 && values != names) {
        parse_fail(p, parse_since(p, d->setting.values.at[0]->at), "give one value for all, or one for each",
                   "%u names but %u values", names, values);
    }
}

static void parse_constant(Parser *p, Decl *d)
{
    d->kind = DECL_CONSTANT;
    d->name = parse_name(p, "the name of the constant");
    parse_take(p);
    d->constant = parse_expr(p);
}

static void parse_data(Parser *p, Decl *d)
{
    d->kind = DECL_DATA;
    p->in_data = true;
    d->data = parse_body(p, "before the body of `data`");
    p->in_data = false;
}

/* `graph 1`.  Only one edition exists; a later one is a later compiler's. */
static void parse_edition(Parser *p, AstFile *file)
{
    Span start = parse_take(p).at;
    Token number = parse_take(p);
    Span at = parse_since(p, start);
    if (file->edition_at.n) {
        parse_fail(p, at, NULL, "the edition is given twice");
    } else if (!str_is(number.text, "1")) {
        parse_fail(p, number.at, "this graphc knows edition 1: `graph 1`", "there is no edition %.*s",
                   FSTR(number.text));
    }
    file->edition_at = at;
}

/* ---- one declaration */

typedef struct { const char *word; DeclKind kind; } DeclWord;
static const DeclWord decl_words[] = {
    {"use", DECL_USE}, {"setting", DECL_SETTING}, {"require", DECL_REQUIRE}, {"data", DECL_DATA},
    {"optimizer", DECL_OPTIMIZER}, {"objective", DECL_OBJECTIVE}, {"export", DECL_EXPORT}, {"extern", DECL_EXTERN},
    {"train", DECL_TRAIN}, {"sweep", DECL_SWEEP},
};
enum { N_DECL_WORDS = sizeof decl_words / sizeof *decl_words };

static DeclKind find_decl(Parser *p)
{
    for (uint32_t i = 0; i < N_DECL_WORDS; i++) {
        if (parse_is_word(p, decl_words[i].word)) {
            return decl_words[i].kind;
        }
    }
    return DECL_ERROR;
}

static void fail_decl(Parser *p)
{
    const Token *t = parse_ahead(p, 0);
    Nearest near = nearest_to(t->text);
    for (uint32_t i = 0; t->kind == T_NAME && i < N_DECL_WORDS; i++) {
        nearest_consider(&near, str_of(decl_words[i].word));
    }
    if (t->kind == T_NAME) {
        nearest_consider(&near, STR("model"));
        nearest_consider(&near, STR("def"));
        nearest_consider(&near, STR("graph"));
    }
    if (near.best.n) {
        parse_fail(p, t->at, str_format(p->arena, "did you mean `%.*s`?", FSTR(near.best)).s,
                   "`%.*s` begins no declaration", FSTR(t->text));
    } else if (t->kind == T_RBRACE && p->told_nesting) {
        p->panic = true;                    /* its `{` was passed over */
    } else if (t->kind == T_RBRACE) {
        parse_fail(p, t->at, NULL, "this `}` closes nothing");
    } else {
        parse_unexpected(p, "a declaration");
    }
}

static Name optional_name(Parser *p)
{
    Name none = {{"", 0}, parse_ahead(p, 0)->at};
    return parse_tok(p) == T_NAME ? parse_name(p, "a name") : none;
}

static void parse_worded(Parser *p, Decl *d)
{
    DeclKind kind = find_decl(p);
    if (kind == DECL_REQUIRE) {
        d->kind = kind;
        parse_require(p, &d->require.cond, &d->require.why);
        return;
    }
    if (kind == DECL_ERROR) {
        fail_decl(p);
        return;
    }
    Token word = parse_take(p);
    d->name.at = word.at;
    switch (kind) {
    case DECL_USE:     parse_use(p, d); break;
    case DECL_SETTING: parse_setting(p, d); break;
    case DECL_EXTERN:  parse_extern(p, d); break;
    case DECL_TRAIN:
        d->name = optional_name(p);
        parse_train(p, d);
        break;
    case DECL_SWEEP:
        d->name = optional_name(p);
        parse_sweep(p, d);
        break;
    case DECL_DATA:
        d->name = parse_name(p, "the name of the data set");
        parse_data(p, d);
        break;
    case DECL_OPTIMIZER:
        d->name = parse_name(p, "the name of the optimizer");
        parse_optimizer(p, d);
        break;
    case DECL_OBJECTIVE: case DECL_EXPORT:
        d->name = parse_name(p, kind == DECL_EXPORT ? "the name of the export" : "the name of the objective");
        parse_function(p, d, kind);
        break;
    case DECL_ERROR: case DECL_CONSTANT: case DECL_REQUIRE: case DECL_DEF: case DECL_MODEL: case DECL_FOLLOWS:
    case DECL_COUNT:
        GR_BUG("no declaration word");
    }
}

static void parse_decl(Parser *p, Decl *d)
{
    d->at = parse_ahead(p, 0)->at;
    d->name.at = d->at;
    TokKind k = parse_tok(p);
    if (k == T_DEF) {
        parse_take(p);
        d->name = parse_name(p, "the name of the function");
        parse_function(p, d, DECL_DEF);
    } else if (k == T_MODEL) {
        parse_model(p, d);
    } else if (k == T_NAME && parse_ahead(p, 1)->kind == T_ASSIGN) {
        parse_constant(p, d);
    } else {
        parse_worded(p, d);
    }
    d->at = parse_since(p, d->at);
}

/* ---- comments that document */

static uint32_t line_gap(const Source *src, uint32_t from, uint32_t to)
{
    uint32_t lines = 0;
    for (uint32_t i = from; i < to; i++) {
        lines += src->text.s[i - src->base] == '\n';
    }
    return lines;
}

/* The own-line comments that end on the line above `at`, and those above them without a gap. */
static Str doc_above(Parser *p, uint32_t at)
{
    const CommentVec *all = &p->lex.comments;
    const Source *src = p->lex.source;
    uint32_t end = all->n;
    while (end > 0 && all->at[end - 1].at.at >= at) {
        end--;
    }
    uint32_t first = end, below = at;
    while (first > 0 && all->at[first - 1].own_line) {
        Span c = all->at[first - 1].at;
        if (line_gap(src, c.at + c.n, below) != 1) {
            break;
        }
        below = c.at;
        first--;
    }
    Buf b = buf_make(p->arena);
    for (uint32_t i = first; i < end; i++) {
        Str line = {src->text.s + (all->at[i].at.at - src->base) + 1, all->at[i].at.n - 1};
        if (line.n && line.s[0] == ' ') {
            line = (Str){line.s + 1, line.n - 1};
        }
        buf_put(&b, i > first ? STR("\n") : STR(""));
        buf_put(&b, line);
    }
    return first < end ? str_copy(p->arena, buf_str(&b)) : (Str){"", 0};
}

/* ---- the file */

const AstFile *parse_source(Arena *a, const Source *source, Diags *diags)
{
    AstFile *file = PUSH(a, AstFile, 1);
    file->source = source;
    file->edition = 1;
    Parser p = {.arena = a, .diags = diags, .lex = lex_start(a, source, diags), .joined = true};
    BlockScope scope;
    parse_file_scope(&scope);
    while (parse_block_item(&p, &scope)) {
        if (parse_is_word(&p, "graph") && parse_ahead(&p, 1)->kind == T_NUMBER) {
            parse_edition(&p, file);
        } else {
            Decl *d = PUSH(a, Decl, 1);
            d->doc = doc_above(&p, parse_ahead(&p, 0)->at.at);
            parse_decl(&p, d);
            vec_push(a, &file->decls, d);
        }
        parse_block_next(&p, &scope);
    }
    file->comments.at = p.lex.comments.at;
    file->comments.n = p.lex.comments.n;
    file->comments.cap = p.lex.comments.cap;
    return file;
}
