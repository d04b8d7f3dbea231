/* Statements of a body: bindings, cells (`param`, `state`), control, and the lines that make series. */
#include "parse.h"

/* ---- targets */

static TargetItem parse_target_item(Parser *p)
{
    TargetItem it = {.at = parse_ahead(p, 0)->at};
    if (parse_accept(p, T_DOTS)) {
        it.kind = TI_REST;
    } else if (parse_accept(p, T_COLON)) {
        it.kind = TI_ALL;
    } else if (parse_tok(p) == T_NAME) {
        it.kind = TI_INDEX;
        it.name = parse_name(p, "an index");
        if (parse_accept(p, T_LT)) {
            it.extent = parse_sum(p);
        }
    } else {
        parse_fail(p, it.at, "a value is made as a whole: `y[n] = …` for every n, `concat`, or `where(n == 0, a, b)`",
                   "left of `=` the brackets hold index names, `:` and `..`");
    }
    it.at = parse_since(p, it.at);
    return it;
}

Target parse_target(Parser *p)
{
    Target t = {.name = parse_name(p, "a name for the value")};
    t.at = t.name.at;
    t.indexed = parse_tok(p) == T_LBRACKET;
    if (t.indexed) {
        Bracket b;
        parse_open(p, T_LBRACKET, &b, "before indices");
        do {
            vec_push(p->arena, &t.items, parse_target_item(p));
        } while (parse_comma(p, &b));
        parse_close(p, &b);
        t.at = parse_since(p, t.at);
    }
    return t;
}

bool parse_binds_ahead(Parser *p)
{
    switch ((int)parse_ahead(p, 1)->kind) {
    case T_ASSIGN: case T_COMMA: case T_LBRACKET: case T_COLON: case T_UPDATE:
        return true;
    default:
        return false;
    }
}

static void parse_instance(Parser *p, Stmt *s, Name name)
{
    s->kind = ST_INSTANCE;
    s->instance.name = name;
    s->instance.callee = parse_callable(p, "a definition");
    if (parse_tok(p) == T_LBRACKET) {
        parse_fail(p, parse_ahead(p, 0)->at, "types stand on arguments, results, parameters and columns; a shape is "
                                             "checked by `x as [N, 8]`", "a value in a body has no type");
    }
    if (parse_tok(p) == T_LPAREN) {
        parse_args(p, &s->instance.args);
    }
}

/* What follows the targets decides: `=` binds, `<-` updates, `:` is an instance or, in data, a column. */
static void parse_binding(Parser *p, Stmt *s)
{
    TargetVec targets = {0};
    do {
        vec_push(p->arena, &targets, parse_target(p));
    } while (parse_accept(p, T_COMMA));
    Target first = targets.at[0];
    if (parse_tok(p) == T_COLON && p->in_data) {
        NameVec names = {0};
        for (uint32_t i = 0; i < targets.n; i++) {
            if (targets.at[i].indexed) {
                parse_fail(p, targets.at[i].at, "`name : u8[28, 28]`", "the shape of a column stands in its type");
            }
            vec_push(p->arena, &names, targets.at[i].name);
        }
        parse_column(p, s, &names);
        return;
    }
    if (parse_tok(p) == T_COLON && targets.n == 1 && !first.indexed) {
        parse_take(p);
        parse_instance(p, s, first.name);
        return;
    }
    if (parse_tok(p) == T_UPDATE) {
        Token op = parse_take(p);
        s->kind = ST_UPDATE;
        s->update.name = first.name;
        if (targets.n > 1 || first.indexed) {
            parse_fail(p, op.at, "build the new value first: `v[c] = …`, then `m <- v`",
                       "`<-` updates one state, whole");
        }
        s->update.value = parse_expr(p);
        return;
    }
    s->kind = ST_BIND;
    s->bind.targets = targets;
    parse_expect(p, T_ASSIGN, "behind the names of a value");
    s->bind.value = parse_expr(p);
}

/* ---- cells and control */

static void parse_cell(Parser *p, Stmt *s)
{
    s->kind = parse_take(p).kind == T_PARAM ? ST_PARAM : ST_STATE;
    parse_names(p, s->kind == ST_PARAM ? "the name of the parameter" : "the name of the state", &s->cell.names);
    if (parse_accept(p, T_COLON)) {
        s->cell.type = parse_type(p);
    }
    if (parse_accept(p, T_ASSIGN)) {
        s->cell.init = parse_expr(p);
    }
}

static void parse_for(Parser *p, Stmt *s)
{
    s->kind = ST_FOR;
    parse_take(p);
    Name name = parse_name(p, "the name of the loop's item");
    if (parse_accept(p, T_LT)) {
        s->loop.counter = name;
        s->loop.below = parse_expr(p);
    } else {
        s->loop.item = name;
        if (parse_accept(p, T_COMMA)) {
            s->loop.counter = parse_name(p, "the name of the counter");
        }
        if (parse_expect(p, T_IN, "or `<` in `for x in list`, `for i < n`")) {
            s->loop.in = parse_expr(p);
        } else {
            s->loop.in = parse_error_expr(p);
        }
    }
    s->loop.body = parse_body(p, "before the body of `for`");
}

static void parse_scan(Parser *p, Stmt *s)
{
    s->kind = ST_SCAN;
    parse_take(p);
    do {
        Carry c = {.name = parse_name(p, "what the scan carries")};
        parse_expect(p, T_ASSIGN, "before its first value");
        c.init = parse_expr(p);
        vec_push(p->arena, &s->scan.carries, c);
    } while (parse_accept(p, T_COMMA));
    parse_expect(p, T_OVER, "in `scan h = h0 over x in xs`");
    do {
        Over o = {.name = parse_name(p, "the name of an element")};
        if (parse_accept(p, T_LT)) {
            o.below = parse_expr(p);
        } else if (parse_expect(p, T_IN, "or `<` in `over x in xs, t < T`")) {
            o.in = parse_expr(p);
        } else {
            o.in = parse_error_expr(p);
        }
        vec_push(p->arena, &s->scan.over, o);
    } while (parse_accept(p, T_COMMA));
    s->scan.body = parse_body(p, "before the body of `scan`");
}

static void parse_named_value(Parser *p, Target *target, Expr **value)
{
    *target = parse_target(p);
    parse_expect(p, T_ASSIGN, "before the value");
    *value = parse_expr(p);
}

static void parse_repeat(Parser *p, Stmt *s)
{
    s->kind = ST_REPEAT;
    parse_take(p);
    parse_named_value(p, &s->repeat.target, &s->repeat.value);
    parse_expect(p, T_UNTIL, "before the condition of `repeat`");
    s->repeat.until = parse_expr(p);
}

static void parse_if(Parser *p, Stmt *s)
{
    s->kind = ST_IF;
    parse_take(p);
    s->branch.cond = parse_expr(p);
    s->branch.then = parse_body(p, "before what `if` decides");
    bool next_line = parse_tok(p) == T_NEWLINE && parse_ahead(p, 0)->kind == T_ELSE;
    if (parse_tok(p) != T_ELSE && !next_line) {
        return;
    }
    parse_take(p);
    s->branch.has_else = true;
    if (parse_tok(p) == T_IF) {
        Stmt *inner = parse_enter(p) ? parse_stmt(p) : PUSH(p->arena, Stmt, 1);
        parse_leave(p);
        s->branch.otherwise.at = inner->at;
        vec_push(p->arena, &s->branch.otherwise.stmts, inner);
    } else {
        s->branch.otherwise = parse_body(p, "behind `else`");
    }
}

static void parse_match_stmt(Parser *p, Stmt *s)
{
    s->kind = ST_MATCH;
    parse_take(p);
    s->match.subject = parse_expr(p);
    BlockScope scope = {.commas = true};
    parse_block_open(p, &scope, "before the cases of `match`");
    while (parse_block_item(p, &scope)) {
        BlockArm arm = {.at = parse_ahead(p, 0)->at};
        arm.pattern = parse_pattern(p);
        parse_expect(p, T_FAT_ARROW, "behind a case");
        arm.body = parse_body(p, "before the statements of a case");
        arm.at = parse_since(p, arm.at);
        vec_push(p->arena, &s->match.arms, arm);
        parse_block_next(p, &scope);
    }
    parse_block_close(p, &scope);
}

void parse_require(Parser *p, Expr **cond, Str *why)
{
    parse_take(p);
    *cond = parse_expr(p);
    if (parse_accept(p, T_COMMA)) {
        *why = parse_string(p, "the reason, a string");
    }
}

/* ---- series */

static void parse_loss(Parser *p, Stmt *s)
{
    s->kind = ST_LOSS;
    parse_take(p);
    parse_named_value(p, &s->loss.target, &s->loss.value);
    if (parse_accept(p, T_WEIGHT)) {
        s->loss.weight = parse_expr(p);
    }
    s->loss.nograd = parse_accept(p, T_NOGRAD);
}

static void parse_watch(Parser *p, Stmt *s)
{
    s->kind = ST_WATCH;
    parse_take(p);
    s->watch.name = parse_name(p, "what to watch");
    if (parse_accept(p, T_ASSIGN)) {
        s->watch.value = parse_expr(p);
    } else if (parse_tok(p) == T_DOT || parse_tok(p) == T_LPAREN || parse_tok(p) == T_LBRACKET) {
        parse_fail(p, s->watch.name.at, "`watch y = …`", "what is watched needs a name");
    }
}

static const char *const unit_words[][2] = {{"epochs", "epoch"}, {"steps", "step"}, {"reports", "report"}};

Count parse_count(Parser *p, const Unit *allowed, uint32_t n_allowed)
{
    Count c = {.at = parse_ahead(p, 0)->at, .unit = allowed[0]};
    c.n = parse_sum(p);
    Buf names = buf_make(p->arena);
    for (uint32_t i = 0; i < n_allowed; i++) {
        for (uint32_t k = 0; k < 2; k++) {
            if (parse_accept_word(p, unit_words[allowed[i]][k])) {
                c.unit = allowed[i];
                c.at = parse_since(p, c.at);
                return c;
            }
        }
        buf_printf(&names, "%s`%s`", i ? " or " : "", unit_words[allowed[i]][0]);
    }
    parse_unexpected(p, buf_str(&names).s);
    return c;
}

const char *unit_text(Unit u) { return unit_words[u][0]; }

static void parse_alarm(Parser *p, Stmt *s)
{
    s->kind = ST_ALARM;
    s->alarm.stop = str_is(parse_take(p).text, "stop");
    s->alarm.text = parse_string(p, "the text of the alarm");
    parse_expect(p, T_WHEN, "before the condition of the alarm");
    s->alarm.when = parse_expr(p);
    if (parse_accept(p, T_FOR)) {
        s->alarm.patience = parse_count(p, (const Unit[]){UNIT_REPORTS}, 1);
    }
    if (parse_accept_word(p, "after")) {
        s->alarm.after = parse_count(p, (const Unit[]){UNIT_STEPS, UNIT_EPOCHS}, 2);
    }
}

/* ---- statements */

static void parse_name_stmt(Parser *p, Stmt *s)
{
    TokKind next = parse_ahead(p, 1)->kind;
    bool same_line = !parse_ahead(p, 1)->line_start;
    if (parse_binds_ahead(p) && !(parse_is_word(p, "require") && next == T_LBRACKET)) {
        parse_binding(p, s);
    } else if (parse_is_word(p, "require") && same_line) {
        s->kind = ST_REQUIRE;
        parse_require(p, &s->require.cond, &s->require.why);
    } else if (parse_is_word(p, "watch") && next == T_NAME && same_line) {
        parse_watch(p, s);
    } else if ((parse_is_word(p, "warn") || parse_is_word(p, "stop")) && next == T_STRING) {
        parse_alarm(p, s);
    } else if (p->in_data && parse_data_clause(p, s)) {
        return;
    } else if (next == T_LPAREN || next == T_PIPE || next == T_DOT) {
        parse_fail(p, parse_ahead(p, 0)->at, "give it a name: `y = …`", "a value that nothing uses");
    } else if (next == T_EQ && same_line) {
        parse_fail(p, parse_ahead(p, 1)->at, "a value is named with `=`; `==` compares",
                   "a comparison that nothing uses");
    } else {
        parse_unexpected(p, "a statement");
    }
}

Stmt *parse_stmt(Parser *p)
{
    Stmt *s = PUSH(p->arena, Stmt, 1);
    Span start = parse_ahead(p, 0)->at;
    switch ((int)parse_tok(p)) {
    case T_PARAM: case T_STATE: parse_cell(p, s); break;
    case T_FOR:     parse_for(p, s); break;
    case T_SCAN:    parse_scan(p, s); break;
    case T_REPEAT:  parse_repeat(p, s); break;
    case T_IF:      parse_if(p, s); break;
    case T_MATCH:   parse_match_stmt(p, s); break;
    case T_LOSS:    parse_loss(p, s); break;
    case T_COLLECT:
        s->kind = ST_COLLECT;
        parse_take(p);
        parse_named_value(p, &s->collect.target, &s->collect.value);
        break;
    case T_METRIC:
        s->kind = ST_METRIC;
        parse_take(p);
        parse_named_value(p, &s->metric.target, &s->metric.value);
        break;
    case T_NAME:    parse_name_stmt(p, s); break;
    default:        parse_unexpected(p, "a statement");
    }
    s->at = parse_since(p, start);
    return s;
}

/* The line goes on behind what was understood, so that is not what was meant: names stay, the value does not. */
static void spoil(Parser *p, Stmt *s)
{
    Expr *e = parse_error_expr(p);
    switch (s->kind) {
    case ST_BIND: s->bind.value = e; break;
    case ST_COLUMN: s->column.value = e; break;
    case ST_UPDATE: s->update.value = e; break;
    case ST_LOSS: s->loss.value = e; break;
    case ST_METRIC: s->metric.value = e; break;
    case ST_COLLECT: s->collect.value = e; break;
    case ST_PARAM: case ST_STATE: s->cell.init = e; break;
    case ST_REQUIRE: s->require.cond = e; break;
    case ST_ERROR: case ST_INSTANCE: case ST_FOR: case ST_SCAN: case ST_REPEAT: case ST_IF: case ST_MATCH:
    case ST_WATCH: case ST_ALARM: case ST_FROM: case ST_DROP_DUPLICATES: case ST_DROP_WHERE:
    case ST_DROP_EPISODES: case ST_EPISODES: case ST_SPLIT: case ST_COUNT: break;
    }
}

Block parse_body(Parser *p, const char *where)
{
    Block b = {0};
    BlockScope scope = {0};
    parse_block_open(p, &scope, where);
    while (parse_block_item(p, &scope)) {
        Stmt *s = parse_stmt(p);
        vec_push(p->arena, &b.stmts, s);
        if (!parse_block_next(p, &scope)) {
            spoil(p, s);
        }
    }
    b.at = parse_block_close(p, &scope);
    return b;
}
