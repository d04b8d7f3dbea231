/* The syntax tree of a .graph file, as the parser leaves it: what was written, nothing resolved.
 *
 * Nodes are tagged unions in the arena given to parse_source, linked by pointers, never changed after parsing.  Every
 * node has the Span it was written at.  Names are text (a slice of the source): whoever needs ids interns them, so that
 * trees of several files fit together.  Where the text was wrong (and reported) stands an EX_ERROR, ST_ERROR,
 * TC_ERROR, SC_ERROR or DECL_ERROR node, or a Name that is empty; pointers are never NULL unless called optional. */
#ifndef GR_LANG_AST_H
#define GR_LANG_AST_H
#include "diag.h"

typedef struct Expr Expr;
typedef struct Stmt Stmt;
typedef struct TypeSyntax TypeSyntax;

/* A name as written.  `.n == 0` means it was left out.  A path (`vae.encoder`, `probe.epochs`) keeps its dots; a
 * parameter pattern (`decoder.residual1[3].*`) all of its text. */
typedef struct { Str text; Span at; } Name;

typedef VEC(Name)   NameVec;
typedef VEC(Expr *) ExprVec;
typedef VEC(Stmt *) StmtVec;
typedef struct { StmtVec stmts; Span at; } Block;               /* `{ … }`, braces included in `at` */

/* ---- dims and types ---------------------------------------------------------------------------------------------- */

typedef enum {
    DIM_EXPR,                   /* `8`, `N`, `T - 1`                              -> expr */
    DIM_REST,                   /* `..` */
    DIM_INFER,                  /* `_` */
    DIM_MERGED,                 /* `(T N)`: names and numbers, in row order        -> merged */
    DIM_UP_TO                   /* `up to 24`, ragged                              -> expr */
} DimKind;
typedef struct { DimKind kind; Span at; Expr *expr; ExprVec merged; } DimSyntax;
typedef VEC(DimSyntax) DimVec;

typedef enum {
    TYPE_PLAIN,                 /* `real`, `real[N, 8]`, `u8[11] < 5`, `robots[N]` */
    TYPE_LIST,                  /* `list dim`: base is the element type */
    TYPE_ONE_OF                 /* `one of mse, bce` */
} TypeKind;
struct TypeSyntax {
    TypeKind kind;
    Span     at;
    Name     base;              /* element type or name of a data set; empty for TYPE_ONE_OF */
    bool     has_dims;
    DimVec   dims;              /* of TYPE_PLAIN */
    Expr    *bound;             /* `< 5`; optional */
    NameVec  choices;           /* of TYPE_ONE_OF */
};

/* ---- expressions ------------------------------------------------------------------------------------------------- */

#define REDUCER_LIST(_) \
    _(SUM, "sum") _(MEAN, "mean") _(PROD, "prod") _(MAX, "max") _(MIN, "min") _(ANY, "any") _(ALL, "all") \
    _(ARGMAX, "argmax") _(ARGMIN, "argmin") _(LOGSUMEXP, "logsumexp")
typedef enum {
#define X(id, text) RED_##id,
    REDUCER_LIST(X)
#undef X
    RED_COUNT
} Reducer;
const char *reducer_text(Reducer r);

/* Binary operators, loosest first by group. */
#define BINARY_LIST(_) \
    _(OR, "or") _(AND, "and") _(EQ, "==") _(NE, "!=") _(LT, "<") _(LE, "<=") _(GT, ">") _(GE, ">=") \
    _(ADD, "+") _(SUB, "-") _(MUL, "*") _(DIV, "/") _(MATMUL, "@") _(IDIV, "div") _(MOD, "mod") _(POW, "^")
typedef enum {
#define X(id, text) BIN_##id,
    BINARY_LIST(X)
#undef X
    BIN_COUNT
} BinaryOp;
const char *binary_text(BinaryOp op);

typedef enum { UN_NEG, UN_NOT, UN_TRANSPOSE } UnaryOp;          /* `-x`, `not x`, `x'` */

typedef enum {
    ITEM_EXPR,                  /* an index, a position, a condition: which one, names decide   -> expr */
    ITEM_SLICE,                 /* `lo:hi:step`, each optional                                   -> lo, hi, step */
    ITEM_ALL,                   /* `:` */
    ITEM_REST                   /* `..` */
} ItemKind;
typedef struct { ItemKind kind; Span at; Expr *expr, *lo, *hi, *step; } Item;
typedef VEC(Item) ItemVec;

typedef struct { Name name; Expr *value; } Arg;                 /* name.text.n == 0: by position */
typedef VEC(Arg) ArgVec;

typedef struct { Expr *pattern; Expr *value; Span at; } MatchArm;   /* pattern NULL: `_`; else a literal or name */
typedef VEC(MatchArm) MatchArmVec;

typedef enum {
    EX_ERROR, EX_NUMBER, EX_STRING, EX_BOOL, EX_INF, EX_PI, EX_NAME, EX_FIELD, EX_UNARY, EX_BINARY, EX_CALL, EX_INDEX,
    EX_REDUCE, EX_PIPE, EX_AS, EX_MATCH, EX_LIST, EX_TUPLE,
    EX_COUNT
} ExprKind;
struct Expr {
    ExprKind kind;
    Span     at;                /* the whole expression, its own parentheses left out */
    Span     op_at;             /* the operator, reducer word, `|>`, `as`, bracket or field name: where a caret goes */
    uint16_t height;            /* 1 for a leaf; the parser refuses more than 1000, so recursion over a tree is safe */
    bool     parens;            /* stood in parentheses */
    union {
        struct { Str text; bool is_int; } number;               /* decimal text as written: `0.7`, `1e-3`, `64` */
        Str  string;                                            /* escapes resolved */
        bool boolean;
        Name name;
        struct { Expr *base; Name name; } field;
        struct { UnaryOp op; Expr *x; } unary;
        struct { BinaryOp op; Expr *l, *r; } binary;
        struct { Expr *callee; ArgVec args; } call;             /* callee of `max(a, b)` is the name `max` */
        struct { Expr *base; ItemVec items; } index;
        struct { Reducer op; ItemVec items; Expr *x; } reduce;  /* `[..]` is one ITEM_REST */
        struct { Expr *x; Expr *f; } pipe;                      /* f: name, field or call lacking its first argument */
        struct { Expr *x; DimVec dims; } as;
        struct { Expr *subject; MatchArmVec arms; } match;
        struct { ExprVec items; } list;                         /* EX_LIST, EX_TUPLE (two or more items) */
    };
};

/* ---- statements -------------------------------------------------------------------------------------------------- */

typedef enum { TI_INDEX, TI_ALL, TI_REST } TargetItemKind;      /* `n` or `n < K`, `:`, `..` */
typedef struct { TargetItemKind kind; Span at; Name name; Expr *extent; } TargetItem;   /* extent: the K, optional */
typedef VEC(TargetItem) TargetItemVec;
typedef struct {
    Name          name;         /* text "_" drops the value */
    bool          indexed;      /* has brackets: index form */
    TargetItemVec items;
    Span          at;
} Target;
typedef VEC(Target) TargetVec;

typedef enum { UNIT_EPOCHS, UNIT_STEPS, UNIT_REPORTS } Unit;
const char *unit_text(Unit u);
typedef struct { Expr *n; Unit unit; Span at; } Count;          /* `5 epochs`; n NULL: left out */

typedef struct { Name name; Expr *init; } Carry;
typedef struct { Name name; Expr *in; Expr *below; } Over;      /* one of `a in xs`, `t < T` */
typedef struct { Expr *pattern; Block body; Span at; } BlockArm;    /* pattern as in MatchArm */
typedef struct { Name name; Expr *share; Span at; } SplitPart;  /* share NULL: `rest` */

typedef enum {
    ST_ERROR,
    ST_BIND,                    /* `a, b[n,:] = e` */
    ST_PARAM, ST_STATE,         /* `param w : real[A] = e` */
    ST_UPDATE,                  /* `m <- e` */
    ST_INSTANCE,                /* `enc : menet5(w = 2)` */
    ST_FOR, ST_SCAN, ST_COLLECT, ST_REPEAT, ST_IF, ST_MATCH, ST_REQUIRE,
    ST_LOSS, ST_METRIC, ST_WATCH, ST_ALARM,
    /* only in `data` */
    ST_FROM, ST_COLUMN, ST_DROP_DUPLICATES, ST_DROP_WHERE, ST_DROP_EPISODES, ST_EPISODES, ST_SPLIT,
    ST_COUNT
} StmtKind;
struct Stmt {
    StmtKind kind;
    Span     at;
    union {
        struct { TargetVec targets; Expr *value; } bind;
        struct { NameVec names; TypeSyntax *type; Expr *init; } cell;       /* PARAM, STATE: type, init optional */
        struct { Name name; Expr *value; } update;
        struct { Name name; Expr *callee; ArgVec args; } instance;          /* callee: name or field */
        struct { Name item, counter; Expr *in; Expr *below; Block body; } loop; /* `for c, i in l`; `for i < n`: item
                                                                               empty, counter i; one of in, below */
        struct { VEC(Carry) carries; VEC(Over) over; Block body; } scan;
        struct { Target target; Expr *value; } collect;
        struct { Target target; Expr *value; Expr *until; } repeat;
        struct { Expr *cond; Block then; bool has_else; Block otherwise; } branch;  /* `else if`: one ST_IF inside */
        struct { Expr *subject; VEC(BlockArm) arms; } match;
        struct { Expr *cond; Str why; } require;                            /* why optional (n == 0) */
        struct { Target target; Expr *value; Expr *weight; bool nograd; } loss;     /* weight optional */
        struct { Target target; Expr *value; } metric;
        struct { Name name; Expr *value; } watch;                           /* value NULL: the name's own */
        struct { bool stop; Str text; Expr *when; Count patience, after; } alarm;   /* both optional; unit of
                                                                               patience is reports, of after steps */
        struct { Expr *reader; Name split; } from;                          /* reader: a call; split optional */
        struct { NameVec names; TypeSyntax *type; Expr *value; } column;    /* value optional: read by name */
        struct { ExprVec of; } duplicates;
        struct { Expr *cond; } where;                                       /* both DROP_, EPISODES (end) */
        struct {
            Expr *folds;                                                    /* `5 folds`, optional */
            VEC(SplitPart) parts;
            Name  of;                                                       /* `of train`, optional */
            Expr *by;                                                       /* `by episode`, optional */
            Expr *seed;                                                     /* optional; with in_order never */
            bool  in_order;
        } split;
    };
};

/* ---- clauses of `train` and `sweep` ------------------------------------------------------------------------------ */

typedef struct { Name data; Expr *rows; } BatchPart;            /* data empty for the only data set */
typedef enum {
    TC_ERROR, TC_OBJECTIVE, TC_OPTIMIZER, TC_EPOCHS, TC_STEPS, TC_BATCH, TC_SEED, TC_CLIP, TC_FREEZE, TC_LOAD,
    TC_PRECISION, TC_CONVOLUTION, TC_VALIDATE, TC_REPORT, TC_SAVE, TC_KEEP, TC_PATIENCE, TC_EVERY,
    TC_SHUFFLE, TC_COUNT
} TrainClauseKind;
typedef struct {
    TrainClauseKind kind;
    Span at;
    union {
        struct { Name name; NameVec updates; Expr *times; } objective;      /* updates are patterns; both optional */
        struct { Expr *call; NameVec patterns; Expr *rank_below; } optimizer;   /* `for P, Q` or `for rank < 2` */
        Expr *number;                                                       /* EPOCHS, STEPS, SEED, SHUFFLE */
        struct { VEC(BatchPart) parts; Expr *shards; bool per_shard, drop_tail; } batch;
        struct { Name what; Expr *limit; } clip;                            /* `clip norm 35` */
        NameVec freeze;
        struct { NameVec patterns; Expr *file, *names; bool partly; } load;  /* names: optional */
        Name precision;                                                     /* `f32`, `bf16`, `f16` */
        Name convolution;                                                   /* `direct`, `winograd` */
        struct { Name objective; Count every; } validate;                   /* objective optional */
        Count every;                                                        /* REPORT, SAVE, PATIENCE */
        struct { bool highest; Expr *score; } keep;
        struct { Count every; Name train; } interleave;                     /* `every 20 epochs train probe` */
    };
} TrainClause;

typedef enum { SC_ERROR, SC_IN, SC_SET, SC_DRAW, SC_SKIP, SC_POINTS, SC_REPEAT, SC_BEST, SC_COUNT } SweepClauseKind;
typedef struct {
    SweepClauseKind kind;
    Span at;
    union {
        struct { NameVec names; ExprVec values; } in;   /* IN, REPEAT; with several names each value is an EX_TUPLE */
        struct { Name name; Expr *value; } set;
        struct { Expr *n; Expr *seed; } draw;           /* seed optional */
        Expr *skip;
        Expr *points;
        struct { bool highest; Expr *score; } best;
    };
} SweepClause;

/* ---- declarations ------------------------------------------------------------------------------------------------ */

typedef struct { Name name; TypeSyntax *type; Expr *preset; } Param;    /* type, preset (default) optional; the names of
                                                                   `m, s : real[..]` are two, sharing the type node */
typedef VEC(Param) ParamVec;
typedef struct { ParamVec args, results; } Signature;

typedef enum {
    DECL_ERROR, DECL_USE, DECL_SETTING, DECL_CONSTANT, DECL_REQUIRE, DECL_DATA, DECL_DEF, DECL_MODEL, DECL_FOLLOWS,
    DECL_OPTIMIZER, DECL_OBJECTIVE, DECL_EXPORT, DECL_EXTERN, DECL_TRAIN, DECL_SWEEP,
    DECL_COUNT
} DeclKind;
typedef struct {
    DeclKind kind;
    Span     at;
    Name     name;              /* empty for SETTING (has names), REQUIRE, a `train` or `sweep` without name */
    Str      doc;               /* comment lines directly above, `#` and one blank stripped, joined by newlines */
    union {
        struct { Str path; } use;                                       /* `as` name is `name` */
        struct { NameVec names; TypeSyntax *type; ExprVec values; } setting;    /* a value a name, or one for all */
        Expr *constant;
        struct { Expr *cond; Str why; } require;
        Block data;
        struct { Signature sig; bool has_results; Expr *value; Block body; } function;
                                        /* DEF, MODEL, OBJECTIVE, EXPORT; value: `= expr` form of DEF, else NULL */
        struct { Name source; Expr *rate; } follows;
        struct { Signature sig; Name p, g, k; Block body; } optimizer;
        struct { Signature sig; Name library, gradient; bool nograd; } external;    /* library: where its text stands */
        struct { VEC(TrainClause) clauses; } train;
        struct { VEC(SweepClause) clauses; } sweep;
    };
} Decl;

typedef struct { Span at; bool own_line; } Comment;             /* `#` to the end of its line */
typedef struct {
    const Source *source;
    uint32_t      edition;      /* 1 also when the file does not say */
    Span          edition_at;   /* {0,0} when the file does not say */
    VEC(Decl *)   decls;        /* in text order */
    VEC(Comment)  comments;
} AstFile;
#endif
