/* What a diagnostic is made of: shared by diag.c, which collects, and diag_render.c, which draws; nobody else's. */
#ifndef GR_BASE_DIAG_PARTS_H
#define GR_BASE_DIAG_PARTS_H
#include "diag.h"

typedef struct { Span at; Str text; } Label;
typedef struct { bool is_help; Str text; } Remark;

struct Diag {
    Arena *arena;
    DiagKind kind;
    const char *failure;           /* the kind of a failure of the world; NULL: it is a mistake of `kind` */
    bool remark;                   /* such a failure that is only a warning */
    Span at;                       /* the primary span */
    Str message, primary_label;
    VEC(Label) labels;             /* of the other spans */
    VEC(Remark) remarks;           /* notes and help, as they were given */
};

Severity    diag_severity(const Diag *d);
const char *diag_name(const Diag *d);
void diag_render_one(Arena *scratch, const Diag *d, const SourceSet *sources, Buf *out, bool colour);
#endif
