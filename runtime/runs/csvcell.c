/* A comma, a quote and the end of a line are what another reader would take for ours; libcsv says how many bytes a cell
 * has in quotes, then writes them. */
#include "csvcell.h"
#include <csv.h>
#include <math.h>
#include <string.h>

static bool is_plain(Str s) {
    for (uint32_t i = 0; i < s.n; i++) {
        if (memchr("\",\n\r", s.s[i], 4) != NULL)
            return false;
    }
    return true;
}

void csv_cell(Buf *to, bool first, Str text) {
    if (!first)
        buf_char(to, ',');
    if (is_plain(text)) {
        buf_put(to, text);
        return;
    }
    size_t room = csv_write(NULL, 0, text.s, text.n);
    char *quoted = PUSH(to->arena, char, room + 1);
    buf_put(to, (Str){quoted, (uint32_t)csv_write(quoted, room, text.s, text.n)});
}

void csv_number(Buf *to, bool first, double x) {
    Buf text = buf_make(to->arena);
    if (!isnan(x))
        buf_real(&text, x);
    csv_cell(to, first, buf_str(&text));
}
