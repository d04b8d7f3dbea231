/* Questions about the text alone: which names an expression mentions, and the number of a call, counted in
 * text order within its parent, which makes the paths of weights and draws (`decoder.linear2.w`). */
#include "lower.h"

static void walk_items(const ItemVec *items, WalkExpr *f, void *user) {
    for (uint32_t i = 0; i < items->n; i++) {
        walk_expr(items->at[i].expr, f, user);
        walk_expr(items->at[i].lo, f, user);
        walk_expr(items->at[i].hi, f, user);
        walk_expr(items->at[i].step, f, user);
    }
}

static void walk_args(const ArgVec *args, WalkExpr *f, void *user) {
    for (uint32_t i = 0; i < args->n; i++) {
        walk_expr(args->at[i].value, f, user);
    }
}

static void walk_dims(const DimVec *dims, WalkExpr *f, void *user) {
    for (uint32_t i = 0; i < dims->n; i++) {
        walk_expr(dims->at[i].expr, f, user);
    }
}

void walk_expr(const Expr *e, WalkExpr *f, void *user) {
    if (e == NULL || !f(user, e)) {
        return;
    }
    switch (e->kind) {
    case EX_ERROR:
    case EX_NUMBER:
    case EX_STRING:
    case EX_BOOL:
    case EX_INF:
    case EX_PI:
    case EX_NAME:
    case EX_COUNT: return;
    case EX_FIELD: walk_expr(e->field.base, f, user); return;
    case EX_UNARY: walk_expr(e->unary.x, f, user); return;
    case EX_BINARY:
        walk_expr(e->binary.l, f, user);
        walk_expr(e->binary.r, f, user);
        return;
    case EX_CALL:
        walk_expr(e->call.callee, f, user);
        walk_args(&e->call.args, f, user);
        return;
    case EX_INDEX:
        walk_expr(e->index.base, f, user);
        walk_items(&e->index.items, f, user);
        return;
    case EX_REDUCE:
        walk_items(&e->reduce.items, f, user);
        walk_expr(e->reduce.x, f, user);
        return;
    case EX_PIPE:
        walk_expr(e->pipe.x, f, user);
        walk_expr(e->pipe.f, f, user);
        return;
    case EX_AS:
        walk_expr(e->as.x, f, user);
        walk_dims(&e->as.dims, f, user);
        return;
    case EX_MATCH:
        walk_expr(e->match.subject, f, user);
        for (uint32_t i = 0; i < e->match.arms.n; i++) {
            walk_expr(e->match.arms.at[i].value, f, user);
        }
        return;
    case EX_LIST:
    case EX_TUPLE:
        for (uint32_t i = 0; i < e->list.items.n; i++) {
            walk_expr(e->list.items.at[i], f, user);
        }
        return;
    }
}

static void walk_stmt(const Stmt *s, WalkExpr *f, void *user) {
    switch (s->kind) {
    case ST_BIND: walk_expr(s->bind.value, f, user); return;
    case ST_PARAM:
    case ST_STATE: walk_expr(s->cell.init, f, user); return;
    case ST_UPDATE: walk_expr(s->update.value, f, user); return;
    case ST_INSTANCE: walk_args(&s->instance.args, f, user); return;
    case ST_FOR:
        walk_expr(s->loop.in, f, user);
        walk_block(&s->loop.body, f, user);
        return;
    case ST_SCAN:
        for (uint32_t i = 0; i < s->scan.carries.n; i++) {
            walk_expr(s->scan.carries.at[i].init, f, user);
        }
        for (uint32_t i = 0; i < s->scan.over.n; i++) {
            walk_expr(s->scan.over.at[i].in, f, user);
        }
        walk_block(&s->scan.body, f, user);
        return;
    case ST_COLLECT: walk_expr(s->collect.value, f, user); return;
    case ST_IF:
        walk_expr(s->branch.cond, f, user);
        walk_block(&s->branch.then, f, user);
        walk_block(&s->branch.otherwise, f, user);
        return;
    case ST_MATCH:
        walk_expr(s->match.subject, f, user);
        for (uint32_t i = 0; i < s->match.arms.n; i++) {
            walk_block(&s->match.arms.at[i].body, f, user);
        }
        return;
    case ST_LOSS:
        walk_expr(s->loss.value, f, user);
        walk_expr(s->loss.weight, f, user);
        return;
    case ST_METRIC: walk_expr(s->metric.value, f, user); return;
    case ST_WATCH: walk_expr(s->watch.value, f, user); return;
    case ST_COLUMN: walk_expr(s->column.value, f, user); return;
    case ST_REPEAT:
        walk_expr(s->repeat.value, f, user);
        walk_expr(s->repeat.until, f, user);
        return;
    case ST_DROP_DUPLICATES:
        for (uint32_t i = 0; i < s->duplicates.of.n; i++) {
            walk_expr(s->duplicates.of.at[i], f, user);
        }
        return;
    case ST_DROP_WHERE:
    case ST_DROP_EPISODES:
    case ST_EPISODES: walk_expr(s->where.cond, f, user); return;
    case ST_SPLIT: walk_expr(s->split.by, f, user); return;
    case ST_ERROR:
    case ST_REQUIRE:
    case ST_ALARM:
    case ST_FROM:
    case ST_COUNT: return;
    }
}

void walk_block(const Block *b, WalkExpr *f, void *user) {
    for (uint32_t i = 0; i < b->stmts.n; i++) {
        walk_stmt(b->stmts.at[i], f, user);
    }
}

/* Expressions of a `train` that are computed in every step. */
static void walk_clauses(const Decl *d, WalkExpr *f, void *user) {
    for (uint32_t i = 0; i < d->train.clauses.n; i++) {
        const TrainClause *c = &d->train.clauses.at[i];
        if (c->kind == TC_OPTIMIZER) {
            walk_expr(c->optimizer.call, f, user);
        } else if (c->kind == TC_CLIP) {
            walk_expr(c->clip.limit, f, user);
        } else if (c->kind == TC_KEEP) {
            walk_expr(c->keep.score, f, user);
        }
    }
}

typedef struct { Str name; bool found; } Mention;

static bool mention(void *user, const Expr *e) {
    Mention *m = user;
    m->found = m->found || (e->kind == EX_NAME && str_eq(e->name.text, m->name));
    return !m->found;
}

bool walk_mentions(const Expr *e, Str name) {
    Mention m = {name, false};
    walk_expr(e, mention, &m);
    return m.found;
}

/* ---- numbers of calls ---- */

typedef struct { Arena *arena; CallSites *sites; } Collect;

static bool collect(void *user, const Expr *e) {
    Collect *c = user;
    const Expr *callee = e->kind == EX_CALL ? e->call.callee : e->kind == EX_PIPE ? e->pipe.f : NULL;
    if (callee && callee->kind == EX_FIELD) {
        vec_push(c->arena, &c->sites->sites, callee->field.name);
    } else if (callee && callee->kind == EX_NAME) {
        vec_push(c->arena, &c->sites->sites, callee->name);
    }
    return true;
}

static CallSites *sites_of(Program *p, const Decl *d) {
    for (uint32_t i = 0; i < p->call_sites.n; i++) {
        if (p->call_sites.at[i].decl == d) {
            return &p->call_sites.at[i];
        }
    }
    vec_push(p->arena, &p->call_sites, (CallSites){.decl = d});
    CallSites *s = &p->call_sites.at[p->call_sites.n - 1];
    Collect c = {p->arena, s};
    if (d->kind == DECL_DATA) {
        walk_block(&d->data, collect, &c);
    } else if (d->kind == DECL_OPTIMIZER) {
        walk_block(&d->optimizer.body, collect, &c);
    } else if (d->kind == DECL_CONSTANT) {
        walk_expr(d->constant, collect, &c);
    } else if (d->kind == DECL_FOLLOWS) {
        walk_expr(d->follows.rate, collect, &c);
    } else if (d->kind == DECL_TRAIN) {
        walk_clauses(d, collect, &c);
    } else if (d->kind == DECL_DEF || d->kind == DECL_MODEL || d->kind == DECL_OBJECTIVE ||
               d->kind == DECL_EXPORT) {
        walk_expr(d->function.value, collect, &c);
        walk_block(&d->function.body, collect, &c);
    }
    return s;
}

uint32_t walk_call_number(Program *p, const Decl *d, Str name, Span at) {
    if (d == NULL) {
        return 1;
    }
    const CallSites *s = sites_of(p, d);
    uint32_t number = 1;
    for (uint32_t i = 0; i < s->sites.n; i++) {
        number += s->sites.at[i].at.at < at.at && str_eq(s->sites.at[i].text, name);
    }
    return number;
}
