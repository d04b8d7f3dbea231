/* jansson refuses what is not UTF-8; then a copy is made letter by letter, with a question mark for each byte that does
 * not belong to one. */
#include "json_text.h"
#include "error.h"
#include <utf8proc.h>

static json_t *mended(Str s) {
    Arena *scratch = arena_create();
    Buf b = buf_make(scratch);
    for (uint32_t i = 0; i < s.n;) {
        utf8proc_int32_t rune;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.s + i, (utf8proc_ssize_t)(s.n - i), &rune);
        buf_put(&b, n > 0 ? (Str){s.s + i, (uint32_t)n} : STR("?"));
        i += n > 0 ? (uint32_t)n : 1;
    }
    json_t *j = json_stringn(b.s, b.n);
    arena_destroy(scratch);
    return j;
}

json_t *json_text(Str s) {
    json_t *j = json_stringn(s.n ? s.s : "", s.n);
    j = j ? j : mended(s);
    GR_ASSERT(j != NULL);
    return j;
}

void json_put(json_t *object, Str key, json_t *value) {
    json_t *name = json_text(key);
    json_object_setn_new(object, json_string_value(name), json_string_length(name), value);
    json_decref(name);
}
