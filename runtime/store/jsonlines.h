/* Files that grow by a JSON object a line, read: a last line without its end, of a process that was killed while it
 * wrote, does not count. */
#ifndef GRR_STORE_JSONLINES_H
#define GRR_STORE_JSONLINES_H
#include "error.h"
#include <jansson.h>

typedef void JsonLine(void *user, json_t *object);
/* Of a path that ends with NUL, from byte *from on, which then is behind the last line that is whole and well.  A file
 * that is not there has none.  GR_DATA: a line is no object; `what` it should be. */
GrStatus jsonlines_read(Str path, int64_t *from, const char *what, JsonLine *line, void *user, Error *e);
#endif
