/* graphc fmt: the canonical layout of a file. */
#include "cli.h"

typedef struct { Common common; bool check; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    (void)arg;
    switch (key) {
    case 'c': o->check = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"check", 'c', 0, 0, "write nothing; exit 1 when the file is not in its layout", 2}, {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = options, .parser = parse, .args_doc = "FILE", .children = children,
    .doc = "Prints FILE in its one layout on standard output, comments kept."};

int cmd_fmt(int argc, char **argv) {
    Options o = {.common = common_make()};
    options_parse(&parser, argc, argv, &o);
    Arena *a = arena_create();
    SourceSet *files = sources_create(a);
    Diags *ds = diags_create(a, files);
    const Source *main;
    Error e = {0};
    if (sources_load(files, str_of(o.common.file), &main, &e) != GR_OK) return report_error(&o.common, &e);
    Buf out = buf_make(a);
    fmt_source(main, ds, &out);
    bool same = str_eq(buf_str(&out), main->text);
    if (diags_count(ds)) report_diags(ds, &o.common);
    else if (!o.check) fwrite(out.s, 1, out.n, stdout);
    else if (!same) {
        fail(&e, GR_PROGRAM, "%s is not in its layout", o.common.file);
        fail_help(&e, "`graphc fmt %s > new` writes it so", o.common.file);
        report_error(&o.common, &e);
    }
    int status = diags_errors(ds) || (o.check && !same) ? EXIT_WRONG : 0;
    arena_destroy(a);
    return status;
}
