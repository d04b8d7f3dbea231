/* From text to tree and back: the three things the rest of the front end asks of the grammar. */
#ifndef GR_LANG_SYNTAX_H
#define GR_LANG_SYNTAX_H
#include "ast.h"

/* Parses one file.  Never NULL; mistakes are in `diags`, and the tree holds all that could be read around them. */
const AstFile *parse_source(Arena *a, const Source *source, Diags *diags);

/* The tree as indented text, a line a statement, expressions with their operator first; without places, so that equal
 * trees have equal texts. */
void ast_print(const AstFile *file, Buf *out);
void ast_print_text(Buf *b, Str text);          /* in quotes, with escapes */

/* The file in its one layout, comments kept.  A file with syntax errors is reported and written as it is. */
void fmt_source(const Source *source, Diags *diags, Buf *out);
#endif
