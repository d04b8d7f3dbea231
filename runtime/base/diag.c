/* Diagnostics: collecting and ordering them, and the JSON form.  How one is drawn is in diag_render.c. */
#include "diag_parts.h"
#include "json_text.h"
#include <stdlib.h>
#include <string.h>

const char *diag_kind_name(DiagKind k) {
    static const char *const names[] = {
#define DIAG(id, name, severity, brief) name,
#include "diag_kinds.def"
#undef DIAG
    };
    GR_ASSERT((unsigned)k < DIAG_COUNT);
    return names[k];
}

Severity diag_severity(const Diag *d) {
    static const Severity severities[] = {
#define DIAG(id, name, severity, brief) severity,
#include "diag_kinds.def"
#undef DIAG
    };
    return d->remark ? SEV_WARNING : severities[d->kind];
}

const char *severity_name(Severity s) {
    switch (s) {
    case SEV_ERROR: return "error";
    case SEV_WARNING: return "warning";
    case SEV_NOTE: return "note";
    }
    GR_BUG("severity %d", (int)s);
}

enum { RENDERED_ERRORS = 20, REMEMBERED = 256 };

struct Diags {
    Arena *arena;
    const SourceSet *sources;
    VEC(Diag *) all;
    uint32_t n_errors;
};

Diags *diags_create(Arena *a, const SourceSet *s) {
    Diags *ds = PUSH(a, Diags, 1);
    ds->arena = a;
    ds->sources = s;
    return ds;
}

/* Repetitions come soon after each other, so only the latest are searched and a file of errors stays linear. */
static bool said_before(const Diags *ds, DiagKind k, Span at) {
    uint32_t first = ds->all.n > REMEMBERED ? ds->all.n - REMEMBERED : 0;
    for (uint32_t i = first; i < ds->all.n; i++) {
        const Diag *d = ds->all.at[i];
        if (d->kind == k && d->at.at == at.at && d->at.n == at.n)
            return true;
    }
    return false;
}

static Str format(Arena *a, const char *fmt, va_list ap) {
    Buf b = buf_make(a);
    buf_vprintf(&b, fmt, ap);
    return buf_str(&b);
}

/* A repetition is made and can be labelled like any other, but it is not kept. */
Diag *diag_add(Diags *ds, DiagKind k, Span at, const char *fmt, ...) {
    Diag *d = PUSH(ds->arena, Diag, 1);
    *d = (Diag){.arena = ds->arena, .kind = k, .at = at};
    va_list ap;
    va_start(ap, fmt);
    d->message = format(ds->arena, fmt, ap);
    va_end(ap);
    if (said_before(ds, k, at))
        return d;
    vec_push(ds->arena, &ds->all, d);
    ds->n_errors += diag_severity(d) == SEV_ERROR;
    return d;
}

const char *diag_name(const Diag *d) { return d->failure != NULL ? d->failure : diag_kind_name(d->kind); }

void diag_add_failure(Diags *ds, const char *kind, const Error *e) {
    Diag *d = diag_add(ds, DIAG_DATA_DECL, e->at, "%s", e->what);
    d->failure = str_copy(d->arena, str_of(kind)).s;
    if (e->help[0] != 0)
        diag_help(d, "%s", e->help);
}

Diag *diag_add_found(Diags *ds, Severity s, const char *kind, Span at, const char *fmt, ...) {
    Diag *d = PUSH(ds->arena, Diag, 1);
    *d = (Diag){.arena = ds->arena, .kind = DIAG_DATA_DECL, .at = at, .remark = s != SEV_ERROR};
    d->failure = str_copy(d->arena, str_of(kind)).s;
    va_list ap;
    va_start(ap, fmt);
    d->message = format(ds->arena, fmt, ap);
    va_end(ap);
    vec_push(ds->arena, &ds->all, d);
    ds->n_errors += s == SEV_ERROR;
    return d;
}

void diag_label(Diag *d, Span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Str text = format(d->arena, fmt, ap);
    va_end(ap);
    if (at.at == d->at.at && at.n == d->at.n && d->primary_label.n == 0)
        d->primary_label = text;
    else
        vec_push(d->arena, &d->labels, (Label){at, text});
}

void diag_note(Diag *d, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vec_push(d->arena, &d->remarks, (Remark){false, format(d->arena, fmt, ap)});
    va_end(ap);
}

void diag_help(Diag *d, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vec_push(d->arena, &d->remarks, (Remark){true, format(d->arena, fmt, ap)});
    va_end(ap);
}

uint32_t diags_errors(const Diags *ds) { return ds->n_errors; }

Str diags_first_error(const Diags *ds, Span *at) {
    for (uint32_t i = 0; i < ds->all.n; i++) {
        if (diag_severity(ds->all.at[i]) == SEV_ERROR) {
            *at = ds->all.at[i]->at;
            return ds->all.at[i]->message;
        }
    }
    GR_BUG("no error among %u diagnostics", ds->all.n);
}
uint32_t diags_count(const Diags *ds) { return ds->all.n; }

typedef struct { const Diag *diag; uint32_t order; } Ranked;

static int by_place(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    if (x->diag->at.at != y->diag->at.at)
        return x->diag->at.at < y->diag->at.at ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static Ranked *in_order(Arena *a, const Diags *ds) {
    Ranked *r = PUSH(a, Ranked, ds->all.n);
    for (uint32_t i = 0; i < ds->all.n; i++)
        r[i] = (Ranked){ds->all.at[i], i};
    if (ds->all.n > 0)
        qsort(r, ds->all.n, sizeof *r, by_place);
    return r;
}

void diags_render(const Diags *ds, Buf *out, bool colour) {
    Arena *scratch = arena_create();
    Ranked *r = in_order(scratch, ds);
    uint32_t errors = 0;
    for (uint32_t i = 0; i < ds->all.n; i++) {
        bool is_error = diag_severity(r[i].diag) == SEV_ERROR;
        errors += is_error;
        if (is_error && errors > RENDERED_ERRORS)
            continue;
        if (i > 0)
            buf_char(out, '\n');
        diag_render_one(scratch, r[i].diag, ds->sources, out, colour);
    }
    if (errors > RENDERED_ERRORS)
        buf_printf(out, "\nand %u more error%s\n", errors - RENDERED_ERRORS, errors - RENDERED_ERRORS == 1 ? "" : "s");
    arena_destroy(scratch);
}

static void put_place(json_t *to, const SourceSet *sources, Span at) {
    Place p = sources_place(sources, at);
    if (p.line == 0)
        return;
    json_object_set_new(to, "path", json_text(p.path));
    json_object_set_new(to, "line", json_integer(p.line));
    json_object_set_new(to, "column", json_integer(p.column));
    json_object_set_new(to, "bytes", json_integer(at.n));
}

static json_t *json_label(const SourceSet *sources, Span at, Str text) {
    json_t *j = json_object();
    put_place(j, sources, at);
    json_object_set_new(j, "text", json_text(text));
    return j;
}

static json_t *json_diag(const SourceSet *sources, const Diag *d) {
    json_t *j = json_object(), *labels = json_array(), *notes = json_array(), *helps = json_array();
    json_object_set_new(j, "severity", json_string(severity_name(diag_severity(d))));
    json_object_set_new(j, "kind", json_string(diag_name(d)));
    json_object_set_new(j, "message", json_text(d->message));
    put_place(j, sources, d->at);
    if (d->primary_label.n > 0)
        json_array_append_new(labels, json_label(sources, d->at, d->primary_label));
    for (uint32_t i = 0; i < d->labels.n; i++)
        json_array_append_new(labels, json_label(sources, d->labels.at[i].at, d->labels.at[i].text));
    for (uint32_t i = 0; i < d->remarks.n; i++)
        json_array_append_new(d->remarks.at[i].is_help ? helps : notes, json_text(d->remarks.at[i].text));
    json_object_set_new(j, "labels", labels);
    json_object_set_new(j, "notes", notes);
    json_object_set_new(j, "help", helps);
    return j;
}

static void put_line(json_t *j, Buf *out) {
    char *text = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
    GR_ASSERT(text != NULL);
    buf_put(out, str_of(text));
    buf_char(out, '\n');
    free(text);
    json_decref(j);
}

/* One object a line, all of them: an editor counts for itself. */
void diags_render_json(const Diags *ds, Buf *out) {
    Arena *scratch = arena_create();
    Ranked *r = in_order(scratch, ds);
    for (uint32_t i = 0; i < ds->all.n; i++)
        put_line(json_diag(ds->sources, r[i].diag), out);
    arena_destroy(scratch);
}

void error_render_json(Severity s, const char *kind, const char *what, const char *help, Buf *out) {
    json_t *j = json_object(), *helps = json_array();
    json_object_set_new(j, "severity", json_string(severity_name(s)));
    json_object_set_new(j, "kind", json_string(kind));
    json_object_set_new(j, "message", json_text(str_of(what)));
    if (help[0] != 0)
        json_array_append_new(helps, json_text(str_of(help)));
    json_object_set_new(j, "labels", json_array());
    json_object_set_new(j, "notes", json_array());
    json_object_set_new(j, "help", helps);
    put_line(j, out);
}
