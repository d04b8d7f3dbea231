/* Diagnostics about a text the user wrote (.graph files, and the text forms of our own IRs): collected, sorted by
 * position, rendered with carets.  Kinds are rows of diag_kinds.def.  A Span is an offset into the concatenation of all
 * sources of one SourceSet, so that 8 bytes name file, line and column; {0,0} is "no place". */
#ifndef GR_BASE_DIAG_H
#define GR_BASE_DIAG_H
#include "error.h"
#include <stdio.h>

Span span_join(Span a, Span b);                         /* from the first byte of one to the last of the other */

typedef struct SourceSet SourceSet;
typedef struct { Str path, text; uint32_t base; } Source;   /* text.s is NUL-terminated; spans of it start at base */
typedef struct { Str path; uint32_t line, column; Str line_text; } Place;   /* from 1; column in bytes */
SourceSet    *sources_create(Arena *a);
/* A folder in which files of data lie under their whole paths, as in a packed run; they come before the others. */
void          sources_pack(SourceSet *s, Str folder);
Str           sources_packed(const SourceSet *s);                  /* "": there is none */
const Source *sources_add(SourceSet *s, Str path, Str text);       /* copies */
GrStatus      sources_load(SourceSet *s, Str path, const Source **out, Error *e);  /* no NUL, UTF-8, at most 64 MiB */
const Source *sources_of(const SourceSet *s, Span at);
Place         sources_place(const SourceSet *s, Span at);          /* path empty for no place */
Str           sources_text(const SourceSet *s, Span at);

typedef enum { SEV_ERROR, SEV_WARNING, SEV_NOTE } Severity;
typedef enum {
#define DIAG(id, name, severity, brief) DIAG_##id,
#include "diag_kinds.def"
#undef DIAG
    DIAG_COUNT
} DiagKind;
const char *diag_kind_name(DiagKind k);
const char *severity_name(Severity s);                             /* "error" */

typedef struct Diags Diags;
typedef struct Diag Diag;
Diags *diags_create(Arena *a, const SourceSet *s);
Diag  *diag_add(Diags *ds, DiagKind k, Span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A text under a span, the primary one or another. */
void   diag_label(Diag *d, Span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void   diag_note(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void   diag_help(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint32_t diags_errors(const Diags *ds);
uint32_t diags_count(const Diags *ds);
Str      diags_first_error(const Diags *ds, Span *at);             /* its message; there is one */
/* Same kind at the same place is kept once; at most 20 errors are rendered, then how many more there are. */
void   diags_render(const Diags *ds, Buf *out, bool colour);
void   diags_render_json(const Diags *ds, Buf *out);
/* A failure of the world at a place of the text; kind: "data", "io". */
void     diag_add_failure(Diags *ds, const char *kind, const Error *e);
/* What somebody found in the world, of which there may be several at one place of the text; an error or a warning. */
Diag    *diag_add_found(Diags *ds, Severity s, const char *kind, Span at, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* A failure of the world, or a warning while something runs, as an object of the same form without a place. */
void   error_render_json(Severity s, const char *kind, const char *what, const char *help, Buf *out);
#endif
