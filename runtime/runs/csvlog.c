/* Columns are event, phase, epoch, step, seconds, and the series of one number in the order in which they first appear;
 * tables of numbers are in metrics.jsonl only. */
#include "csvlog.h"
#include "csvcell.h"
#include "rundir.h"

typedef struct { VEC(Str) at; } Columns;
struct CsvLog { Arena *arena; Str run, path; FILE *file; int64_t read; Columns columns; };

static bool add_columns(Arena *a, Columns *c, const HistoryRow *r) {
    uint32_t before = c->at.n;
    for (uint32_t i = 0; i < r->values.n; i++) {
        bool known = r->values.at[i].n != 1;
        for (uint32_t k = 0; k < c->at.n && !known; k++)
            known = str_eq(c->at.at[k], r->values.at[i].name);
        if (!known)
            vec_push(a, &c->at, str_copy(a, r->values.at[i].name));
    }
    return c->at.n > before;
}

static void put_line(FILE *f, Buf *row) {
    buf_char(row, '\n');
    fwrite(row->s, 1, row->n, f);
}

static void put_header(Arena *a, FILE *f, const Columns *c) {
    Buf row = buf_make(a);
    buf_put(&row, STR("event,phase,epoch,step,seconds"));
    for (uint32_t i = 0; i < c->at.n; i++)
        csv_cell(&row, false, c->at.at[i]);
    put_line(f, &row);
}

static void put_row(Arena *a, FILE *f, const Columns *c, const HistoryRow *r) {
    if (r->values.n == 0)
        return;
    ArenaMark mark = arena_mark(a);
    Buf row = buf_make(a);
    csv_cell(&row, true, r->event);
    csv_cell(&row, false, r->phase);
    buf_printf(&row, ",%lld,%lld,%.9g", (long long)r->epoch, (long long)r->step, r->seconds);
    for (uint32_t i = 0; i < c->at.n; i++) {
        const HistoryValue *v = history_value(r, c->at.at[i]);
        Buf b = buf_make(a);
        if (v != NULL)
            buf_real32(&b, (float)v->values[0]);
        csv_cell(&row, false, v ? buf_str(&b) : STR(""));
    }
    put_line(f, &row);
    arena_pop(mark);
}

void csvlog_print(Arena *a, const History *h, FILE *out) {
    Columns c = {0};
    for (uint32_t i = 0; i < h->at.n; i++)
        add_columns(a, &c, &h->at.at[i]);
    put_header(a, out, &c);
    for (uint32_t i = 0; i < h->at.n; i++)
        put_row(a, out, &c, &h->at.at[i]);
}

static GrStatus written(CsvLog *l, Error *e) {
    if (l->file != NULL && fflush(l->file) == 0 && !ferror(l->file))
        return GR_OK;
    return fail_errno(e, GR_IO, "writing %.*s", FSTR(l->path));
}

static GrStatus write_anew(CsvLog *l, Error *e) {
    History h;
    Arena *scratch = arena_create();
    l->read = 0;
    GrStatus status = history_follow(scratch, l->run, &l->read, &h, e);
    for (uint32_t i = 0; i < h.at.n; i++)
        add_columns(l->arena, &l->columns, &h.at.at[i]);
    l->file = l->file ? freopen(l->path.s, "we", l->file) : fopen(l->path.s, "we");
    if (l->file != NULL)
        put_header(scratch, l->file, &l->columns);
    for (uint32_t i = 0; i < h.at.n && l->file != NULL; i++)
        put_row(scratch, l->file, &l->columns, &h.at.at[i]);
    arena_destroy(scratch);
    return status == GR_OK ? written(l, e) : status;
}

GrStatus csvlog_open(Arena *a, Str run, CsvLog **out, Error *e) {
    CsvLog *l = PUSH(a, CsvLog, 1);
    *l = (CsvLog){.arena = a, .run = run, .path = rundir_file(a, run, CSV_FILE)};
    *out = NULL;
    GrStatus status = write_anew(l, e);
    if (status == GR_OK)
        *out = l;
    else
        csvlog_close(l);
    return status;
}

GrStatus csvlog_follow(CsvLog *l, Error *e) {
    History h;
    Arena *scratch = arena_create();
    GrStatus status = history_follow(scratch, l->run, &l->read, &h, e);
    bool more = false;
    for (uint32_t i = 0; i < h.at.n; i++)
        more |= add_columns(l->arena, &l->columns, &h.at.at[i]);
    if (status == GR_OK && more) {
        status = write_anew(l, e);
    } else if (status == GR_OK) {
        for (uint32_t i = 0; i < h.at.n; i++)
            put_row(scratch, l->file, &l->columns, &h.at.at[i]);
        status = written(l, e);
    }
    arena_destroy(scratch);
    return status;
}

void csvlog_close(CsvLog *l) {
    if (l != NULL && l->file != NULL)
        fclose(l->file);
}
