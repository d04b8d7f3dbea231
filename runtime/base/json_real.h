/* Numbers in the rows that runs write.  JSON has no inf and nan, so they are the texts "inf", "-inf" and "nan"; what is
 * neither a number nor one of these counts as nan. */
#ifndef GR_BASE_JSON_REAL_H
#define GR_BASE_JSON_REAL_H
#include <jansson.h>

json_t *json_real_make(double x);
double  json_real_read(const json_t *v);      /* NULL: nan */
#endif
