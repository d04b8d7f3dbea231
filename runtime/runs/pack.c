/* libarchive reads and writes tar.  What is packed is a short list of names, and just these are unpacked: a name with a
 * way out of the folder, a link or a device is none of them. */
#include "pack.h"
#include "atomic.h"
#include "card.h"
#include "csvlog.h"
#include "rundir.h"
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 4, BLOCK = 1 << 16 };
static const char *const k_files[] = {RUN_PROGRAM, CARD_FILE, RUN_METRICS, CSV_FILE,
                                      RUN_LOG,     RUN_DATA,  RUN_FORK,    RUN_LAST};

typedef struct { struct archive *out; Arena *arena; Str run, file; Error *e; } Pack;

/* help: where there may be more room. */
static GrStatus failed(struct archive *x, Str path, const char *help, Error *e) {
    const char *why = archive_error_string(x);
    errno = archive_errno(x);
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
        fail_errno(e, GR_IO, "writing %.*s", FSTR(path));
        fail_help(e, "%s", help);
        return GR_IO;
    }
    return fail(e, GR_IO, "%.*s: %s", FSTR(path), why ? why : "libarchive gives no reason");
}

/* ---- writing ---- */
static GrStatus not_packed(const Pack *p) {
    return failed(p->out, p->file, "make room on the disk, or name another place with `--output`", p->e);
}

static GrStatus put_bytes(Pack *p, int fd, Str path) {
    char block[BLOCK];
    for (ssize_t n; (n = read(fd, block, sizeof block)) != 0;) {
        if (n < 0)
            return fail_errno(p->e, GR_IO, "reading %.*s", FSTR(path));
        if (archive_write_data(p->out, block, (size_t)n) != n)
            return not_packed(p);
    }
    return GR_OK;
}

static GrStatus put_file(Pack *p, Str path, Str name, const struct stat *st) {
    int fd = open(path.s, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(p->e, GR_IO, "%.*s", FSTR(path));
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL) {
        fail_errno(p->e, GR_IO, "%.*s", FSTR(path));
        close(fd);
        return GR_IO;
    }
    archive_entry_set_pathname(entry, name.s);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, st->st_size);
    archive_entry_set_mtime(entry, st->st_mtime, 0);
    GrStatus status = archive_write_header(p->out, entry) == ARCHIVE_OK ? put_bytes(p, fd, path) : not_packed(p);
    archive_entry_free(entry);
    close(fd);
    return status;
}

static GrStatus put_own(Pack *p, Str name, const struct stat *st) {
    return put_file(p, rundir_file(p->arena, p->run, name.s), name, st);
}

static GrStatus put_folder(Pack *p, Str name, int depth) {
    Str path = rundir_file(p->arena, p->run, name.s);
    DIR *d = opendir(path.s);
    GrStatus status = d != NULL || errno == ENOENT ? GR_OK : fail_errno(p->e, GR_IO, "%.*s", FSTR(path));
    for (struct dirent *x; d != NULL && status == GR_OK && (x = readdir(d)) != NULL;) {
        Str inside = str_format(p->arena, "%.*s/%s", FSTR(name), x->d_name);
        struct stat st;
        if (x->d_name[0] == '.' || lstat(rundir_file(p->arena, p->run, inside.s).s, &st) != 0)
            continue;
        if (S_ISREG(st.st_mode))
            status = put_own(p, inside, &st);
        else if (S_ISDIR(st.st_mode) && depth > 1)
            status = put_folder(p, inside, depth - 1);
    }
    if (d != NULL)
        closedir(d);
    return status;
}

static GrStatus put_all(Pack *p) {
    for (size_t i = 0; i < sizeof k_files / sizeof *k_files; i++) {
        struct stat st;
        Str name = str_of(k_files[i]);
        if (lstat(rundir_file(p->arena, p->run, name.s).s, &st) == 0 && S_ISREG(st.st_mode))
            TRY(put_own(p, name, &st));
    }
    return put_folder(p, STR("used"), DEPTH);
}

static GrStatus put_data(Pack *p, const PackFiles *data) {
    for (uint32_t i = 0; i < data->at.n; i++) {
        struct stat st;
        Str path = data->at.at[i].path;
        if (stat(path.s, &st) != 0 || !S_ISREG(st.st_mode))
            return fail_errno(p->e, GR_IO, "reading %.*s", FSTR(path));
        TRY(put_file(p, path, str_format(p->arena, PACK_DATA "%.*s", FSTR(data->at.at[i].name)), &st));
    }
    return GR_OK;
}

GrStatus pack_write(Arena *a, Str run, const PackFiles *data, Str file, Error *e) {
    AtomicFile to;
    TRY(atomic_begin(a, file, &to, e));
    Pack p = {archive_write_new(), a, run, file, e};
    if (p.out == NULL) {
        atomic_discard(&to);
        return fail_errno(e, GR_IO, "%.*s", FSTR(file));
    }
    archive_write_add_filter_gzip(p.out);
    archive_write_set_format_gnutar(p.out);      /* names are bytes, whatever the locale; `tar` knows all its headers */
    GrStatus status = archive_write_open_fd(p.out, to.fd) == ARCHIVE_OK ? put_all(&p) : not_packed(&p);
    if (status == GR_OK)
        status = put_data(&p, data);
    if (archive_write_close(p.out) != ARCHIVE_OK && status == GR_OK)
        status = not_packed(&p);
    archive_write_free(p.out);
    if (status == GR_OK)
        return atomic_finish(&to);
    atomic_discard(&to);
    return status;
}

/* ---- reading ---- */
static GrStatus not_unpacked(struct archive *in, Str path, Error *e) {
    return failed(in, path, "make room on the disk, or name another place with `--keep DIR` or TMPDIR", e);
}

static bool is_data(Str name) { return str_starts(name, PACK_DATA "/"); }

/* No component is empty, `.` or `..`. */
static bool stays_inside(Str name) {
    for (uint32_t i = 0, from = 0; i <= name.n; i++) {
        if (i < name.n && name.s[i] != '/')
            continue;
        Str part = {name.s + from, i - from};
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
        from = i + 1;
    }
    return true;
}

static bool is_inside(Str name) {
    for (size_t i = 0; i < sizeof k_files / sizeof *k_files; i++) {
        if (str_is(name, k_files[i]))
            return true;
    }
    if (is_data(name))
        return stays_inside(name);
    if (!str_starts(name, "used/"))
        return false;
    for (uint32_t i = 0; i < name.n; i++) {
        if (name.s[i] == '/' && (i + 1 == name.n || name.s[i + 1] == '.' || name.s[i + 1] == '/'))
            return false;
    }
    return true;
}

static GrStatus take_file(Arena *a, struct archive *in, Str folder, Str name, Error *e) {
    Str path = rundir_file(a, folder, name.s);
    uint32_t slash = path.n;
    while (path.s[slash - 1] != '/')
        slash--;
    TRY(rundir_make(a, (Str){path.s, slash - 1}, e));
    int fd = open(path.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(e, GR_IO, "%.*s", FSTR(path));
    GrStatus status = archive_read_data_into_fd(in, fd) == ARCHIVE_OK ? GR_OK : not_unpacked(in, path, e);
    if (close(fd) != 0 && status == GR_OK)
        status = fail_errno(e, GR_IO, "%.*s", FSTR(path));
    return status;
}

/* What a file may become: weights hardly shrink and logs do by ten, so more than this was made to fill a disk. */
static int64_t most_bytes(Str file) {
    const int64_t least = 1 << 30, times = 64;
    struct stat st;
    return stat(file.s, &st) == 0 ? least + times * (int64_t)st.st_size : least;
}

static GrStatus take_all(Arena *a, struct archive *in, struct archive_entry *entry, Str file, Str folder, Error *e) {
    int next;
    int64_t of_run = most_bytes(str_copy(a, file)), of_data = PACK_DATA_GB * INT64_C(1000000000);
    while ((next = archive_read_next_header2(in, entry)) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);
        if (archive_entry_filetype(entry) == AE_IFDIR)
            continue;                      /* made when a file in it is */
        if (name == NULL || archive_entry_filetype(entry) != AE_IFREG || !is_inside(str_of(name))) {
            fail(e, GR_DATA, "%.*s holds `%.80s`, which no run has", FSTR(file), name ? name : "");
            fail_help(e, "`graphc runs pack RUN` makes such files");
            return GR_DATA;
        }
        int64_t bytes = archive_entry_size(entry), *room = is_data(str_of(name)) ? &of_data : &of_run;
        if (bytes < 0 || bytes > *room)
            return fail(e, GR_DATA, "%.*s unpacks to far more than a run of its size holds", FSTR(file));
        *room -= bytes;
        TRY(take_file(a, in, folder, str_copy(a, str_of(name)), e));
    }
    return next == ARCHIVE_EOF ? GR_OK : not_unpacked(in, file, e);
}

GrStatus pack_read(Arena *a, Str file, Str folder, Error *e) {
    struct archive *in = archive_read_new();
    struct archive_entry *entry = archive_entry_new(); /* that of `in` is used even if there was no room for it */
    if (in == NULL || entry == NULL) {
        archive_read_free(in);
        archive_entry_free(entry);
        return fail(e, GR_IO, "%.*s: there is no memory to read it", FSTR(file));
    }
    archive_read_support_filter_gzip(in);
    archive_read_support_format_tar(in);
    bool open = archive_read_open_filename(in, str_copy(a, file).s, BLOCK) == ARCHIVE_OK;
    GrStatus status = open ? take_all(a, in, entry, file, folder, e) : not_unpacked(in, file, e);
    archive_entry_free(entry);
    archive_read_free(in);
    return status;
}
