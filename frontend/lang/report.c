/* Diagnostics of the semantic half.  A mistake found while a library function is lowered is the caller's: the
 * message goes to the nearest call the user wrote, and the line of the library becomes a note. */
#include "lower.h"

bool in_library(const Program *p, Span at) { return at.at >= p->library_lo && at.at < p->library_hi; }

Span report_site(const Lower *l, Span at) {
    for (const Frame *f = l->frame; f && in_library(l->p, at); f = f->caller) {
        at = f->call_at;
    }
    return at;
}

static void note_place(Lower *l, Diag *d, Span at, const char *text) {
    Place p = sources_place(l->p->sources, at);
    diag_note(d, "%.*s:%u: %s%s`%.*s`", FSTR(p.path), p.line, text, *text ? ": " : "",
              FSTR(sources_text(l->p->sources, at)));
}

Diag *report(Lower *l, DiagKind k, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Buf b = buf_make(l->a);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    Span site = report_site(l, at);
    Diag *d = diag_add(l->ds, k, site, "%.*s", FSTR(buf_str(&b)));
    if (site.at != at.at) {
        note_place(l, d, at, "");
    }
    return d;
}

void report_label(Lower *l, Diag *d, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Buf b = buf_make(l->a);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (at.n == 0) {
        return;
    }
    if (in_library(l->p, at)) {
        note_place(l, d, at, buf_str(&b).s);
    } else {
        diag_label(d, at, "%.*s", FSTR(buf_str(&b)));
    }
}

void report_origins(Lower *l, Diag *d, const Array *a) {
    const DimOrigin *last = NULL;
    for (uint32_t i = 0; i < l->origins.n; i++) {
        const DimOrigin *o = &l->origins.at[i];
        for (uint32_t k = 0; k < a->rank; k++) {
            if (a->dim[k] == o->dim && !(last && last->at.at == o->at.at && str_eq(last->why, o->why))) {
                report_label(l, d, o->at, "%.*s", FSTR(o->why));
                last = o;
            }
        }
    }
}

void report_near(Diag *d, const Nearest *n) {
    if (n->best.n) {
        diag_help(d, "did you mean `%.*s`?", FSTR(n->best));
    }
}

V not_yet(Lower *l, Span at, const char *what) {
    report(l, DIAG_NOT_YET, at, "%s: this version does not run it yet", what);
    return value_poison(l);
}
