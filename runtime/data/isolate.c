/* The child writes records into a pipe: a head, then bytes.  The parent believes as little of them as of a
 * file, since a child that went astray may write anything. */
#include "isolate.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum { SENT_COLUMN, SENT_ROWS, SENT_END } SentKind;
typedef struct {
    SentKind kind;
    FileColumn column; /* COLUMN: its texts follow, name first */
    uint32_t want;     /* ROWS: elements follow, then lengths */
    DType dtype;
    bool has_lengths;
    int64_t rows, elements;
    GrStatus status; /* END: the Error follows */
    bool open;
} Sent;
enum { TEXT_MOST = 1 << 16, ROWS_MOST = 1 << 30, COLUMNS_MOST = 1 << 20 };

/* ---- the child ---- */
static void send(int to, const void *bytes, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t k = write(to, (const char *)bytes + done, n - done);
        if (k < 0 && errno != EINTR)
            _exit(1); /* the parent is gone or wants no more */
        done += k > 0 ? (size_t)k : 0;
    }
}

static void send_columns(int to, const FileColumns *all) {
    for (uint32_t i = 0; i < all->at.n; i++) {
        const FileColumn *c = &all->at.at[i];
        send(to, &(Sent){.kind = SENT_COLUMN, .column = *c}, sizeof(Sent));
        send(to, c->name.s, c->name.n);
        send(to, c->problem.s, c->problem.n);
        send(to, c->help.s, c->help.n);
    }
}

typedef struct {
    Sink base;
    int to;
} PipeSink;

static GrStatus pipe_put(Sink *s, uint32_t want, DType from, const void *at, int64_t rows,
                         const int32_t *lengths, Error *e) {
    int64_t n = lengths == NULL ? rows * shape_count(s->wants[want]->shape) : 0;
    (void)e;
    for (int64_t i = 0; lengths != NULL && i < rows; i++)
        n += lengths[i];
    Sent head = {.kind = SENT_ROWS,
                 .want = want,
                 .dtype = from,
                 .has_lengths = lengths != NULL,
                 .rows = rows,
                 .elements = n};
    int to = ((PipeSink *)s)->to;
    send(to, &head, sizeof head);
    send(to, at, (size_t)n * dtype_bytes(from));
    if (lengths != NULL)
        send(to, lengths, (size_t)rows * sizeof *lengths);
    return GR_OK;
}

static void quiet_death(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGPIPE, SIG_DFL);
}

typedef struct {
    const Reader *reader;
    const char *who;
    const ReaderFile *file;
    bool count;
    const Sink *sink;
} Job;

_Noreturn static void child(const Job *j, int to) {
    Arena *a = arena_create();
    FileColumns columns = {.rows = -1};
    Error e = {0};
    GrStatus status;
    quiet_death();
    if (j->sink == NULL) {
        status = j->reader->describe(a, j->file, j->count, &columns, &e);
        send_columns(to, &columns);
    } else {
        PipeSink sink = {{j->sink->wants, j->sink->n_wants, pipe_put}, to};
        status = j->reader->read(a, j->file, &sink.base, &e);
    }
    Sent end = {.kind = SENT_END, .rows = columns.rows, .open = columns.open, .status = status};
    send(to, &end, sizeof end);
    send(to, &e, sizeof e);
    _exit(0);
}

/* ---- the parent ---- */
typedef struct {
    const Job *job;
    int from;
    Arena *arena;
    void *block;
    size_t size;
    Error *e;
} Parent;

/* False when the child ended before. */
static bool receive(Parent *p, void *bytes, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t k = read(p->from, (char *)bytes + done, n - done);
        if (k == 0 || (k < 0 && errno != EINTR))
            return false;
        done += k > 0 ? (size_t)k : 0;
    }
    return true;
}

static bool receive_text(Parent *p, Str *text) {
    if (text->n > TEXT_MOST)
        return false;
    char *to = PUSH(p->arena, char, text->n + 1);
    text->s = to;
    return receive(p, to, text->n);
}

static bool receive_column(Parent *p, Sent *s, FileColumns *out) {
    FileColumn *c = &s->column;
    if (c->dtype >= DT_COUNT || c->shape.rank > MAX_RANK || out->at.n >= COLUMNS_MOST ||
        !receive_text(p, &c->name) || !receive_text(p, &c->problem) || !receive_text(p, &c->help))
        return false;
    vec_push(p->arena, &out->at, *c);
    return true;
}

static void *block_of(Parent *p, size_t n) {
    if (n > p->size) {
        p->block = arena_push(p->arena, n, 64);
        p->size = n;
    }
    return p->block;
}

/* False: it makes no sense.  *status: what the sink said. */
static bool receive_rows(Parent *p, const Sent *s, Sink *sink, GrStatus *status) {
    if (s->want >= sink->n_wants || s->dtype >= DT_COUNT || s->rows < 0 || s->rows > ROWS_MOST ||
        s->elements < 0 || s->elements > ROWS_MOST)
        return false;
    int64_t row = shape_count(sink->wants[s->want]->shape);
    if (!s->has_lengths &&
        (row == 0 ? s->elements != 0 : s->elements % row != 0 || s->elements / row != s->rows))
        return false;
    size_t bytes = (size_t)s->elements * dtype_bytes(s->dtype), lengths_at = (bytes + 63) / 64 * 64;
    char *block = block_of(p, lengths_at + (s->has_lengths ? (size_t)s->rows * sizeof(int32_t) : 0) + 1);
    int32_t *lengths = s->has_lengths ? (int32_t *)(block + lengths_at) : NULL;
    if (!receive(p, block, bytes) ||
        (lengths != NULL && !receive(p, lengths, (size_t)s->rows * sizeof *lengths)))
        return false;
    int64_t left = s->elements;
    for (int64_t i = 0; lengths != NULL && i < s->rows; left -= lengths[i++]) {
        if (lengths[i] < 0 || lengths[i] > left)
            return false;
    }
    *status = sink->put(sink, s->want, s->dtype, block, s->rows, lengths, p->e);
    return true;
}

static GrStatus crashed(Parent *p, int status) {
    fail(p->e, GR_DATA, "%.*s: %s broke off while it read the file%s%s", FSTR(p->job->file->path),
         p->job->who, WIFSIGNALED(status) ? ": " : "",
         WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
    fail_help(p->e, "the file is damaged, or %s has a mistake", p->job->who);
    return GR_DATA;
}

/* Until the end, or a mistake of the sink; *ended: the child said how it went. */
static GrStatus receive_all(Parent *p, FileColumns *out, Sink *sink, bool *ended) {
    Sent s;
    GrStatus status = GR_OK;
    *ended = false;
    while (status == GR_OK && receive(p, &s, sizeof s)) {
        if (s.kind == SENT_END) {
            Error e;
            *ended = s.status < GR_STATUS_COUNT && receive(p, &e, sizeof e);
            if (!*ended)
                return GR_OK;
            if (out != NULL) {
                out->rows = s.rows;
                out->open = s.open;
            }
            e.what[sizeof e.what - 1] = e.help[sizeof e.help - 1] = 0;
            *p->e = s.status != GR_OK ? e : *p->e;
            return s.status;
        }
        bool sense = s.kind == SENT_COLUMN
                         ? out != NULL && receive_column(p, &s, out)
                         : s.kind == SENT_ROWS && sink != NULL && receive_rows(p, &s, sink, &status);
        if (!sense)
            return GR_OK;
    }
    *ended = status != GR_OK;
    return status;
}

static GrStatus run(const Job *j, Arena *a, FileColumns *out, Sink *sink, Error *e) {
    int ends[2];
    fflush(NULL); /* nothing is printed twice */
    if (pipe(ends) != 0)
        return fail_errno(e, GR_IO, "a pipe to read %.*s", FSTR(j->file->path));
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(j, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return fail_errno(e, GR_IO, "a process to read %.*s", FSTR(j->file->path));
    }
    Parent p = {.job = j, .from = ends[0], .arena = a, .e = e};
    bool ended;
    int status;
    GrStatus said = receive_all(&p, out, sink, &ended);
    close(ends[0]); /* a child that still writes ends by that */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ended ? said : crashed(&p, status);
}

GrStatus isolated_describe(const Reader *r, const char *who, Arena *a, const ReaderFile *f, bool count,
                           FileColumns *out, Error *e) {
    return run(&(Job){r, who, f, count, NULL}, a, out, NULL, e);
}

GrStatus isolated_read(const Reader *r, const char *who, Arena *a, const ReaderFile *f, Sink *sink,
                       Error *e) {
    return run(&(Job){r, who, f, true, sink}, a, NULL, sink, e);
}
