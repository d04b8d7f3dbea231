/* Any bytes as a JSON string: paths, remarks and messages come from outside and need not be UTF-8, which JSON is. */
#ifndef GR_BASE_JSON_TEXT_H
#define GR_BASE_JSON_TEXT_H
#include "str.h"
#include <jansson.h>

/* Bytes that are no part of a letter become question marks.  Never NULL. */
json_t *json_text(Str s);
/* Puts `value`, which is given away, under a key that may be any bytes too. */
void    json_put(json_t *object, Str key, json_t *value);
#endif
