/* The live line is drawn ten times a second at most and cut to the terminal.  Rates are of this process: a resumed run
 * did not take the steps before it now.  Terms are those of the epoch so far. */
#include "progress.h"
#include "budget.h"
#include "clock.h"
#include "json_real.h"
#include "json_text.h"
#include <math.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double k_pause_s = 0.1, k_waited_much = 0.25;

Screen screen_make(bool quiet, bool json) {
    return (Screen){.quiet = quiet, .json = json, .live = !quiet && !json && isatty(STDERR_FILENO)};
}

bool screen_due(const Screen *s) { return s->live && clock_seconds() - s->drawn >= k_pause_s; }

void screen_clear(const Screen *s) {
    if (s->live) fputs("\r\033[K", stderr);
}

/* ---- lines ---- */
/* Of what is watched the log has all numbers; the screen has none. */
static bool is_watch(Arena *a, const Recipe *r, const TrainValue *v) {
    for (uint32_t k = 0; k < r->objectives.n; k++) {
        const RecipeObjective *o = &r->objectives.at[k];
        for (uint32_t i = 0; i < o->metrics.n; i++) {
            const RecipeMetric *m = &o->metrics.at[i];
            Str name = str_format(a, ".%.*s.%.*s", FSTR(o->name), FSTR(m->name));
            if (m->watch && str_ends(v->whole, name.s)) return true;
        }
    }
    return false;
}

Str epoch_line(Arena *a, const Recipe *r, const TrainProgress *p) {
    Buf b = buf_make(a);
    if (r->phases.n > 1) buf_printf(&b, "%.*s  ", FSTR(p->phase->name));
    buf_printf(&b, "epoch %3lld", (long long)p->epoch);
    for (uint32_t i = 0; i < p->values->at.n; i++) {
        const TrainValue *v = &p->values->at.at[i];
        if (shape_count(v->shape) == 1 && !v->detail && !is_watch(a, r, v))
            buf_printf(&b, "  %.*s %.5g", FSTR(v->name), (double)v->values[0]);
    }
    buf_printf(&b, "  %.1f s", p->seconds);
    if (p->seconds >= 1 && p->waited > k_waited_much * p->seconds)
        buf_printf(&b, ", %.1f s of them waiting for rows", p->waited);
    if (p->improved) buf_printf(&b, "  kept");
    return buf_str(&b);
}

/* The total or a term of it: "train.kl", "train.vae.kl". */
static bool is_loss(Arena *a, const Recipe *r, Str name) {
    if (str_ends(name, ".total")) return true;
    for (uint32_t k = 0; k < r->objectives.n; k++) {
        const RecipeObjective *o = &r->objectives.at[k];
        for (uint32_t i = 0; i < o->losses.n; i++)
            if (str_ends(name, str_format(a, ".%.*s", FSTR(o->losses.at[i].name)).s)) return true;
    }
    return false;
}

static void put_losses(Buf *b, const Recipe *r, const TrainValues *values) {
    static const char split[] = "train.";
    for (uint32_t i = 0; values && i < values->at.n; i++) {
        const TrainValue *v = &values->at.at[i];
        if (shape_count(v->shape) != 1 || !str_starts(v->name, split) || !is_loss(b->arena, r, v->name)) continue;
        buf_printf(b, "  %.*s %.4g", (int)(v->name.n - (sizeof split - 1)), v->name.s + sizeof split - 1,
                   (double)v->values[0]);
    }
}

static void put_left(Buf *b, double seconds) {
    long s = lround(seconds);
    if (s >= 3600) buf_printf(b, "  %ld h %02ld min left", s / 3600, s / 60 % 60);
    else if (s >= 60) buf_printf(b, "  %ld min %02ld s left", s / 60, s % 60);
    else buf_printf(b, "  %ld s left", s);
}

static uint32_t terminal_columns(void) {
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void draw_step(Screen *s, Arena *a, const Recipe *r, const TrainProgress *p) {
    if (s->phase != p->phase) s->phase = p->phase, s->first_step = p->step, s->first_seconds = p->seconds;
    if (!screen_due(s)) return;
    s->drawn = clock_seconds();
    double taken = p->seconds - s->first_seconds, rate = taken > 0 ? (double)(p->step - s->first_step) / taken : 0;
    ArenaMark mark = arena_mark(a);
    Buf b = buf_make(a);
    if (r->phases.n > 1) buf_printf(&b, "%.*s  ", FSTR(p->phase->name));
    buf_printf(&b, "epoch %lld/%lld  step %lld/%lld", (long long)p->epoch + 1, (long long)p->epochs,
               (long long)p->batch, (long long)p->batches);
    if (rate > 0) {
        put_left(&b, (double)(p->steps - p->step) / rate);
        buf_printf(&b, "  %.0f samples/s", rate * (double)p->phase->batch);
    }
    put_losses(&b, r, p->values);
    if (s->alarms) buf_printf(&b, "  %u warning%s", s->alarms, s->alarms > 1 ? "s" : "");
    else buf_printf(&b, "  healthy");
    uint32_t columns = terminal_columns(), n = b.n < columns ? (uint32_t)b.n : columns - 1;
    fprintf(stderr, "\r\033[K%.*s", (int)n, b.s);
    fflush(stderr);
    arena_pop(mark);
}

/* ---- objects ---- */
static void print_object(json_t *o) {
    enum { F32_DIGITS = 9 };
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(F32_DIGITS));
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(o);
}

/* Tensors in row order. */
static void print_values(const char *event, const TrainProgress *p) {
    json_t *o = json_object();
    json_object_set_new(o, "event", json_string(event));
    if (p->phase->name.n) json_object_set_new(o, "phase", json_stringn(p->phase->name.s, p->phase->name.n));
    json_object_set_new(o, "epoch", json_integer(p->epoch));
    json_object_set_new(o, "epochs", json_integer(p->epochs));
    json_object_set_new(o, "step", json_integer(p->step));
    json_object_set_new(o, "steps", json_integer(p->steps));
    json_object_set_new(o, "seconds", json_real(p->seconds));
    json_object_set_new(o, "waited", json_real(p->waited));
    json_object_set_new(o, "kept", json_boolean(p->improved));
    for (uint32_t i = 0; i < p->values->at.n; i++) {
        const TrainValue *v = &p->values->at.at[i];
        json_t *x = v->shape.rank ? json_array() : json_real_make((double)v->values[0]);
        for (int64_t k = 0; v->shape.rank && k < shape_count(v->shape); k++)
            json_array_append_new(x, json_real_make((double)v->values[k]));
        json_object_setn_new(o, v->name.s, v->name.n, x);
    }
    print_object(o);
}

void screen_say(const Screen *s, const char *event, Str run, const char *state) {
    if (!s->json) return;
    json_t *o = json_pack("{s:s}", "event", event);
    json_object_set_new(o, "run", json_text(run));
    if (state) json_object_set_new(o, "state", json_string(state));
    print_object(o);
}

/* That of the beginning; the others are in the log. */
static void show_sample(const Screen *s, Arena *a, const Recipe *r, const TrainProgress *p) {
    ArenaMark mark = arena_mark(a);
    if (s->json) {
        print_values("sample", p);
    } else if (p->step == 0) {
        screen_clear(s);
        printf("%.*s", FSTR(budget_text(a, r, p)));
        fflush(stdout);
    }
    arena_pop(mark);
}

void screen_event(Screen *s, Arena *a, const Recipe *r, const TrainProgress *p) {
    bool epoch = p->event == TRAIN_EPOCH;
    s->alarms += p->event == TRAIN_ALARM;
    if (s->quiet) return;
    if (p->event == TRAIN_STEP) draw_step(s, a, r, p);
    if (p->event == TRAIN_SAMPLE) {
        show_sample(s, a, r, p);
        return;
    }
    if (!epoch && p->event != TRAIN_REPORT) return;
    if (s->json) {
        print_values(epoch ? "epoch" : "report", p);
        return;
    }
    screen_clear(s);
    ArenaMark mark = arena_mark(a);
    printf("%.*s\n", FSTR(epoch_line(a, r, p)));
    fflush(stdout);
    arena_pop(mark);
}
