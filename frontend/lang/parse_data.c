/* Clauses that only `data` has: sources, columns, cleaning, episodes, splits.  Their words are words only here. */
#include "parse.h"

void parse_column(Parser *p, Stmt *s, const NameVec *names)
{
    s->kind = ST_COLUMN;
    s->column.names = *names;
    parse_expect(p, T_COLON, "behind the names of columns");
    s->column.type = parse_type(p);
    if (parse_accept(p, T_ASSIGN)) {
        s->column.value = parse_expr(p);
    }
}

static void parse_from(Parser *p, Stmt *s)
{
    s->kind = ST_FROM;
    parse_take(p);
    s->from.reader = parse_postfix(p);
    if (s->from.reader->kind != EX_CALL) {
        parse_fail(p, s->from.reader->at, "`from csv(\"table.csv\")`", "rows come from a reader with its arguments");
    }
    if (parse_accept(p, T_AS)) {
        s->from.split = parse_name(p, "the name of a split");
    }
}

static void parse_drop(Parser *p, Stmt *s)
{
    parse_take(p);
    if (parse_accept_word(p, "duplicates")) {
        s->kind = ST_DROP_DUPLICATES;
        parse_expect_word(p, "of", "in `drop duplicates of x`");
        parse_exprs(p, &s->duplicates.of);
        return;
    }
    s->kind = parse_accept_word(p, "episodes") ? ST_DROP_EPISODES : ST_DROP_WHERE;
    if (!parse_accept_word(p, "where")) {
        parse_unexpected(p, "`duplicates of x`, `where c` or `episodes where c`");
    }
    s->where.cond = parse_expr(p);
}

static void parse_episodes(Parser *p, Stmt *s)
{
    s->kind = ST_EPISODES;
    parse_take(p);
    if (parse_expect_word(p, "end", "in `episodes end where c`")) {
        parse_expect_word(p, "where", "in `episodes end where c`");
    }
    s->where.cond = parse_expr(p);
}

static SplitPart parse_part(Parser *p)
{
    SplitPart part = {.at = parse_ahead(p, 0)->at};
    part.name = parse_name(p, "the name of a split");
    if (!parse_accept_word(p, "rest")) {
        part.share = parse_sum(p);
    }
    part.at = parse_since(p, part.at);
    return part;
}

static void parse_split(Parser *p, Stmt *s)
{
    s->kind = ST_SPLIT;
    parse_take(p);
    if (parse_tok(p) == T_NUMBER || parse_ahead_is_word(p, 1, "folds")) {
        s->split.folds = parse_sum(p);
        parse_expect_word(p, "folds", "behind the number of folds");
        parse_expect(p, T_COMMA, "before the parts");
    }
    do {
        vec_push(p->arena, &s->split.parts, parse_part(p));
    } while (parse_accept(p, T_COMMA));
    if (parse_accept_word(p, "of")) {
        s->split.of = parse_name(p, "the split that is cut");
    }
    if (parse_accept_word(p, "by")) {
        s->split.by = parse_sum(p);
    }
    if (parse_accept_word(p, "seed")) {
        s->split.seed = parse_sum(p);
    } else if (parse_accept(p, T_IN)) {
        parse_expect_word(p, "order", "in `in order`");
        s->split.in_order = true;
    } else {
        parse_unexpected(p, "`seed 1` (rows shuffled) or `in order`");
    }
}

bool parse_data_clause(Parser *p, Stmt *s)
{
    if (parse_is_word(p, "from")) {
        parse_from(p, s);
    } else if (parse_is_word(p, "drop")) {
        parse_drop(p, s);
    } else if (parse_is_word(p, "episodes")) {
        parse_episodes(p, s);
    } else if (parse_is_word(p, "split")) {
        parse_split(p, s);
    } else {
        return false;
    }
    return true;
}
