/* graphc rerun: trains a packed run once more and holds both against each other, epoch by epoch and bit by bit.  The
 * training is that of `graphc train`, in a process of its own. */
#include "card.h"
#include "cli.h"
#include "compare.h"
#include "origin.h"
#include "pack.h"
#include "rundir.h"
#include "safetensors.h"
#include <errno.h>
#include <fts.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct { Common common; const char *keep; bool quiet; } Options;
enum { KEY_KEEP = 0x200 };

static error_t parse(int key, char *arg, struct argp_state *state) {
    Options *o = state->input;
    switch (key) {
    case KEY_KEEP: o->keep = arg; return 0;
    case 'q': o->quiet = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->common; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"keep", KEY_KEEP, "DIR", 0, "leave the packed run and the new one in this folder, new or empty", 2},
    {"quiet", 'q', 0, 0, "no progress", 2},
    {0}};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp parser = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE",
    .children = children,
    .doc = "Repeats a run that `graphc runs pack` put into FILE, and compares all its epochs bit by bit: the first "
           "that differs is named. The data are those of the pack, or are read from where the run had them; "
           "below a path that `-s folder=..` names they are read as they lie there. What --keep leaves can be "
           "trained again: `graphc train DIR/packed/resolved.graph`."};

static void remove_tree(Str folder) {
    char *roots[] = {(char *)folder.s, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *x; tree && (x = fts_read(tree)) != NULL;)
        if (x->fts_info != FTS_D) remove(x->fts_accpath);          /* a folder comes again when it is empty */
    if (tree) fts_close(tree);
}

/* Status of `graphc train` in the child; a child that a signal ended counts as interrupted. */
static int train(Arena *a, const Options *o, Str program, Str run, Str fork_from) {
    char *argv[2 * MAX_SETTINGS + 16];
    int n = 0;
    argv[n++] = (char *)"graphc";
    argv[n++] = (char *)"train";
    argv[n++] = (char *)program.s;
    argv[n++] = (char *)"--run";
    argv[n++] = (char *)run.s;
    if (fork_from.n) argv[n++] = (char *)"--fork", argv[n++] = (char *)fork_from.s;
    argv[n++] = (char *)"--sample", argv[n++] = (char *)"off";     /* they would change nothing that is compared */
    if (o->quiet) argv[n++] = (char *)"--quiet";
    if (o->common.diag_json) argv[n++] = (char *)"--diag=json";
    if (o->common.point) argv[n++] = (char *)"--point", argv[n++] = (char *)o->common.point;
    for (uint32_t i = 0; i < o->common.n_settings; i++) {
        const SettingArg *s = &o->common.settings[i];
        argv[n++] = (char *)"-s";
        argv[n++] = (char *)str_format(a, "%.*s=%.*s", FSTR(s->name), FSTR(s->value)).s;
    }
    argv[n] = NULL;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        execv("/proc/self/exe", argv);
        _exit(EXIT_WRONG);
    }
    int status = 0;
    signal(SIGINT, SIG_IGN);               /* the training saves and ends; then we do */
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return child < 0 ? EXIT_WRONG : WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERRUPTED;
}

/* The weights at the end, for what no epoch reports. */
static GrStatus same_weights(Arena *a, Str x, Str y, bool *same, Error *e) {
    StoreFile p, q;
    TRY(safetensors_read(a, rundir_file(a, x, RUN_LAST), &p, e));
    TRY(safetensors_read(a, rundir_file(a, y, RUN_LAST), &q, e));
    *same = p.tensors.n == q.tensors.n;
    for (uint32_t i = 0; i < p.tensors.n && *same; i++) {
        const StoreTensor *t = &p.tensors.at[i], *o = store_tensor(&q, t->name);
        *same = o && o->dtype == t->dtype && shape_eq(o->shape, t->shape) &&
                memcmp(o->at, t->at, (size_t)shape_count(t->shape) * dtype_bytes(t->dtype)) == 0;
    }
    return GR_OK;
}

static bool ended(Str state) { return str_eq(state, RUN_DONE) || str_eq(state, RUN_STOPPED); }

/* A run that all its epochs or a `stop` ended has to end so again; any other one may now come further. */
static GrStatus compare(Arena *a, Str was, Str now, const RunRow *row, bool *same, Error *e) {
    History x, y;
    TRY(history_read(a, was, &x, e));
    TRY(history_read(a, now, &y, e));
    RunRow again = card_read(a, now, STR("."));
    if (row->data_hash.n && !str_eq(row->data_hash, again.data_hash)) {
        puts("data        other rows, values or splits than those of the run");
        origin_compare(a, was, now);
    }
    *same = compare_begins(&x, &y);
    printf("bits        %.*s\n", FSTR(compare_text(a, &x, &y)));
    if (!*same || !ended(row->state)) return GR_OK;
    *same = str_eq(row->state, again.state);
    if (!*same) printf("end         %.*s, and now %.*s\n", FSTR(row->state), FSTR(again.state));
    if (!*same) return GR_OK;
    if (access(rundir_file(a, was, RUN_LAST).s, F_OK) != 0) {          /* a sweep keeps those of the best run */
        puts("weights     not in the pack; those behind each epoch are the same");
        return GR_OK;
    }
    TRY(same_weights(a, was, now, same, e));
    printf("weights     %s\n", *same ? "the same in every bit" : "differ");
    return GR_OK;
}

static GrStatus check_epochs(Arena *a, const Options *o, Str was, Error *e) {
    History h;
    TRY(history_read(a, was, &h, e));
    for (uint32_t i = 0; i < h.at.n; i++)
        if (str_is(h.at.at[i].event, "epoch")) return GR_OK;
    fail(e, GR_DATA, "the run in %s finished no epoch: there is nothing to compare", o->common.file);
    fail_help(e, "`graphc runs pack RUN` packs one that has");
    return GR_DATA;
}

/* The training has said that it is saved, and where; that folder goes now, or stays. */
static int interrupted(const Options *o, Str now, Error *e) {
    fail(e, GR_INTERRUPTED, "interrupted; nothing is compared%s", o->keep ? "" : " and nothing is kept");
    if (o->keep) fail_help(e, "both runs are in %s: that of now is %.*s", o->keep, FSTR(now));
    else fail_help(e, "`--keep DIR` leaves both runs in that folder");
    return report_error(&o->common, e);
}

static int rerun(Arena *a, const Options *o, Str folder, Error *e) {
    Str was = rundir_file(a, folder, "packed"), now = rundir_file(a, folder, "again");
    bool same = false;
    GrStatus status = rundir_make(a, was, e);
    if (status == GR_OK) status = pack_read(a, str_of(o->common.file), was, e);
    if (status == GR_OK) status = check_epochs(a, o, was, e);
    if (status != GR_OK) return report_error(&o->common, e);
    RunRow row = card_read(a, folder, STR("packed"));
    Str fork_from = row.fork.n ? rundir_file(a, was, RUN_FORK) : STR("");
    int code = train(a, o, rundir_file(a, was, RUN_PROGRAM), now, fork_from);
    if (code == EXIT_INTERRUPTED) return interrupted(o, now, e);
    if (code != 0 && code != EXIT_STOPPED) return code;
    if (compare(a, was, now, &row, &same, e) != GR_OK) return report_error(&o->common, e);
    return same ? 0 : EXIT_WRONG;
}

int cmd_rerun(int argc, char **argv) {
    Options o = {.common = common_make()};
    Error e = {0};
    options_parse(&parser, argc, argv, &o);
    Arena *a = arena_create();
    const char *parent = getenv("TMPDIR");
    Str folder = o.keep ? str_of(o.keep) : str_format(a, "%s/graphc-rerun-XXXXXX", parent ? parent : "/tmp");
    int code = 0;
    if (o.keep ? rundir_use(a, folder, false, &e) != GR_OK : mkdtemp((char *)folder.s) == NULL) {
        if (o.keep) fail_help(&e, "`--keep` takes a new or an empty folder");
        else fail_errno(&e, GR_IO, "%.*s", FSTR(folder));
        code = report_error(&o.common, &e);
    } else {
        code = rerun(a, &o, folder, &e);
        if (!o.keep) remove_tree(folder);
    }
    arena_destroy(a);
    return code;
}
