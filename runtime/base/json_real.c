/* One way to write them and one to read them, for metrics.jsonl, results.jsonl and what `--json` prints. */
#include "json_real.h"
#include <math.h>
#include <string.h>

json_t *json_real_make(double x) {
    return isnan(x) ? json_string("nan") : isinf(x) ? json_string(x > 0 ? "inf" : "-inf") : json_real(x);
}

double json_real_read(const json_t *v) {
    const char *text = json_string_value(v);
    if (text == NULL)
        return json_is_number(v) ? json_number_value(v) : (double)NAN;
    return strcmp(text, "inf") == 0 ? (double)INFINITY : strcmp(text, "-inf") == 0 ? -(double)INFINITY : (double)NAN;
}
