/* graphc runs pack: a run as one file, a compressed tar that holds all that `graphc rerun` needs; of the data it names
 * files and hashes, or with --with-data holds the files.  Which these are is asked of the program as it ran: its paths
 * begin with `/` there, and patterns are looked up as a training does.  What they hold has to be what the run read. */
#include "card.h"
#include "origin.h"
#include "pack.h"
#include "rundir.h"
#include "source.h"
#include "view.h"
#include <sys/stat.h>

static GrStatus add_file(Arena *a, Str path, PackFiles *out, Error *e) {
    struct stat st;
    for (uint32_t i = 0; i < out->at.n; i++)
        if (str_eq(out->at.at[i].path, path)) return GR_OK;
    if (stat(path.s, &st) != 0) return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    if (path.s[0] != '/') {
        fail(e, GR_DATA, "%.*s does not begin with `/`, so it cannot be found again in a pack", FSTR(path));
        fail_help(e, "train with the whole path");
        return GR_DATA;
    }
    vec_push(a, &out->at, ((PackFile){path, source_packed_path(a, path)}));
    out->bytes += (uint64_t)st.st_size;
    return GR_OK;
}

static GrStatus add_source(Session *s, const RecipeData *d, const RecipeSource *source, PackFiles *out, Error *e) {
    ReaderFiles files = {0};
    if (reader_of(source->reader) == NULL) return GR_OK;
    if (source->reader == READER_EXTERN) {
        fail(e, GR_DATA, "rows of `%.*s` come from a function in C, which no pack holds", FSTR(d->name));
        fail_help(e, "without --with-data the pack names it, and `rerun` calls it where it is");
        return GR_DATA;
    }
    TRY(source_files(s->arena, d, source, &files, e));
    for (uint32_t i = 0; i < files.n; i++) TRY(add_file(s->arena, str_copy(s->arena, files.at[i].path), out, e));
    return GR_OK;
}

static GrStatus add_data(Session *s, PackFiles *out, Error *e) {
    for (uint32_t i = 0; i < s->recipe->data.n; i++) {
        const RecipeData *d = &s->recipe->data.at[i];
        for (uint32_t k = 0; k < d->sources.n; k++) TRY(add_source(s, d, &d->sources.at[k], out, e));
    }
    if (out->bytes <= PACK_DATA_GB * UINT64_C(1000000000)) return GR_OK;
    fail(e, GR_DATA, "the data are %.1f GB in %u file%s; a pack holds up to %d GB of them",
         (double)out->bytes * 1e-9, out->at.n, out->at.n == 1 ? "" : "s", PACK_DATA_GB);
    fail_help(e, "without --with-data a pack names them, with a hash of what each gave");
    return GR_DATA;
}

/* What is packed gives the rows of the run, or none would get its bits again. */
static GrStatus check_data(Session *s, const Common *c, const SeenRun *run, Error *e) {
    Job j;
    GrStatus status = job_open_data(s, c, true, (Str){0}, &j, e);
    if (status != GR_OK) {
        report_error(c, e);                /* while the program is there that it points into */
        fail(e, status, "the data of %.*s cannot be read now", FSTR(run->path));
    } else {
        status = origin_check(s->arena, run->path, run->row.data_hash, &j, e);
    }
    job_close(&j);
    return status;
}

static GrStatus pack(Arena *a, const RunsOptions *o, const SeenRun *run, const PackFiles *data, Error *e) {
    Str name, folder;
    run_split(a, run->path, &folder, &name);
    Str file = o->out ? str_of(o->out) : str_format(a, "%.*s.tar.gz", FSTR(name));
    TRY(pack_write(a, run->path, data, file, e));
    printf("packed      %.*s", FSTR(file));
    if (o->with_data) {
        const char *s = data->at.n == 1 ? "" : "s";
        printf("  with %u file%s of data, %.1f MB", data->at.n, s, (double)data->bytes * 1e-6);
    }
    putchar('\n');
    return GR_OK;
}

/* They may be of any run, and change with it. */
static void name_loads(const Session *s, const Common *c) {
    Buf b = buf_make(s->arena);
    for (uint32_t i = 0; i < s->recipe->phases.n; i++) {
        const RecipePhase *p = &s->recipe->phases.at[i];
        for (uint32_t k = 0; k < p->loads.n; k++)
            buf_printf(&b, "%s%.*s", b.n ? ", " : "", FSTR(p->loads.at[k].path));
    }
    Str what = str_format(s->arena, "weights that `load` reads are not in the pack: %.*s", FSTR(buf_str(&b)));
    if (b.n) report_remark(c, SEV_WARNING, "load", what);
}

GrStatus runs_pack(Arena *a, const RunsOptions *o, Error *e) {
    SeenRun run;
    PackFiles data = {0};
    if (o->words.n != 1) return view_usage("pack", "pack takes one run", e);
    TRY(view_one(a, o->folder, o->words.at[0], &run, e));
    if (str_eq(run.row.state, RUN_RUNNING))
        return fail(e, GR_IO, "%.*s is being trained: pack it when it has ended", FSTR(run.path));
    if (!o->with_data) return pack(a, o, &run, &data, e);
    Session s;
    Common c = o->common;
    c.file = rundir_file(a, run.path, RUN_PROGRAM).s;
    bool ok = session_open(&s, &c);
    if (!ok) session_report(&s, &c);
    GrStatus status = ok ? add_data(&s, &data, e) : fail(e, GR_PROGRAM, "the program of %.*s has errors now",
                                                         FSTR(run.path));
    if (status == GR_OK) status = check_data(&s, &c, &run, e);
    if (status == GR_OK) status = pack(a, o, &run, &data, e);
    if (status == GR_OK) name_loads(&s, &c);
    session_close(&s);
    return status;
}
