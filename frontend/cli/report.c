/* What went wrong, for people or, with --diag=json, for programs: mistakes of the text with their places, and failures
 * of the world, which have one when a line of the text asked for it, as `from` does.  In both forms all of it goes to
 * standard error, but for `--json`, which has it where its result would be. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colour_wanted(FILE *f) {
    const char *no = getenv("NO_COLOR");
    return isatty(fileno(f)) && !(no && *no);
}

void report_diags(const Diags *ds, const Common *c) {
    Arena *scratch = arena_create();
    Buf text = buf_make(scratch);
    if (c->json || c->diag_json) diags_render_json(ds, &text);
    else diags_render(ds, &text, colour_wanted(stderr));
    fprintf(c->json ? stdout : stderr, "%.*s", FSTR(buf_str(&text)));
    arena_destroy(scratch);
}

static void put(const Common *c, Severity severity, const char *kind, const char *what, const char *help) {
    if (c->json || c->diag_json) {
        Arena *scratch = arena_create();
        Buf text = buf_make(scratch);
        error_render_json(severity, kind, what, help, &text);
        fwrite(text.s, 1, text.n, c->json ? stdout : stderr);
        arena_destroy(scratch);
        return;
    }
    bool error = severity == SEV_ERROR;
    fprintf(stderr, "graphc: %s%s%s\n", error ? "" : severity_name(severity), error ? "" : ": ", what);
    if (help[0]) fprintf(stderr, "  help: %s\n", help);
}

void report_remark(const Common *c, Severity severity, const char *kind, Str what) {
    Arena *scratch = arena_create();
    put(c, severity, kind, str_copy(scratch, what).s, "");
    arena_destroy(scratch);
}

int report_error(const Common *c, const Error *e) {
    char kind[32] = "";
    const char *name = gr_status_name(e->status);
    for (uint32_t i = 0; name[i] && i + 1 < sizeof kind; i++)
        kind[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    if (e->sources) {
        Arena *scratch = arena_create();
        Diags *ds = diags_create(scratch, e->sources);
        diag_add_failure(ds, kind, e);
        report_diags(ds, c);
        arena_destroy(scratch);
    } else {
        put(c, SEV_ERROR, kind, e->what, e->help);
    }
    return e->status == GR_USAGE         ? EXIT_USAGE
           : e->status == GR_INTERRUPTED ? EXIT_INTERRUPTED
           : e->status == GR_STOPPED     ? EXIT_STOPPED
                                         : EXIT_WRONG;
}

int report_no_train(const Common *c) {
    Error e = {0};
    fail(&e, GR_PROGRAM, "%s has no `train`", c->file);
    fail_help(&e, "add `train { optimizer adam(lr = 1e-3);  epochs 10;  batch 64 }` behind an objective");
    return report_error(c, &e);
}

int report_no_objective(const Common *c) {
    Error e = {0};
    fail(&e, GR_PROGRAM, "%s has no `objective`", c->file);
    fail_help(&e, "what is measured is an objective: `objective o(b : d[N]) { metric m = .. }`");
    return report_error(c, &e);
}

int report_no_entry(const Common *c) {
    Error e = {0};
    fail(&e, GR_PROGRAM, "%s has neither `train` nor `export`: there is nothing to compile", c->file);
    return report_error(c, &e);
}
