/* The syntax tree as text: a line a declaration, statement or clause, indented by blocks; expressions with the operator
 * first, `(+ a (* b c))`, so that precedence can be read off.  Parentheses, comments and places are not part of it. */
#include "syntax.h"

const char *reducer_text(Reducer r)
{
    static const char *const text[] = {
#define X(id, text) [RED_##id] = text,
        REDUCER_LIST(X)
#undef X
    };
    return text[r];
}

const char *binary_text(BinaryOp op)
{
    static const char *const text[] = {
#define X(id, text) [BIN_##id] = text,
        BINARY_LIST(X)
#undef X
    };
    return text[op];
}

/* ---- expressions */

static void put_expr(Buf *b, const Expr *e);

void ast_print_text(Buf *b, Str s)
{
    buf_char(b, '"');
    for (uint32_t i = 0; i < s.n; i++) {
        char c = s.s[i];
        if (c == '"' || c == '\\') {
            buf_char(b, '\\');
        }
        buf_put(b, c == '\n' ? STR("\\n") : c == '\t' ? STR("\\t") : (Str){&c, 1});
    }
    buf_char(b, '"');
}

static void put_name(Buf *b, Name n) { buf_put(b, n.text.n ? n.text : STR("<none>")); }

static void put_names(Buf *b, const NameVec *names)
{
    for (uint32_t i = 0; i < names->n; i++) {
        buf_put(b, i ? STR(", ") : STR(""));
        put_name(b, names->at[i]);
    }
}

static void put_exprs(Buf *b, const ExprVec *v, const char *between)
{
    for (uint32_t i = 0; i < v->n; i++) {
        buf_printf(b, "%s", i ? between : "");
        put_expr(b, v->at[i]);
    }
}

static void put_dims(Buf *b, const DimVec *dims)
{
    buf_char(b, '[');
    for (uint32_t i = 0; i < dims->n; i++) {
        const DimSyntax *d = &dims->at[i];
        buf_put(b, i ? STR(", ") : STR(""));
        switch (d->kind) {
        case DIM_EXPR: put_expr(b, d->expr); break;
        case DIM_REST: buf_put(b, STR("..")); break;
        case DIM_INFER: buf_char(b, '_'); break;
        case DIM_MERGED:
            buf_put(b, STR("(merge "));
            put_exprs(b, &d->merged, " ");
            buf_char(b, ')');
            break;
        case DIM_UP_TO:
            buf_put(b, STR("up to "));
            put_expr(b, d->expr);
            break;
        }
    }
    buf_char(b, ']');
}

static void put_items(Buf *b, const ItemVec *items)
{
    buf_char(b, '[');
    for (uint32_t i = 0; i < items->n; i++) {
        const Item *it = &items->at[i];
        buf_put(b, i ? STR(", ") : STR(""));
        switch (it->kind) {
        case ITEM_EXPR: put_expr(b, it->expr); break;
        case ITEM_ALL: buf_char(b, ':'); break;
        case ITEM_REST: buf_put(b, STR("..")); break;
        case ITEM_SLICE:
            if (it->lo) {
                put_expr(b, it->lo);
            }
            buf_char(b, ':');
            if (it->hi) {
                put_expr(b, it->hi);
            }
            if (it->step) {
                buf_char(b, ':');
                put_expr(b, it->step);
            }
            break;
        }
    }
    buf_char(b, ']');
}

static void put_args(Buf *b, const ArgVec *args)
{
    for (uint32_t i = 0; i < args->n; i++) {
        buf_char(b, ' ');
        if (args->at[i].name.text.n) {
            buf_printf(b, "%.*s=", FSTR(args->at[i].name.text));
        }
        put_expr(b, args->at[i].value);
    }
}

static void put_pattern(Buf *b, const Expr *pattern)
{
    if (pattern) {
        put_expr(b, pattern);
    } else {
        buf_char(b, '_');
    }
}

static void put_expr(Buf *b, const Expr *e)
{
    static const char *const unary_text[] = {[UN_NEG] = "neg", [UN_NOT] = "not", [UN_TRANSPOSE] = "transpose"};
    switch (e->kind) {
    case EX_ERROR: case EX_COUNT: buf_put(b, STR("<error>")); return;
    case EX_NUMBER: buf_put(b, e->number.text); return;
    case EX_STRING: ast_print_text(b, e->string); return;
    case EX_BOOL: buf_put(b, e->boolean ? STR("yes") : STR("no")); return;
    case EX_INF: buf_put(b, STR("inf")); return;
    case EX_PI: buf_put(b, STR("pi")); return;
    case EX_NAME: put_name(b, e->name); return;
    case EX_FIELD:
        put_expr(b, e->field.base);
        buf_char(b, '.');
        put_name(b, e->field.name);
        return;
    case EX_UNARY:
        buf_printf(b, "(%s ", unary_text[e->unary.op]);
        put_expr(b, e->unary.x);
        break;
    case EX_BINARY:
        buf_printf(b, "(%s ", binary_text(e->binary.op));
        put_expr(b, e->binary.l);
        buf_char(b, ' ');
        put_expr(b, e->binary.r);
        break;
    case EX_CALL:
        buf_put(b, STR("(call "));
        put_expr(b, e->call.callee);
        put_args(b, &e->call.args);
        break;
    case EX_INDEX:
        buf_put(b, STR("(index "));
        put_expr(b, e->index.base);
        buf_char(b, ' ');
        put_items(b, &e->index.items);
        break;
    case EX_REDUCE:
        buf_printf(b, "(%s ", reducer_text(e->reduce.op));
        put_items(b, &e->reduce.items);
        buf_char(b, ' ');
        put_expr(b, e->reduce.x);
        break;
    case EX_PIPE:
        buf_put(b, STR("(|> "));
        put_expr(b, e->pipe.x);
        buf_char(b, ' ');
        put_expr(b, e->pipe.f);
        break;
    case EX_AS:
        buf_put(b, STR("(as "));
        put_expr(b, e->as.x);
        buf_char(b, ' ');
        put_dims(b, &e->as.dims);
        break;
    case EX_MATCH:
        buf_put(b, STR("(match "));
        put_expr(b, e->match.subject);
        for (uint32_t i = 0; i < e->match.arms.n; i++) {
            buf_char(b, ' ');
            put_pattern(b, e->match.arms.at[i].pattern);
            buf_put(b, STR("=>"));
            put_expr(b, e->match.arms.at[i].value);
        }
        break;
    case EX_LIST:
        buf_char(b, '[');
        put_exprs(b, &e->list.items, ", ");
        buf_char(b, ']');
        return;
    case EX_TUPLE:
        buf_put(b, STR("(tuple "));
        put_exprs(b, &e->list.items, " ");
        break;
    }
    buf_char(b, ')');
}

static void put_type(Buf *b, const TypeSyntax *t)
{
    switch (t->kind) {
    case TYPE_ONE_OF:
        buf_put(b, STR("one of "));
        put_names(b, &t->choices);
        break;
    case TYPE_LIST: buf_printf(b, "list %.*s", FSTR(t->base.text)); break;
    case TYPE_PLAIN:
        put_name(b, t->base);
        if (t->has_dims) {
            put_dims(b, &t->dims);
        }
        break;
    }
    if (t->bound) {
        buf_put(b, STR(" < "));
        put_expr(b, t->bound);
    }
}

/* ---- statements */

static void put_line(Buf *b, uint32_t depth, const char *word)
{
    buf_printf(b, "%*s%s", (int)(2 * depth), "", word);
}

static void put_label(Buf *b, const char *label, const Expr *e)
{
    if (e) {
        buf_put(b, str_of(label));
        put_expr(b, e);
    }
}

static void put_target(Buf *b, const Target *t)
{
    put_name(b, t->name);
    if (!t->indexed) {
        return;
    }
    buf_char(b, '[');
    for (uint32_t i = 0; i < t->items.n; i++) {
        const TargetItem *it = &t->items.at[i];
        buf_put(b, i ? STR(", ") : STR(""));
        switch (it->kind) {
        case TI_INDEX: put_name(b, it->name); break;
        case TI_ALL: buf_char(b, ':'); break;
        case TI_REST: buf_put(b, STR("..")); break;
        }
        put_label(b, " < ", it->extent);
    }
    buf_char(b, ']');
}

static void put_count(Buf *b, const char *label, Count c)
{
    if (c.n) {
        put_label(b, label, c.n);
        buf_printf(b, " %s", unit_text(c.unit));
    }
}

static void put_split(Buf *b, const Stmt *s)
{
    buf_put(b, STR("split"));
    put_label(b, " folds ", s->split.folds);
    for (uint32_t i = 0; i < s->split.parts.n; i++) {
        buf_put(b, i ? STR(", ") : STR(" "));
        put_name(b, s->split.parts.at[i].name);
        put_label(b, " ", s->split.parts.at[i].share);
        buf_put(b, s->split.parts.at[i].share ? STR("") : STR(" rest"));
    }
    if (s->split.of.text.n) {
        buf_printf(b, " of %.*s", FSTR(s->split.of.text));
    }
    put_label(b, " by ", s->split.by);
    put_label(b, " seed ", s->split.seed);
    buf_put(b, s->split.in_order ? STR(" in order") : STR(""));
}

static void put_scan_head(Buf *b, const Stmt *s)
{
    for (uint32_t i = 0; i < s->scan.carries.n; i++) {
        buf_put(b, i ? STR(", ") : STR("scan "));
        put_name(b, s->scan.carries.at[i].name);
        put_label(b, " = ", s->scan.carries.at[i].init);
    }
    for (uint32_t i = 0; i < s->scan.over.n; i++) {
        buf_put(b, i ? STR(", ") : STR(" over "));
        put_name(b, s->scan.over.at[i].name);
        put_label(b, " in ", s->scan.over.at[i].in);
        put_label(b, " < ", s->scan.over.at[i].below);
    }
}

/* The statement's own line, without the blocks inside it. */
static void put_head(Buf *b, const Stmt *s)
{
    switch (s->kind) {
    case ST_ERROR: case ST_COUNT: buf_put(b, STR("<error>")); break;
    case ST_BIND:
        buf_put(b, STR("bind "));
        for (uint32_t i = 0; i < s->bind.targets.n; i++) {
            buf_put(b, i ? STR(", ") : STR(""));
            put_target(b, &s->bind.targets.at[i]);
        }
        put_label(b, " = ", s->bind.value);
        break;
    case ST_PARAM: case ST_STATE:
        buf_put(b, s->kind == ST_PARAM ? STR("param ") : STR("state "));
        put_names(b, &s->cell.names);
        if (s->cell.type) {
            buf_put(b, STR(" : "));
            put_type(b, s->cell.type);
        }
        put_label(b, " = ", s->cell.init);
        break;
    case ST_UPDATE:
        buf_put(b, STR("update "));
        put_name(b, s->update.name);
        put_label(b, " <- ", s->update.value);
        break;
    case ST_INSTANCE:
        buf_put(b, STR("instance "));
        put_name(b, s->instance.name);
        put_label(b, " : ", s->instance.callee);
        put_args(b, &s->instance.args);
        break;
    case ST_FOR:
        buf_put(b, STR("for"));
        if (s->loop.item.text.n) {
            buf_printf(b, " item %.*s", FSTR(s->loop.item.text));
        }
        if (s->loop.counter.text.n) {
            buf_printf(b, " counter %.*s", FSTR(s->loop.counter.text));
        }
        put_label(b, " in ", s->loop.in);
        put_label(b, " below ", s->loop.below);
        break;
    case ST_SCAN: put_scan_head(b, s); break;
    case ST_COLLECT: case ST_METRIC:
        buf_put(b, s->kind == ST_COLLECT ? STR("collect ") : STR("metric "));
        put_target(b, s->kind == ST_COLLECT ? &s->collect.target : &s->metric.target);
        put_label(b, " = ", s->kind == ST_COLLECT ? s->collect.value : s->metric.value);
        break;
    case ST_REPEAT:
        buf_put(b, STR("repeat "));
        put_target(b, &s->repeat.target);
        put_label(b, " = ", s->repeat.value);
        put_label(b, " until ", s->repeat.until);
        break;
    case ST_IF: put_label(b, "if ", s->branch.cond); break;
    case ST_MATCH: put_label(b, "match ", s->match.subject); break;
    case ST_REQUIRE:
        put_label(b, "require ", s->require.cond);
        buf_put(b, STR(" why "));
        ast_print_text(b, s->require.why);
        break;
    case ST_LOSS:
        buf_put(b, STR("loss "));
        put_target(b, &s->loss.target);
        put_label(b, " = ", s->loss.value);
        put_label(b, " weight ", s->loss.weight);
        buf_put(b, s->loss.nograd ? STR(" nograd") : STR(""));
        break;
    case ST_WATCH:
        buf_put(b, STR("watch "));
        put_name(b, s->watch.name);
        put_label(b, " = ", s->watch.value);
        break;
    case ST_ALARM:
        buf_put(b, s->alarm.stop ? STR("stop ") : STR("warn "));
        ast_print_text(b, s->alarm.text);
        put_label(b, " when ", s->alarm.when);
        put_count(b, " for ", s->alarm.patience);
        put_count(b, " after ", s->alarm.after);
        break;
    case ST_FROM:
        put_label(b, "from ", s->from.reader);
        if (s->from.split.text.n) {
            buf_printf(b, " as %.*s", FSTR(s->from.split.text));
        }
        break;
    case ST_COLUMN:
        buf_put(b, STR("column "));
        put_names(b, &s->column.names);
        buf_put(b, STR(" : "));
        put_type(b, s->column.type);
        put_label(b, " = ", s->column.value);
        break;
    case ST_DROP_DUPLICATES:
        buf_put(b, STR("drop duplicates of "));
        put_exprs(b, &s->duplicates.of, ", ");
        break;
    case ST_DROP_WHERE: put_label(b, "drop where ", s->where.cond); break;
    case ST_DROP_EPISODES: put_label(b, "drop episodes where ", s->where.cond); break;
    case ST_EPISODES: put_label(b, "episodes end where ", s->where.cond); break;
    case ST_SPLIT: put_split(b, s); break;
    }
    buf_char(b, '\n');
}

static void put_block(Buf *b, const Block *block, uint32_t depth);

static void put_stmt(Buf *b, const Stmt *s, uint32_t depth)
{
    put_line(b, depth, "");
    put_head(b, s);
    if (s->kind == ST_FOR) {
        put_block(b, &s->loop.body, depth + 1);
    } else if (s->kind == ST_SCAN) {
        put_block(b, &s->scan.body, depth + 1);
    } else if (s->kind == ST_IF) {
        put_block(b, &s->branch.then, depth + 1);
        if (s->branch.has_else) {
            put_line(b, depth, "else\n");
            put_block(b, &s->branch.otherwise, depth + 1);
        }
    } else if (s->kind == ST_MATCH) {
        for (uint32_t i = 0; i < s->match.arms.n; i++) {
            put_line(b, depth + 1, "case ");
            put_pattern(b, s->match.arms.at[i].pattern);
            buf_char(b, '\n');
            put_block(b, &s->match.arms.at[i].body, depth + 2);
        }
    }
}

static void put_block(Buf *b, const Block *block, uint32_t depth)
{
    for (uint32_t i = 0; i < block->stmts.n; i++) {
        put_stmt(b, block->stmts.at[i], depth);
    }
}

/* ---- clauses */

static void put_batch(Buf *b, const TrainClause *c)
{
    for (uint32_t i = 0; i < c->batch.parts.n; i++) {
        buf_put(b, i ? STR(", ") : STR("batch "));
        if (c->batch.parts.at[i].data.text.n) {
            buf_printf(b, "%.*s ", FSTR(c->batch.parts.at[i].data.text));
        }
        put_expr(b, c->batch.parts.at[i].rows);
    }
    put_label(b, " shards ", c->batch.shards);
    buf_put(b, c->batch.per_shard ? STR(" per shard") : STR(""));
    buf_put(b, c->batch.drop_tail ? STR(" drop tail") : STR(""));
}

static void put_train_clause(Buf *b, const TrainClause *c)
{
    put_line(b, 1, "");
    switch (c->kind) {
    case TC_ERROR: case TC_COUNT: buf_put(b, STR("<error>")); break;
    case TC_OBJECTIVE:
        buf_printf(b, "objective %.*s", FSTR(c->objective.name.text));
        if (c->objective.updates.n) {
            buf_put(b, STR(" updates "));
            put_names(b, &c->objective.updates);
        }
        put_label(b, " times ", c->objective.times);
        break;
    case TC_OPTIMIZER:
        put_label(b, "optimizer ", c->optimizer.call);
        if (c->optimizer.patterns.n) {
            buf_put(b, STR(" for "));
            put_names(b, &c->optimizer.patterns);
        }
        put_label(b, " for rank < ", c->optimizer.rank_below);
        break;
    case TC_EPOCHS: put_label(b, "epochs ", c->number); break;
    case TC_STEPS: put_label(b, "steps ", c->number); break;
    case TC_SEED: put_label(b, "seed ", c->number); break;
    case TC_SHUFFLE: put_label(b, "shuffle buffer ", c->number); break;
    case TC_BATCH: put_batch(b, c); break;
    case TC_CLIP:
        buf_printf(b, "clip %.*s", FSTR(c->clip.what.text));
        put_label(b, " ", c->clip.limit);
        break;
    case TC_FREEZE:
        buf_put(b, STR("freeze "));
        put_names(b, &c->freeze);
        break;
    case TC_LOAD:
        buf_put(b, STR("load "));
        put_names(b, &c->load.patterns);
        put_label(b, " from ", c->load.file);
        if (c->load.names) {
            put_label(b, " names ", c->load.names);
        }
        buf_put(b, c->load.partly ? STR(" partly") : STR(""));
        break;
    case TC_CONVOLUTION: buf_printf(b, "convolution %.*s", FSTR(c->convolution.text)); break;
    case TC_PRECISION: buf_printf(b, "precision %.*s", FSTR(c->precision.text)); break;
    case TC_VALIDATE:
        buf_put(b, STR("validate"));
        if (c->validate.objective.text.n) {
            buf_printf(b, " %.*s", FSTR(c->validate.objective.text));
        }
        put_count(b, " every ", c->validate.every);
        break;
    case TC_REPORT: put_count(b, "report every ", c->every); break;
    case TC_SAVE: put_count(b, "save every ", c->every); break;
    case TC_PATIENCE: put_count(b, "patience ", c->every); break;
    case TC_KEEP: put_label(b, c->keep.highest ? "keep highest " : "keep lowest ", c->keep.score); break;
    case TC_EVERY:
        put_count(b, "every ", c->interleave.every);
        buf_printf(b, " train %.*s", FSTR(c->interleave.train.text));
        break;
    }
    buf_char(b, '\n');
}

static void put_sweep_clause(Buf *b, const SweepClause *c)
{
    put_line(b, 1, "");
    switch (c->kind) {
    case SC_ERROR: case SC_COUNT: buf_put(b, STR("<error>")); break;
    case SC_IN: case SC_REPEAT:
        buf_put(b, c->kind == SC_IN ? STR("grid ") : STR("repeat "));
        put_names(b, &c->in.names);
        buf_put(b, STR(" in "));
        put_exprs(b, &c->in.values, ", ");
        break;
    case SC_SET:
        put_name(b, c->set.name);
        put_label(b, " = ", c->set.value);
        break;
    case SC_DRAW:
        put_label(b, "draw ", c->draw.n);
        put_label(b, " seed ", c->draw.seed);
        break;
    case SC_SKIP: put_label(b, "skip when ", c->skip); break;
    case SC_POINTS: put_label(b, "points ", c->points); break;
    case SC_BEST: put_label(b, c->best.highest ? "best highest " : "best lowest ", c->best.score); break;
    }
    buf_char(b, '\n');
}

/* ---- declarations */

static void put_params(Buf *b, const char *word, const ParamVec *params)
{
    for (uint32_t i = 0; i < params->n; i++) {
        put_line(b, 1, word);
        put_name(b, params->at[i].name);
        if (params->at[i].type) {
            buf_put(b, STR(" : "));
            put_type(b, params->at[i].type);
        }
        put_label(b, " = ", params->at[i].preset);
        buf_char(b, '\n');
    }
}

static void put_signature(Buf *b, const Signature *s)
{
    put_params(b, "arg ", &s->args);
    put_params(b, "result ", &s->results);
}

static void put_function(Buf *b, const Decl *d)
{
    put_signature(b, &d->function.sig);
    if (d->function.value) {
        put_line(b, 1, "");
        put_label(b, "value ", d->function.value);
        buf_char(b, '\n');
    }
    put_block(b, &d->function.body, 1);
}

static void put_setting(Buf *b, const Decl *d)
{
    put_names(b, &d->setting.names);
    buf_put(b, STR(" : "));
    put_type(b, d->setting.type);
    buf_put(b, STR(" = "));
    put_exprs(b, &d->setting.values, ", ");
}

/* What follows the first word and the name on a declaration's line, then what stands below it. */
static void put_decl_rest(Buf *b, const Decl *d)
{
    switch (d->kind) {
    case DECL_ERROR: case DECL_COUNT: case DECL_DATA: case DECL_DEF: case DECL_MODEL: case DECL_OBJECTIVE:
    case DECL_EXPORT: case DECL_TRAIN: case DECL_SWEEP: break;
    case DECL_USE:
        buf_char(b, ' ');
        ast_print_text(b, d->use.path);
        break;
    case DECL_SETTING: put_setting(b, d); break;
    case DECL_CONSTANT: put_label(b, " = ", d->constant); break;
    case DECL_REQUIRE:
        put_label(b, "", d->require.cond);
        buf_put(b, STR(" why "));
        ast_print_text(b, d->require.why);
        break;
    case DECL_FOLLOWS:
        buf_printf(b, " follows %.*s", FSTR(d->follows.source.text));
        put_label(b, " rate ", d->follows.rate);
        break;
    case DECL_OPTIMIZER:
        buf_printf(b, " for %.*s, %.*s, %.*s", FSTR(d->optimizer.p.text), FSTR(d->optimizer.g.text),
                   FSTR(d->optimizer.k.text));
        break;
    case DECL_EXTERN:
        buf_put(b, STR(" from "));
        ast_print_text(b, d->external.library.text);
        buf_printf(b, d->external.nograd ? " nograd" : " gradient %.*s", FSTR(d->external.gradient.text));
        break;
    }
    buf_char(b, '\n');
    if (d->kind == DECL_DATA) {
        put_block(b, &d->data, 1);
    } else if (d->kind == DECL_DEF || d->kind == DECL_MODEL || d->kind == DECL_OBJECTIVE || d->kind == DECL_EXPORT) {
        put_function(b, d);
    } else if (d->kind == DECL_OPTIMIZER) {
        put_signature(b, &d->optimizer.sig);
        put_block(b, &d->optimizer.body, 1);
    } else if (d->kind == DECL_EXTERN) {
        put_signature(b, &d->external.sig);
    }
    for (uint32_t i = 0; d->kind == DECL_TRAIN && i < d->train.clauses.n; i++) {
        put_train_clause(b, &d->train.clauses.at[i]);
    }
    for (uint32_t i = 0; d->kind == DECL_SWEEP && i < d->sweep.clauses.n; i++) {
        put_sweep_clause(b, &d->sweep.clauses.at[i]);
    }
}

void ast_print(const AstFile *file, Buf *out)
{
    static const char *const words[DECL_COUNT] = {
        [DECL_ERROR] = "<error>", [DECL_USE] = "use", [DECL_SETTING] = "setting", [DECL_CONSTANT] = "constant",
        [DECL_REQUIRE] = "require", [DECL_DATA] = "data", [DECL_DEF] = "def", [DECL_MODEL] = "model",
        [DECL_FOLLOWS] = "model", [DECL_OPTIMIZER] = "optimizer", [DECL_OBJECTIVE] = "objective",
        [DECL_EXPORT] = "export", [DECL_EXTERN] = "extern", [DECL_TRAIN] = "train", [DECL_SWEEP] = "sweep",
    };
    buf_printf(out, "edition %u\n", file->edition);
    for (uint32_t i = 0; i < file->decls.n; i++) {
        const Decl *d = file->decls.at[i];
        bool spaced = d->name.text.n || d->kind == DECL_SETTING || d->kind == DECL_REQUIRE;
        if (d->doc.n) {
            buf_put(out, STR("doc "));
            ast_print_text(out, d->doc);
            buf_char(out, '\n');
        }
        buf_printf(out, "%s%s%.*s", words[d->kind], spaced ? " " : "", FSTR(d->name.text));
        put_decl_rest(out, d);
    }
}
