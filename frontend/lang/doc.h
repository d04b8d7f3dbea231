/* Documentation of names, for `graphc doc`: from words.def, the library's own text, docs/kinds and the operations. */
#ifndef GRF_LANG_DOC_H
#define GRF_LANG_DOC_H
#include "diag.h"

bool doc_print(Arena *a, Str name, Buf *out);       /* all that has this name; false: nothing has */
Str  doc_nearest(Arena *a, Str name);               /* a name that may be meant; empty: none */
void doc_list(Arena *a, Buf *out);                  /* every name, by what it is */
bool doc_has_word(Str word);                        /* words.def has a row for it */
Str  doc_of_kind(DiagKind k);                       /* the page of docs/kinds; empty: there is none */
#endif
