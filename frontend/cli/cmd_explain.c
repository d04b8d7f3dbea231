/* graphc explain: what was fused and why the rest was not. */
#include "cli.h"

typedef struct { Common common; } Options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    (void)arg;
    if (key != ARGP_KEY_INIT) return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->child_inputs[1] = &o->common;
    return 0;
}

static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {&compile_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {.parser = parse,
                                   .args_doc = "FILE",
                                   .children = children,
                                   .doc = "Each kernel of the training step with the source lines it came "
                                          "from, its bytes and operations, what was fused into "
                                          "it; and each fusion that was refused, with its reason."};

int cmd_explain(int argc, char **argv) {
    Options o = {.common = common_make()};
    options_parse(&parser, argc, argv, &o);
    Session s;
    if (!session_begin(&s, &o.common)) return EXIT_WRONG;
    if (s.recipe->phases.n == 0) return session_leave(&s, report_no_train(&o.common));
    int status = 0;
    Entries entries = {0};
    program_entries(&s, &entries);
    for (uint32_t i = 0; i < entries.at.n && !status; i++) {
        if (entries.at.at[i].kind != LOWER_TRAIN) continue;
        Compiled c;
        Error e = {0};
        if (!compile_graphs(&s, &o.common, 1, &entries.at.at[i], &c) ||
            compile_plan(&s, &o.common, &c, "fused", &e) != GR_OK) {
            status = e.what[0] ? report_error(&o.common, &e) : EXIT_WRONG;
            session_report(&s, &o.common);
            break;
        }
        Buf text = buf_make(s.arena);
        fuse_explain(&c.planned, &c.final, s.files, &text);
        fwrite(text.s, 1, text.n, stdout);
        fit_print(&s, &c, stdout);
        winograd_explain(&s, c.lowered.graphs.at[0], stdout);
    }
    session_close(&s);
    return status;
}
