/* Strings are {pointer, length}, not NUL-terminated unless said; Buf builds text in an arena. */
#ifndef GR_BASE_STR_H
#define GR_BASE_STR_H
#include "arena.h"
#include <stdarg.h>
#include <stdbool.h>

typedef struct { const char *s; uint32_t n; } Str;
#define STR(lit) ((Str){"" lit, sizeof(lit) - 1})      /* of a literal */
#define FSTR(x)  (int)(x).n, (x).s                     /* printf("%.*s", FSTR(x)) */

Str  str_of(const char *z);                            /* of a NUL-terminated string, not copied */
Str  str_copy(Arena *a, Str s);                        /* the copy is NUL-terminated behind its end */
Str  str_format(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool str_eq(Str a, Str b);
bool str_is(Str a, const char *z);
bool str_starts(Str a, const char *prefix);
bool str_ends(Str a, const char *suffix);
int  str_compare(Str a, Str b);                        /* byte order */
uint32_t str_distance(Str a, Str b);                   /* edits (insert, delete, replace, swap) */

/* "Did you mean": the candidate fewest edits away, if that is few for such a name; else best is empty. */
typedef struct { Str want, best; uint32_t edits; } Nearest;
Nearest nearest_to(Str want);
void nearest_consider(Nearest *n, Str candidate);

typedef struct { Arena *arena; char *s; size_t n, cap; } Buf;   /* s is kept NUL-terminated after the first put */
Buf  buf_make(Arena *a);
void buf_put(Buf *b, Str s);
void buf_char(Buf *b, char c);
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *b, const char *fmt, va_list ap);
void buf_real(Buf *b, double x);     /* shortest decimal that reads back to the same double; inf, -inf, nan */
void buf_real32(Buf *b, float x);    /* the same for a float */
Str  buf_str(const Buf *b);

/* Interned names: the same text has the same id, ids count from 1 in order of first use. */
typedef struct Intern Intern;
Intern  *intern_create(Arena *a);
uint32_t intern_id(Intern *t, Str s);
Str      intern_str(const Intern *t, uint32_t id);     /* NUL-terminated behind its end */
uint32_t intern_find(const Intern *t, Str s);          /* 0 when it was never interned */
#endif
