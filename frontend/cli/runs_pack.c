/* graphc runs pack: a run as one file, a compressed tar that holds all that `graphc rerun` needs but the data. */
#include "card.h"
#include "pack.h"
#include "rundir.h"
#include "view.h"

GrStatus runs_pack(Arena *a, const RunsOptions *o, Error *e) {
    SeenRun run;
    if (o->words.n != 1) return view_usage("pack", "pack takes one run", e);
    TRY(view_one(a, o->folder, o->words.at[0], &run, e));
    if (str_eq(run.row.state, RUN_RUNNING))
        return fail(e, GR_IO, "%.*s is being trained: pack it when it has ended", FSTR(run.path));
    Str name, folder;
    run_split(a, run.path, &folder, &name);
    Str file = o->out ? str_of(o->out) : str_format(a, "%.*s.tar.gz", FSTR(name));
    TRY(pack_write(a, run.path, file, e));
    printf("packed      %.*s\n", FSTR(file));
    return GR_OK;
}
