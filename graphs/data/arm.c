/* A robot arm that fetches a thing, or puts one down, seen by two cameras: episodes of 23 to 39 steps for the
 * programs of graphs/arm, as recorded arms have them.
 *
 * The hand goes above the thing, down to it, closes (or opens) and goes up: four phases with a little noise.
 *
 * key 4000: training, 256 episodes; 4001: validation, 64; 4002: test, 64.  Rows are the steps of all
 * episodes, one behind the other.  Columns: position[7] (place, then quaternion), velocity[6], joint[2],
 * action[4] (displacement, then 0 open, 1 rest, 2 close), terminal (1 in the last step of an episode),
 * image[2,S,S]: front and hand camera, grey values 0 .. 255 for any S. */
#include "rows.h"
#include "stream.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 74 };
enum { ABOVE, DOWN, GRIP, AWAY };

typedef struct {
    double position[7], velocity[6], joint[2], action[4], terminal;
    double hand[3], thing[3], background, grip; /* what the cameras see */
} Step;

typedef struct {
    Stream draw;
    double hand[3], last[3], thing[3], grip, background;
    int phase, count;
    bool fetch, carried;
} Arm;

static void begin(Arm *m, uint64_t key, int64_t episode) {
    *m = (Arm){.draw = stream_of_item(key, episode)};
    static const double low[3] = {-0.3, -0.3, 0.1}, wide[3] = {0.6, 0.6, 0.2};
    for (int i = 0; i < 3; i++)
        m->last[i] = m->hand[i] = low[i] + wide[i] * stream_uniform(&m->draw);
    m->thing[0] = -0.25 + 0.5 * stream_uniform(&m->draw);
    m->thing[1] = -0.25 + 0.5 * stream_uniform(&m->draw);
    m->thing[2] = 0.02;
    m->fetch = stream_uniform(&m->draw) < 0.6;
    m->carried = !m->fetch;
    m->grip = m->fetch ? 0 : 0.95;
    m->background = 110 + 20 * stream_uniform(&m->draw);
}

/* Towards a place above the thing; there, the next phase begins. */
static void approach(Arm *m, double *action) {
    double square = 0;
    for (int i = 0; i < 3; i++) {
        double target = m->thing[i] + (i < 2               ? 0
                                       : m->phase == ABOVE ? 0.12
                                                           : 0.01),
               way = target - m->hand[i];
        square += way * way;
        action[i] = clamp(0.25 * way, -0.06, 0.06) + 0.003 * stream_normal(&m->draw);
    }
    action[3] = 1;
    if (sqrt(square) < 0.02) {
        m->phase++;
        m->count = 0;
    }
}

static void act(Arm *m, double *action) {
    if (m->phase < GRIP)
        approach(m, action);
    if (m->phase == GRIP) {
        memset(action, 0, sizeof *action * 3);
        action[3] = m->fetch ? 2 : 0;
        m->count++;
    } else if (m->phase == AWAY) {
        action[0] = 0.002 * stream_normal(&m->draw);
        action[1] = 0.002 * stream_normal(&m->draw);
        action[2] = 0.03;
        action[3] = 1;
        m->count++;
    }
}

static void sense(Arm *m, Step *s) {
    static const double upright[4] = {0.7, 0.7, 0.1, 0.05};
    double square = 0;
    for (int i = 0; i < 3; i++) {
        s->position[i] = m->hand[i];
        s->velocity[i] = 10 * (m->hand[i] - m->last[i]);
    }
    for (int i = 3; i < 6; i++)
        s->velocity[i] = 0.01 * stream_normal(&m->draw);
    for (int i = 0; i < 4; i++) {
        s->position[3 + i] = upright[i] + 0.02 * stream_normal(&m->draw);
        square += s->position[3 + i] * s->position[3 + i];
    }
    for (int i = 3; i < 7; i++)
        s->position[i] /= sqrt(square);
    s->joint[0] = m->grip;
    s->joint[1] = m->grip + 0.001 * stream_normal(&m->draw);
    s->background = m->background;
    s->grip = m->grip;
    for (int i = 0; i < 3; i++) {
        s->hand[i] = m->hand[i];
        s->thing[i] = m->carried ? m->hand[i] - (i == 2 ? 0.03 : 0) : m->thing[i];
    }
}

/* True when the episode is over. */
static bool move(Arm *m, const double *action) {
    for (int i = 0; i < 3; i++) {
        m->last[i] = m->hand[i];
        m->hand[i] += action[i];
    }
    if (m->phase == GRIP) {
        m->grip = clamp(m->grip + (m->fetch ? 0.16 : -0.16), 0, 0.95);
        if (m->count == 6) {
            m->phase = AWAY;
            m->count = 0;
            m->carried = m->fetch;
        }
        return false;
    }
    return m->phase == AWAY && m->count == 8;
}

static int64_t episodes_of(uint64_t key) { return key == 4000 ? 256 : key == 4001 || key == 4002 ? 64 : 0; }

/* All steps of a key; the caller frees them. */
static Step *steps_of(uint64_t key, int64_t *count) {
    int64_t episodes = episodes_of(key), n = 0;
    Step *all = malloc(sizeof *all * (size_t)(episodes * LONGEST + 1));
    for (int64_t e = 0; e < episodes && all != NULL; e++) {
        Arm m;
        begin(&m, key, e);
        for (int t = 0; t < LONGEST; t++) {
            Step *s = &all[n++];
            act(&m, s->action);
            sense(&m, s);
            bool over = move(&m, s->action) || t == LONGEST - 1;
            s->terminal = over;
            if (over)
                break;
        }
    }
    *count = n;
    return all;
}

/* ---- cameras ---- */

static void disc(double *image, int side, double x, double y, double radius, double value) {
    for (int i = 0; i < side * side; i++) {
        double dx = i % side - x, dy = i / side - y;
        if (dx * dx + dy * dy < radius * radius)
            image[i] = value;
    }
}

static void front_camera(const Step *s, int side, double *image) {
    double k = side / 224.0;
    disc(image, side, (s->thing[0] + 0.4) / 0.8 * side, side - (s->thing[2] + 0.05) / 0.5 * side, 12 * k,
         220);
    disc(image, side, (s->hand[0] + 0.4) / 0.8 * side, side - (s->hand[2] + 0.05) / 0.5 * side, 16 * k, 40);
}

static void hand_camera(const Step *s, int side, double *image) {
    double k = side / 224.0, half = side / 2.0, w = (14 + 10 * (1 - s->grip)) * k;
    double x = (s->thing[0] - s->hand[0]) / 0.6 * side + half,
           y = (s->thing[1] - s->hand[1]) / 0.6 * side + half;
    disc(image, side, x, y, 12 * (1 + 0.15 / (0.1 + fabs(s->hand[2] - s->thing[2]))) * k, 220);
    for (int i = 0; i < side * side; i++) {
        double off = i % side - half;
        if (i / side > 0.7 * side && (fabs(off + w) < 3 * k || fabs(off - w) < 3 * k))
            image[i] = 40;
    }
}

static bool photograph(const Step *s, int64_t items, double *out) {
    int side = (int)lround(sqrt((double)items / 2));
    if (2 * (int64_t)side * side != items)
        return false;
    for (int64_t i = 0; i < items; i++)
        out[i] = s->background;
    front_camera(s, side, out);
    hand_camera(s, side, out + side * side);
    return true;
}

static bool step(const void *all, int64_t row, const char *column, int64_t items, double *out) {
    const Step *s = (const Step *)all + row;
    const struct {
        const char *name;
        const double *from;
        int64_t items;
    } columns[] = {{"position", s->position, 7},
                   {"velocity", s->velocity, 6},
                   {"joint", s->joint, 2},
                   {"action", s->action, 4},
                   {"terminal", &s->terminal, 1}};
    if (strcmp(column, "image") == 0)
        return photograph(s, items, out);
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        if (strcmp(column, columns[c].name) == 0 && items == columns[c].items) {
            memcpy(out, columns[c].from, sizeof *out * (size_t)items);
            return true;
        }
    return false;
}

EXPORTED int64_t arm_rows(uint64_t key);
EXPORTED int arm(uint64_t key, const char *column, const char *type, int64_t items, int64_t first,
                 int64_t rows, void *to);

int64_t arm_rows(uint64_t key) {
    int64_t n;
    free(steps_of(key, &n));
    return n;
}

int arm(uint64_t key, const char *column, const char *type, int64_t items, int64_t first, int64_t rows,
        void *to) {
    int64_t n;
    Step *all = steps_of(key, &n);
    int status = all == NULL || first < 0 || rows > n - first
                     ? 1
                     : rows_make(step, all, column, type, items, first, rows, to);
    free(all);
    return status;
}
