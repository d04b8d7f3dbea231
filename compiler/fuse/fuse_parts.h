/* Shared by the files of this folder and nobody else: the cells (places where values live), the groups (what
 * becomes a kernel), the units (what becomes a step) and the planner of one graph that holds them. */
#ifndef GRC_FUSE_PARTS_H
#define GRC_FUSE_PARTS_H
#include "fuse.h"
#include "target.h"

/* ---- cells: everything a kernel can read or write.  A cell becomes a buffer of the plan, or a moving window
 * of one. ---- */
typedef enum { CELL_VAR, CELL_COLUMN, CELL_VALUE, CELL_PACKED, CELL_HEALTH, CELL_STEP } CellKind;
typedef struct {
    CellKind kind;
    Str name;
    DType dtype;
    Shape shape;
    int64_t count; /* elements, padding included */
    uint32_t of;   /* CELL_STEP: the cell whose step number `iteration` this is */
    Region region;
    uint32_t loop;         /* the loop it was made in, 0 for none: it lives within one iteration */
    uint32_t first, last;  /* waves of its life */
    uint32_t var, mirrors; /* VAR: id; VALUE: 1 + var of the parameter it is the gradient of */
    uint32_t buffer;       /* 1 + plan buffer, once memory is planned */
    const Graph *graph;    /* VALUE, PACKED: the value that lies in it, or that it is a copy or a part of */
    Val made_of;
} Cell;

/* ---- sinks: one value that a kernel has to put into one cell ---- */
typedef struct {
    Val val;
    uint32_t cell;
    bool commit;
    bool small;    /* cell 0: look not whether it is finite, but whether it is small (fold.c) */
} Sink;

/*  MAP     elementwise over one domain, one stage
 *  ROWS    leading axes are the head; reductions of trailing axes, maps between them
 *  COLUMNS reductions with kept axes behind the reduced ones, alike
 *  JOIN    a join of computed parts, alone
 *  TILE    a product by register tiles with its epilogue
 *  CHAIN   any other contraction
 *  SCATTER scatter_add
 *  ORDER   a cumulative, a recur or an argsort, alone
 *  LOOP    a scan
 *  EXTERN  a function of the user's, alone */
typedef enum {
    GROUP_MAP,
    GROUP_ROWS,
    GROUP_COLUMNS,
    GROUP_JOIN,
    GROUP_TILE,
    GROUP_CHAIN,
    GROUP_SCATTER,
    GROUP_ORDER,
    GROUP_LOOP,
    GROUP_EXTERN
} GroupKind;
/* Places that a reduction takes together, windows side by side in the last two dims of what it reads. */
typedef struct {
    int64_t rows, columns;
} Pool;
typedef struct {
    GroupKind kind;
    bool commit, lanes; /* lanes: its head is split, because a member sums over it */
    bool unsure;        /* runs only when an operand was not small: fold.c */
    uint32_t head;      /* leading axes shared by all members */
    Pool pool;          /* TILE: its other sinks are reductions of such windows; columns 0: they are its epilogue */
    Shape domain;       /* MAP: of all members; else the longest common part that matters */
    VEC(Sink) sinks;    /* in topological order */
    uint64_t *needs;    /* bit set of groups that have to run before */
    uint64_t *reads;    /* bit set of stored nodes and leaves it loads */
    double work;
} Group;

/* ---- what the planner knows of a node ---- */
enum { LONGEST_LINE = 256 };   /* see select.c */
typedef enum { PLACE_INLINE, PLACE_CELL, PLACE_SCRATCH, PLACE_REG } Residence;
typedef struct {
    bool live, stored; /* stored: has a sink of its own */
    Residence place;
    uint32_t group;    /* 1 + group that makes it */
    uint32_t cell;     /* of member 0; members follow */
    uint32_t consumer; /* 1 + stored node (or sink) that inlines it, when only one does */
    bool many;         /* several do */
    bool spread;       /* some consumer would compute an element more than once */
    bool updates;      /* a `commit` takes it as it is */
    bool event;        /* an `after` waits for it */
    bool checked;      /* a `check` looks at it */
    bool small;        /* whoever makes it, to store or to pack it, looks whether it is small: fold.c */
    bool outer;        /* something outside its own group reads it */
    uint32_t line;     /* operations one behind the other that its kernel computes for it */
    float cost;        /* of computing one element with everything inlined into it, ns / 16 lanes */
} Info;

/* ---- units: what one step of the plan does ---- */
typedef enum { UNIT_KERNEL, UNIT_BLAS, UNIT_EXTERN, UNIT_LOOP } UnitKind;
typedef struct Unit Unit;
typedef struct {
    Unit **at;
    uint32_t n, cap;
} Units;
struct Unit {
    UnitKind kind;
    Kernel *kernel;
    VEC(uint32_t) cells; /* by kernel buffer, 0 for scratch; BLAS: A, B, C; EXTERN: inputs, outputs */
    VEC(uint32_t) waits; /* cells that have to be there before it runs, though it does not read them */
    bool commit, unsure;
    uint32_t loop; /* LOOP: its number */
    int64_t trips;
    bool reverse;
    Units body;
    PlanBlas blas;
    const Extern *external;
    uint32_t n_in; /* EXTERN: cells that it reads */
    uint32_t wave;
    uint32_t nodes; /* graph nodes computed in it */
    uint64_t saved_bytes;
    const Graph *graph;
    VEC(Span) spans;
};

/* What an entry does: `guards` only when unsure, `commits` only when all is finite. */
typedef struct {
    Units units, guards, commits;
} StepUnits;

/* Of one fuse_module call and one entry. */
typedef struct {
    Arena *arena;
    const Module *module;
    const FuseOptions *options;
    Planned *planned;
    Error *error;
    VEC(Cell) cells;    /* cells.at[0] is unused */
    uint32_t health;    /* cell */
    uint32_t *var_cell; /* by var id, 0 not yet */
    /* what no longer lives than the lowering of a group: tables by node, kernels built to see whether they can be */
    Arena *trial;
    uint32_t loops, waves;
    bool once;          /* it takes no batch: run once, or once an epoch */
} Entry;

/* Of one graph: the entry's own, or the body of a scan. */
typedef struct {
    Entry *entry;
    Arena *arena;
    const Graph *g;
    uint32_t loop;             /* 0: not in a loop */
    const uint32_t *body_cell; /* by body input */
    Info *info;                /* by node */
    VEC(Group) groups;
    VEC(Sink) exports; /* results that have a given cell: scan carries and collected, outputs of leaves */
    Units *units;
} Planner;

Cell *cell_at(Planner *p, uint32_t cell);
uint32_t cell_add(Planner *p, Cell c);
/* Of the kernels' own, dense: what is made of v so that it lies as a kernel wants it, or parts of v. */
uint32_t cell_packed(Planner *p, Str name, DType t, int64_t count, Val v);
uint32_t cell_of_var(Planner *p, uint32_t var);
uint32_t cell_of_column(Planner *p, uint32_t column);
uint32_t cell_of_value(Planner *p, Val v, uint32_t member);
uint32_t cell_of_operand(Planner *p, Val x); /* of what has to lie in memory as it is */

bool node_is_leaf(const Graph *g, Val v);     /* arg, const: never computed */
bool node_is_stage(const Graph *g, Val v);    /* reduce, contract, scatter_add of many, an order, scan, extern */
int64_t scatter_picks(const Graph *g, Val v); /* how many updates may meet in one element */
float node_cost(const Graph *g, Val v);
uint32_t reduce_members(const Node *n); /* tensors it makes: moments are two */
int64_t reduce_row(const Graph *g, Val v);                /* how many elements it sums */
bool reduce_is_trailing(const Graph *g, Val v);
bool reduce_sums_head(const Graph *g,
                      Val v); /* over axis 0 alone, of many rows: can be an ACCUM of a row kernel */

/* index.c: addresses that are affine in the axes, plus one computed part. */
typedef struct {
    int64_t base, coef[MAX_AXES], inst_coef, lo, hi;
    uint32_t inst;
} Index; /* inst: 1 + instruction, in lo..hi */

/* emit.c: the DAG of one stage. */
typedef struct {
    Val v;
    uint32_t guard, inst;
    const Index *at;
    uint32_t next;
} Memo;
typedef struct {
    Planner *p;
    uint32_t group; /* 1 + group being built; its members may lie in scratch or registers */
    Kernel *k;
    Unit *unit;
    uint32_t first;       /* first instruction of the stage */
    uint32_t head;        /* leading axes of members that are the head */
    const Index *head_at; /* their values */
    VEC(Memo) memo;
    uint32_t *memo_of;       /* by node: 1 + memo */
    const uint32_t *scratch; /* by node: 1 + kernel buffer, for PLACE_SCRATCH */
    const uint32_t *reg;     /* by node: 1 + register */
    const uint8_t *done;     /* by node: 1 made by an earlier stage, 2 in this one */
    uint8_t *inside;         /* by node of a pad's or concat's operand: how emit_inside reads it, once that is known */
    uint32_t nodes;
    bool bad; /* an access that the head forbids was met: the stage is of no use */
    uint32_t bare;   /* a node that rounds, and is read as if it did not: who reads it rounds */
} Emit;

Index index_const(int64_t x);
Index index_axis(uint32_t axis);
Index index_scale(Index x, int64_t by);
Index index_add(Emit *e, Index x, Index y);
Index index_clamped(Emit *e, Index x, int64_t top); /* 0 .. top, whatever x is */
void index_range(const Kernel *k, const Index *x, int64_t *lo, int64_t *hi);
uint32_t index_value(Emit *e, const Index *x); /* i32 instruction */
Index index_of_value(uint32_t inst, int64_t lo, int64_t hi);
Index index_linear(Emit *e, Shape s, const Index *at); /* row order */
void index_split(Emit *e, Index flat, uint32_t n, const int64_t *dim, Index *out);
bool index_outside(const Kernel *k, const Index *x, int64_t lo, int64_t hi); /* never in lo .. hi-1 */
uint32_t index_inside(Emit *e, const Index *x, int64_t lo, int64_t hi,
                      uint32_t guard); /* guard and lo <= x < hi: 1 + inst, 0 always */
bool index_eq(const Index *x, const Index *y);

Emit emit_begin(Planner *p, Kernel *k, Unit *u);
void emit_stage(Emit *e);              /* starts a DAG */
uint32_t emit_inst(Emit *e, KInst in); /* value-numbered */
uint32_t emit_scalar(Emit *e, SOp op, DType t, uint32_t a, uint32_t b, uint32_t c);
uint32_t emit_i32(Emit *e, int64_t x);
uint32_t emit_number(Emit *e, double x);                  /* f32 */
uint32_t emit_rounded(Emit *e, uint32_t x, DType to);     /* f32, as a cast to that type */
uint32_t emit_value(Emit *e, Val v, const Index *at, uint32_t guard);
uint32_t emit_root(Emit *e, Val v, const Index *at); /* computes v itself even when it has a cell */
void emit_preset(Emit *e, Val v, const Index *at, uint32_t inst); /* v at this place is that instruction */
uint32_t emit_access(Emit *e, uint32_t buf, Index at);
void emit_store(Emit *e, uint32_t buf, Index at, uint32_t value);
uint32_t emit_load(Emit *e, uint32_t buf, Index at, uint32_t guard, uint32_t node);
void emit_check(Emit *e, uint32_t value);
void emit_small(Emit *e, uint32_t value); /* is it small? */
void emit_scatter_index(Emit *e, uint32_t position, int64_t extent, Index *out); /* faults outside */
uint32_t kernel_buffer(Emit *e, uint32_t cell, bool write);
uint32_t kernel_scratch(Kernel *k, Unit *u, const char *name, DType t, int64_t count);
DType wide_of(DType t); /* the type values of it have inside a kernel */

/* Places are few that fill no vector, where the code generator weaves them with the channels before them: the points of
 * a set, the taps of a weight. */
enum { FEW_PLACES = 8 };

/* nest.c: axes of a kernel. */
uint32_t kernel_axis(Kernel *k, const char *name, int64_t extent);
/* Before axis `at`; stages and accesses go on as they were. */
void kernel_insert_axis(Kernel *k, uint32_t at, int64_t extent);
Stage *kernel_stage(Kernel *k, StageKind kind); /* appended, schedule scalar, no axes */
void kernel_merge(Kernel *k); /* one MAP stage without head: axes crossed as one become one */
/* The reduced axes of the stages, which are the same in all, that every access crosses as one become one. */
void stages_merge(Kernel *k);
void kernel_cut(Kernel *k);   /* then: which are the head */
void stage_vector(const Kernel *k, Stage *s); /* along which axis its lanes run */
void unit_spans(Unit *u);
void kernel_finish(Entry *e, Unit *u); /* vector axes, grain, cost, flops, bytes, spans */

/* group.c, rows.c, contract.c, order.c, loop.c, carry.c, memory.c, plan.c, cells.c */
void group_select(Planner *p); /* which nodes get a sink */
bool group_reads(const Planner *p, uint32_t group, Val v); /* or waits for it */
void group_nodes(Planner *p);  /* sinks -> groups, in an order that runs */
void group_look(Planner *p, Val v);                              /* adds one that looks whether v is small */
void group_guard(Planner *p, uint32_t product);                  /* adds one that checks it when unsure */
void group_merge(Planner *p, uint32_t product, uint32_t commit); /* the commit becomes its epilogue */
bool group_alone(const Planner *p, uint32_t group, Val v);       /* nobody else asks for v */
bool group_between(const Planner *p, uint32_t first, uint32_t last); /* some have to run after one, before the other */
void group_take(Planner *p, uint32_t product, uint32_t reductions);  /* all that the other makes of it */
void fold_updates(Planner *p);                                   /* fold.c */
void pool_windows(Planner *p);                                   /* pool.c */
Unit *unit_add(Planner *p, UnitKind kind, Str name);
Unit *unit_of_group(Planner *p, uint32_t group, const char *what);
void unit_finish(Emit *e);
void put_sinks(Emit *e, const Sink *sinks, uint32_t n, const Index *at);
void lower_map(Planner *p, uint32_t group);
bool join_of_parts(const Planner *p, Val v);     /* is to be one: it lies in memory */
void lower_join(Planner *p, uint32_t group);
void lower_rows(Planner *p, uint32_t group);
/* The fold of a table of partial sums, 16 rows for each chunk. */
void lower_fold(Planner *p, uint32_t group, Sink sink, uint32_t partial);
void lower_columns(Planner *p, uint32_t group);
bool columns_alike(Planner *p, Val v, Val w); /* two reductions of GROUP_COLUMNS: can be stages of one kernel */
void lower_contract(Planner *p, uint32_t group);
void lower_scatter(Planner *p, uint32_t group);
void lower_order(Planner *p, uint32_t group);
void lower_loop(Planner *p, uint32_t group);
/* Makes the kernel of a loop's body that makes cell `next` write it to cell `now`; false: something forbids it. */
bool carry_in_place(Planner *p, uint32_t next, uint32_t now);
void lower_extern(Planner *p, uint32_t group);
bool contract_is_tiled(const Contract *c); /* fit for TILE */
bool rows_fit(Planner *p, uint32_t group, Val v, uint32_t head, RefusalKind *why);
void graph_units(Planner *p); /* the whole of one graph */
void refuse(Planner *p, Val user, Val producer, RefusalKind why);

/* Where regions end and what lies where, over all entries and variants planned so far. */
struct Memory {
    uint64_t region[REGION_COUNT];
    VEC(uint64_t) offset;
};                                                        /* offset: in its region, by plan buffer */
void memory_begin(Arena *a, const Module *m, Planned *p); /* persistent buffers and the health word */
void memory_entry(Entry *e);                              /* buffers of all cells of an entry */
void memory_place(Planned *p);                            /* offsets in the arena */
uint32_t memory_span(Entry *e, uint32_t first, uint32_t last,
                     int64_t *count);           /* a buffer from one to another: 1 + id */
void schedule_units(Entry *e, Units *units);    /* order, waves, lives of cells */
typedef void Touch(void *user, uint32_t cell, bool write);
void unit_touch(const Entry *e, const Unit *u, Touch *touch, void *user); /* what it reads and writes, loops too */
void unit_order(const Entry *e, const Unit *u, Touch *touch, void *user); /* that, and what it waits for */
void delay_units(Entry *e, Units *units, uint32_t loop);                  /* in waves.c: levels made later */
uint64_t cell_bytes(const Cell *c);                                       /* in memory, aligned */
void flatten_updates(Entry *e, Units *commits); /* equal updates of neighbours become one */
Str output_name(Arena *a, const Graph *g, uint32_t output);
void plan_add_extern(Entry *e, const Unit *u, PlanStep *s);
void plan_add_entry(Entry *e, const Graph *g, const StepUnits *step, const uint32_t *output_cell);
#endif
