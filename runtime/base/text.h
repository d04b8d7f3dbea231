/* Reading the text forms of our own IRs (plan, uniform program, kernel IR, graph IR): a cursor over one
 * Source that takes words, names, numbers and marks, skipping blanks and `# comments`.  The first thing
 * that does not fit becomes one diagnostic and the reader fails for good: from then on every read gives a
 * neutral value (0, the empty name) and every question is answered with no, so a parser needs no error
 * paths; it asks text_ok at its end, and its loops ask through text_more. */
#ifndef GR_BASE_TEXT_H
#define GR_BASE_TEXT_H
#include "diag.h"
#include "dtype.h"

typedef struct Text {
    const char *start, *at, *end;
    uint32_t base;                 /* of the spans */
    Span     last;                 /* what the latest read took */
    Arena   *arena;                /* owns the names handed out */
    Diags   *diags;
    bool     failed;
} Text;
Text text_open(Arena *a, const Source *src, Diags *ds);
bool text_ok(const Text *t);
void text_fail(Text *t, Span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
Span text_next_span(Text *t);                  /* of the next character, for messages */

bool text_at_end(Text *t);
bool text_is(Text *t, const char *lit);        /* is it next?  A word only as a whole word */
bool text_take(Text *t, const char *lit);      /* takes it when it is next */
void text_want(Text *t, const char *lit);      /* takes it, or fails */
bool text_more(Text *t, const char *close);    /* in a list: false after taking `close` or a failure */
Str      text_word(Text *t);                   /* [A-Za-z_][A-Za-z0-9_]* */
Str      text_name(Text *t);                   /* letters, digits, _ . / $, or anything between "" */
int64_t  text_int(Text *t);                    /* decimal with sign, or 0x */
uint64_t text_uint(Text *t, uint64_t most);    /* fails above `most` */
double   text_real(Text *t);                   /* also inf, -inf, nan */
DType    text_dtype(Text *t);

void buf_name(Buf *b, Str name);               /* so that text_name reads the same bytes */
/* What number n goes by in a text: `own`, or when one of the n earlier has that name (or it is empty),
 * own.NUMBER. */
Str  text_distinct(Arena *a, const Str *earlier, uint32_t n, Str own);
/* Spans print as `from 120+8 140+3`: offsets and lengths, exact; with sources the places follow as a
 * comment. */
void buf_spans(Buf *b, const SourceSet *s, const Span *at, uint32_t n);
Span text_span(Text *t);
#endif
