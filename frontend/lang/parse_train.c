/* The clauses of `train` and of `sweep`: one rule each, found by their first word. */
#include "parse.h"

static const Unit epochs_or_steps[] = {UNIT_EPOCHS, UNIT_STEPS};
static const Unit any_unit[] = {UNIT_EPOCHS, UNIT_STEPS, UNIT_REPORTS};

void parse_direction(Parser *p, bool *highest)
{
    *highest = parse_is_word(p, "highest");
    if (!*highest && !parse_is_word(p, "lowest")) {
        parse_unexpected(p, "`lowest` or `highest`");
        return;
    }
    parse_take(p);
}

/* ---- train */

static void parse_objective_clause(Parser *p, TrainClause *c)
{
    c->objective.name = parse_path(p, "the name of an objective");
    if (parse_accept_word(p, "updates")) {
        parse_patterns(p, &c->objective.updates);
    }
    if (parse_tok(p) == T_NUMBER || parse_tok(p) == T_NAME || parse_tok(p) == T_LPAREN) {
        c->objective.times = parse_sum(p);
        parse_expect_word(p, "times", "behind how often the objective runs");
    }
}

static void parse_optimizer_clause(Parser *p, TrainClause *c)
{
    c->optimizer.call = parse_postfix(p);
    ExprKind k = c->optimizer.call->kind;
    if (k != EX_CALL && k != EX_NAME && k != EX_FIELD) {
        parse_fail(p, c->optimizer.call->at, "`optimizer adam(lr = 1e-3)`", "an optimizer is a call");
    }
    if (!parse_accept(p, T_FOR)) {
        return;
    }
    if (parse_is_word(p, "rank") && parse_ahead(p, 1)->kind == T_LT) {
        parse_take(p);
        parse_take(p);
        c->optimizer.rank_below = parse_sum(p);
    } else {
        parse_patterns(p, &c->optimizer.patterns);
    }
}

static bool batch_word_ahead(Parser *p, uint32_t i)
{
    return parse_ahead_is_word(p, i, "shards") || parse_ahead_is_word(p, i, "drop");
}

static void parse_batch_clause(Parser *p, TrainClause *c)
{
    do {
        BatchPart part = {.rows = NULL};
        const Token *next = parse_ahead(p, 1);
        bool operand = next->kind == T_NUMBER || (next->kind == T_NAME && !batch_word_ahead(p, 1));
        if (parse_tok(p) == T_NAME && operand && !next->line_start) {
            part.data = parse_name(p, "the name of a data set");
        }
        part.rows = parse_sum(p);
        vec_push(p->arena, &c->batch.parts, part);
    } while (parse_accept(p, T_COMMA));
    if (parse_accept_word(p, "shards")) {
        c->batch.shards = parse_sum(p);
        c->batch.per_shard = parse_accept_word(p, "per");
        if (c->batch.per_shard) {
            parse_expect_word(p, "shard", "in `per shard`");
        }
    }
    c->batch.drop_tail = parse_accept_word(p, "drop");
    if (c->batch.drop_tail) {
        parse_expect_word(p, "tail", "in `drop tail`");
    }
}

static void parse_load_clause(Parser *p, TrainClause *c)
{
    parse_patterns(p, &c->load.patterns);
    parse_expect_word(p, "from", "in `load P from \"weights.safetensors\"`");
    c->load.file = parse_expr(p);
    c->load.names = parse_accept_word(p, "names") ? parse_expr(p) : NULL;
    c->load.partly = parse_accept_word(p, "partly");
}

static void parse_validate_clause(Parser *p, TrainClause *c)
{
    if (!parse_is_word(p, "every")) {
        c->validate.objective = parse_path(p, "`every`, or the name of an objective,");
    }
    parse_expect_word(p, "every", "in `validate every 1 epochs`");
    c->validate.every = parse_count(p, epochs_or_steps, 2);
}

static void parse_every_clause(Parser *p, TrainClause *c)
{
    c->interleave.every = parse_count(p, epochs_or_steps, 2);
    parse_expect_word(p, "train", "in `every 20 epochs train probe`");
    c->interleave.train = parse_name(p, "the name of a phase");
}

typedef struct { const char *word; int kind; } ClauseWord;
static const ClauseWord train_words[] = {
    {"objective", TC_OBJECTIVE}, {"optimizer", TC_OPTIMIZER}, {"epochs", TC_EPOCHS}, {"steps", TC_STEPS},
    {"batch", TC_BATCH}, {"seed", TC_SEED}, {"clip", TC_CLIP}, {"freeze", TC_FREEZE}, {"load", TC_LOAD},
    {"precision", TC_PRECISION}, {"convolution", TC_CONVOLUTION}, {"validate", TC_VALIDATE},
    {"report", TC_REPORT}, {"save", TC_SAVE},
    {"keep", TC_KEEP}, {"patience", TC_PATIENCE}, {"every", TC_EVERY},
    {"shuffle", TC_SHUFFLE}, {NULL, TC_ERROR},
};
static const ClauseWord sweep_words[] = {
    {"draw", SC_DRAW}, {"skip", SC_SKIP}, {"points", SC_POINTS}, {"best", SC_BEST}, {NULL, SC_ERROR},
};

static int find_clause(Parser *p, const ClauseWord *words)
{
    for (; words->word; words++) {
        if (parse_is_word(p, words->word)) {
            return words->kind;
        }
    }
    return 0;
}

/* No clause begins so: the nearest word if one is near, else all of them. */
static void fail_clause(Parser *p, const ClauseWord *words, const char *block)
{
    const Token *t = parse_ahead(p, 0);
    Buf all = buf_make(p->arena);
    Nearest near = nearest_to(t->text);
    for (const ClauseWord *w = words; w->word; w++) {
        buf_printf(&all, "%s`%s`", w == words ? "" : " ", w->word);
        nearest_consider(&near, str_of(w->word));
    }
    Str help = near.best.n ? str_format(p->arena, "did you mean `%.*s`?", FSTR(near.best))
                           : str_format(p->arena, "the clauses are %.*s", FSTR(buf_str(&all)));
    parse_fail(p, t->at, help.s, "`%.*s` begins no clause of `%s`", FSTR(t->text), block);
}

static void parse_train_clause(Parser *p, TrainClause *c)
{
    c->at = parse_ahead(p, 0)->at;
    c->kind = (TrainClauseKind)find_clause(p, train_words);
    if (c->kind == TC_ERROR) {
        fail_clause(p, train_words, "train");
        return;
    }
    Token word = parse_take(p);
    if (parse_tok(p) == T_ASSIGN || parse_tok(p) == T_COLON) {
        Token sign = parse_take(p);
        Str value = parse_ahead(p, 0)->line_start ? STR("..") : parse_rest_of_line(p);
        parse_fail(p, sign.at, str_format(p->arena, "write `%.*s %.*s`", FSTR(word.text), FSTR(value)).s,
                   "a clause has no `%.*s`", FSTR(sign.text));
    }
    switch (c->kind) {
    case TC_ERROR: case TC_COUNT: break;
    case TC_OBJECTIVE: parse_objective_clause(p, c); break;
    case TC_OPTIMIZER: parse_optimizer_clause(p, c); break;
    case TC_EPOCHS: case TC_STEPS: case TC_SEED: c->number = parse_expr(p); break;
    case TC_BATCH: parse_batch_clause(p, c); break;
    case TC_CLIP:
        c->clip.what = parse_name(p, "`norm`");
        c->clip.limit = parse_expr(p);
        break;
    case TC_FREEZE: parse_patterns(p, &c->freeze); break;
    case TC_LOAD: parse_load_clause(p, c); break;
    case TC_PRECISION: c->precision = parse_name(p, "`f32`, `bf16` or `f16`"); break;
    case TC_CONVOLUTION: c->convolution = parse_name(p, "`direct` or `winograd`"); break;
    case TC_VALIDATE: parse_validate_clause(p, c); break;
    case TC_REPORT: case TC_SAVE:
        parse_expect_word(p, "every", "behind `report` and `save`");
        c->every = parse_count(p, epochs_or_steps, 2);
        break;
    case TC_KEEP:
        parse_direction(p, &c->keep.highest);
        c->keep.score = parse_expr(p);
        break;
    case TC_PATIENCE: c->every = parse_count(p, any_unit, 3); break;
    case TC_EVERY: parse_every_clause(p, c); break;
    case TC_SHUFFLE:
        parse_expect_word(p, "buffer", "in `shuffle buffer 10000`");
        c->number = parse_expr(p);
        break;
    }
}

void parse_train(Parser *p, Decl *d)
{
    d->kind = DECL_TRAIN;
    BlockScope s = {0};
    parse_block_open(p, &s, "before the clauses of `train`");
    if (p->panic) {
        vec_push(p->arena, &d->train.clauses, (TrainClause){.kind = TC_ERROR});
    }
    while (parse_block_item(p, &s)) {
        TrainClause c = {.kind = TC_ERROR};
        parse_train_clause(p, &c);
        c.at = parse_since(p, c.at);
        if (p->panic) {
            c.kind = TC_ERROR;
        }
        vec_push(p->arena, &d->train.clauses, c);
        parse_block_next(p, &s);
    }
    parse_block_close(p, &s);
}

/* ---- sweep */

static void parse_values(Parser *p, SweepClause *c)
{
    parse_expect(p, T_IN, "before the values");
    parse_exprs(p, &c->in.values);
    for (uint32_t i = 0; c->in.names.n > 1 && i < c->in.values.n; i++) {
        const Expr *v = c->in.values.at[i];
        if (v->kind != EX_TUPLE || v->list.items.n != c->in.names.n) {
            parse_fail(p, v->at, "`(x, y) in (1, 2), (3, 4)`", "each point gives a value to each of the %u names",
                       c->in.names.n);
        }
    }
}

static void parse_grid(Parser *p, SweepClause *c)
{
    Bracket b;
    c->kind = SC_IN;
    if (parse_tok(p) == T_LPAREN) {
        parse_open(p, T_LPAREN, &b, "before the names");
        do {
            vec_push(p->arena, &c->in.names, parse_path(p, "the name of a setting"));
        } while (parse_comma(p, &b));
        parse_close(p, &b);
        parse_values(p, c);
        return;
    }
    Name name = parse_path(p, "the name of a setting");
    if (parse_accept(p, T_ASSIGN)) {
        c->kind = SC_SET;
        c->set.name = name;
        c->set.value = parse_expr(p);
        return;
    }
    vec_push(p->arena, &c->in.names, name);
    parse_values(p, c);
}

static bool grid_ahead(Parser *p)
{
    TokKind next = parse_ahead(p, 1)->kind;
    return parse_tok(p) == T_LPAREN
           || (parse_tok(p) == T_NAME && (next == T_IN || next == T_ASSIGN || next == T_DOT));
}

static void parse_sweep_clause(Parser *p, SweepClause *c)
{
    c->at = parse_ahead(p, 0)->at;
    if (grid_ahead(p)) {
        parse_grid(p, c);
        return;
    }
    c->kind = parse_tok(p) == T_REPEAT ? SC_REPEAT : (SweepClauseKind)find_clause(p, sweep_words);
    if (c->kind == SC_ERROR) {
        fail_clause(p, sweep_words, "sweep");
        return;
    }
    parse_take(p);
    switch (c->kind) {
    case SC_ERROR: case SC_IN: case SC_SET: case SC_COUNT: break;
    case SC_DRAW:
        c->draw.n = parse_sum(p);
        if (parse_accept_word(p, "seed")) {
            c->draw.seed = parse_sum(p);
        }
        break;
    case SC_SKIP:
        parse_expect(p, T_WHEN, "behind `skip`");
        c->skip = parse_expr(p);
        break;
    case SC_POINTS: c->points = parse_expr(p); break;
    case SC_REPEAT:
        vec_push(p->arena, &c->in.names, parse_path(p, "the name of a setting"));
        parse_values(p, c);
        break;
    case SC_BEST:
        parse_direction(p, &c->best.highest);
        c->best.score = parse_expr(p);
        break;
    }
}

void parse_sweep(Parser *p, Decl *d)
{
    d->kind = DECL_SWEEP;
    BlockScope s = {0};
    parse_block_open(p, &s, "before the clauses of `sweep`");
    while (parse_block_item(p, &s)) {
        SweepClause c = {.kind = SC_ERROR};
        parse_sweep_clause(p, &c);
        c.at = parse_since(p, c.at);
        if (p->panic) {
            c.kind = SC_ERROR;
        }
        vec_push(p->arena, &d->sweep.clauses, c);
        parse_block_next(p, &s);
    }
    parse_block_close(p, &s);
}
