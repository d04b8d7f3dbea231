/* Opening a program: read, parse, check; and saying what went wrong. */
#include "gradients.h"
#include "source.h"
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

bool colour_wanted(FILE *f) {
    const char *no = getenv("NO_COLOR");
    return isatty(fileno(f)) && !(no && *no);
}

int report_error(const Error *e) {
    fprintf(stderr, "graphc: %s\n", e->what);
    if (e->help[0]) fprintf(stderr, "  help: %s\n", e->help);
    return e->status == GR_USAGE ? EXIT_USAGE : e->status == GR_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_WRONG;
}

int report_no_train(const Common *c) {
    fprintf(stderr,
            "graphc: %s has no `train`\n"
            "  help: add `train { optimizer adam(lr = 1e-3);  epochs 10;  batch 64 }` behind an objective\n",
            c->file);
    return EXIT_WRONG;
}

int report_no_objective(const Common *c) {
    fprintf(stderr,
            "graphc: %s has no `objective`\n"
            "  help: what is measured is an objective: `objective o(b : d[N]) { metric m = .. }`\n",
            c->file);
    return EXIT_WRONG;
}

int report_no_entry(const Common *c) {
    fprintf(stderr, "graphc: %s has neither `train` nor `export`: there is nothing to compile\n", c->file);
    return EXIT_WRONG;
}

static void out_of_memory(void *user) {
    (void)user;
    static const char text[] = "graphc: out of memory\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_WRONG);
}

bool session_open(Session *s, const Common *c) {
    *s = (Session){.arena = arena_create()};
    arena_on_full(s->arena, out_of_memory, NULL);
    s->files = sources_create(s->arena);
    s->diags = diags_create(s->arena, s->files);
    Error e = {0};
    if (sources_load(s->files, str_of(c->file), &s->main, &e) != GR_OK ||
        math_create(s->arena, &s->math, &e) != GR_OK) {
        report_error(&e);
        return false;
    }
    s->program = program_check(s->arena, s->files, s->main, c->n_settings, c->settings, s->math, source_probe,
                               s->diags);
    if (diags_errors(s->diags) > 0) return false;
    s->recipe = program_recipe(s->program);
    s->module = program_module(s->program);
    gradients_check(s);
    return diags_errors(s->diags) == 0;
}

void report_diags(const Diags *ds, const Common *c) {
    Arena *scratch = arena_create();
    Buf text = buf_make(scratch);
    if (c->json || c->diag_json) diags_render_json(ds, &text);
    else diags_render(ds, &text, colour_wanted(stderr));
    fwrite(text.s, 1, text.n, c->json ? stdout : stderr);
    arena_destroy(scratch);
}

bool session_report(const Session *s, const Common *c) {
    if (!s->diags || diags_count(s->diags) == 0) return s->main != NULL;
    report_diags(s->diags, c);
    return diags_errors(s->diags) == 0;
}

void session_close(Session *s) {
    arena_destroy(s->arena);
    *s = (Session){0};
}
