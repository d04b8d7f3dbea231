/* CHAIN, the contraction without a tile: acc = fma(a, b, acc) through the row in order, cut at 4096
 * (semantics 3). A chain waits for its own last step, so where lanes run along the innermost kept axis
 * several blocks of sixteen outputs go through the row side by side: each has a copy of the DAG's state as
 * it stands outside the loop over blocks. */
#include "emit.h"
#include <string.h>

/* blocks side by side; instructions a row may become when written out */
enum { SIDE = 4, WRITE_OUT = 320 };
typedef struct { Dag *dag[SIDE]; Value acc[SIDE]; uint32_t n; } Chains;

static Value zero_of(Dag *g) {
    Value zero = emit_imm(g->e, DT_F32, (Imm){.f = 0});
    return g->vec >= 0 ? emit_splat(g->e, zero) : zero;
}

static Value link(Dag *g, Value r, Value acc) {
    Emit *e = g->e;
    dag_enter_row(g, r);
    Value next = emit_scalar(e, S_fma, DT_F32, DT_F32, (Imm){0}, dag_value(g, g->s->yield[0]),
                             dag_value(g, g->s->yield[1]), acc);
    if (g->s->yield[2] == 0)
        return next;
    return emit_scalar(e, S_select, DT_F32, DT_BOOL, (Imm){0}, dag_value(g, g->s->yield[2] - 1), next, acc);
}

/* Elements lo..hi-1 of the row: the sums are left in acc. */
static void run_block(Chains *c, Value lo, Value hi) {
    Dag *g = c->dag[0];
    Emit *e = g->e;
    for (uint32_t u = 0; u < c->n; u++)
        c->acc[u] = zero_of(g);
    bool known = LLVMIsAConstantInt(dag_row_extent(g)) != NULL;
    int64_t n = dag_longest_row(g);
    if (known && n <= CHUNK && n * stage_weight(g->e, g->s) * c->n <= WRITE_OUT) {
        for (int64_t r = 0; r < n; r++)
            for (uint32_t u = 0; u < c->n; u++)
                c->acc[u] = link(c->dag[u], emit_i64(e, r), c->acc[u]);
        return;
    }
    Loop l;
    loop_open(e, &l, lo, hi, 1, c->n, c->acc);
    for (uint32_t u = 0; u < c->n; u++)
        c->acc[u] = link(c->dag[u], l.i, l.carry[u]);
    loop_close(e, &l, c->acc);
    memcpy(c->acc, l.carry, c->n * sizeof(Value));
}

static void run_row(Chains *c) {
    Dag *g = c->dag[0];
    Emit *e = g->e;
    Value n = dag_row_extent(g), zero = emit_i64(e, 0);
    if (dag_longest_row(g) <= CHUNK) {
        run_block(c, zero, n);
    } else {
        Value total[SIDE];
        for (uint32_t u = 0; u < c->n; u++)
            total[u] = zero_of(g);
        Loop l;
        loop_open(e, &l, zero, n, CHUNK, c->n, total);
        run_block(c, l.i, emit_min_i64(e, LLVMBuildAdd(e->b, l.i, emit_i64(e, CHUNK), ""), n));
        Value first = LLVMBuildICmp(e->b, LLVMIntEQ, l.i, zero, "");
        for (uint32_t u = 0; u < c->n; u++)
            total[u] = LLVMBuildSelect(e->b, first, c->acc[u], LLVMBuildFAdd(e->b, l.carry[u], c->acc[u],
                ""), "");
        loop_close(e, &l, total);
        memcpy(c->acc, l.carry, c->n * sizeof(Value));
    }
    for (uint32_t u = 0; u < c->n; u++)
        dag_put_result(c->dag[u], 0, DT_F32, c->acc[u]);
}

static void one_chain(Dag *g, void *user) {
    (void)user;
    Chains c = {.dag = {g}, .n = 1};
    run_row(&c);
}

static void side_by_side(Dag *g, Value hi) {
    Emit *e = g->e;
    Value together = emit_i64(e, 0);
    bool few = LLVMIsAConstantInt(hi) && LLVMConstIntGetSExtValue(hi) < SIDE * LANES;
    if (!few) {
        together = LLVMBuildAnd(e->b, hi, emit_i64(e, -SIDE * LANES), "");
        Chains c = {.n = SIDE};
        Loop l;
        loop_open(e, &l, emit_i64(e, 0), together, SIDE * LANES, 0, NULL);
        for (uint32_t u = 0; u < SIDE; u++) {
            c.dag[u] = dag_copy(g);
            e->axis[g->vec] = (AxisAt){LLVMBuildNSWAdd(e->b, l.i, emit_i64(e, u * LANES), ""), e->iota};
            dag_enter(c.dag[u], g->n_loops);
        }
        run_row(&c);
        loop_close(e, &l, NULL);
    }
    dag_vector_loop(g, together, hi, one_chain, NULL);
}

void emit_chain(Emit *e, const Stage *s) {
    Dag *g = dag_create(e, s, s->n_keep);
    if (g->vec >= 0 && s->axis[s->n_keep - 1] == g->vec)
        g->inner = side_by_side;
    dag_loops(g, one_chain, NULL);
}
