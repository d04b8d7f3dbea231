/* The kernels of an entry: what is launched, what passes between.  A box is a kernel; where there are many, a
 * product with the chain of smaller kernels that goes on from it.  Packing stands in the box it packs for;
 * metrics and updates are a box each.  As in the graph, gradients run up the page beside what they are the
 * gradient of. */
#include "sheet.h"
#include <string.h>

typedef enum { PART_FORWARD, PART_GRADIENT, PART_METRIC, PART_UPDATE } Part;
enum { KERNELS_ALONE = 60, NAMES_SHOWN = 4, LINES_SHOWN = 6, SCALAR_BYTES = 16 };
typedef struct {
    Part part;
    uint32_t launches, packs, first_wave, last_wave;
    uint64_t flops, bytes;
    double cost;
    Buf names;
    VEC(Span) spans;
    Agnode_t *drawn;
} KernelBox;
typedef struct {
    uint32_t count, buffer;
    uint64_t bytes;
} Flow;
typedef struct {
    Sheet *s;
    const SourceSet *files;
    const Plan *plan;
    const Planned *planned;
    const PlanEntry *entry;
    uint32_t n, commit; /* steps of the entry; the step COMMIT */
    bool *launch;       /* by step: a kernel or product of every run */
    bool *needs;        /* [n * n]: step reads what step wrote */
    Part *part;
    uint32_t *box; /* by step: 1 + box */
    VEC(KernelBox) boxes;
    Flow *flow; /* [boxes.n * boxes.n] */
} Kernels;

static const PlanStep *step_at(const Kernels *k, uint32_t i) {
    return &k->plan->steps.at[k->entry->first_step + i];
}
static const PlanArg *arg_at(const Kernels *k, const PlanStep *s, uint32_t i) {
    return &k->plan->args.at[s->first_arg + i];
}

/* Whether argument i is read.  Arguments are the kernel's buffers but scratch, in order. */
static bool is_read(const Kernels *k, const PlanStep *s, uint32_t i) {
    const PlanArg *arg = arg_at(k, s, i);
    if (!arg->writes || s->kind == STEP_BLAS) return !arg->writes;
    const Kernel *kernel = k->planned->kernels.at[s->kernel];
    for (uint32_t b = 0, at = 0; b < kernel->bufs.n; b++) {
        if (kernel->bufs.at[b].role == KBUF_SCRATCH) continue;
        if (at++ == i) return kernel->bufs.at[b].role == KBUF_INOUT;
    }
    return false;
}

/* The same values: one buffer, or parts of one region in which nothing moves. */
static bool same_memory(const Kernels *k, uint32_t x, uint32_t y) {
    const PlanBuffer *a = &k->plan->buffers.at[x], *b = &k->plan->buffers.at[y];
    if (a->region == REGION_HEALTH) return false;
    if (x == y) return true;
    bool moves = a->region == REGION_ACT || a->region != b->region;
    return !moves && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* Bodies of loops count, what runs only when unsure does not. */
static void find_launches(Kernels *k) {
    k->launch = PUSH(k->s->arena, bool, k->n);
    k->commit = k->n;
    for (uint32_t i = 0; i < k->n; i++) {
        const PlanStep *s = step_at(k, i);
        if (s->kind == STEP_UNSURE) i += s->count;
        if (s->kind == STEP_COMMIT) k->commit = i;
        k->launch[i] = s->kind == STEP_LAUNCH || s->kind == STEP_BLAS;
    }
}

static bool writes_it(const Kernels *k, uint32_t step, uint32_t buffer) {
    const PlanStep *s = step_at(k, step);
    for (uint32_t i = 0; k->launch[step] && i < s->n_args; i++)
        if (arg_at(k, s, i)->writes && same_memory(k, arg_at(k, s, i)->buffer, buffer)) return true;
    return false;
}

static bool writes_region(const Kernels *k, uint32_t step, Region r) {
    const PlanStep *s = step_at(k, step);
    for (uint32_t i = 0; k->launch[step] && i < s->n_args; i++)
        if (arg_at(k, s, i)->writes && k->plan->buffers.at[arg_at(k, s, i)->buffer].region == r) return true;
    return false;
}

/* The last that wrote it before `step`, or several where their parts lie side by side. */
static void find_needs(Kernels *k) {
    k->needs = PUSH(k->s->arena, bool, (size_t)k->n * k->n);
    for (uint32_t i = 0; i < k->n; i++) {
        const PlanStep *s = step_at(k, i);
        for (uint32_t j = 0; k->launch[i] && j < s->n_args; j++) {
            uint32_t buffer = arg_at(k, s, j)->buffer;
            Region r = k->plan->buffers.at[buffer].region;
            if (!is_read(k, s, j)) continue;
            bool found = false;
            for (uint32_t w = i; w-- > 0 && !(found && r == REGION_ACT);)
                if (writes_it(k, w, buffer)) found = k->needs[(size_t)i * k->n + w] = true;
        }
    }
}

static void mark(const Kernels *k, bool *set, uint32_t step) {
    for (uint32_t i = 0; i < step; i++)
        if (k->needs[(size_t)step * k->n + i]) set[i] = true;
}

static bool writes_result(const Kernels *k, uint32_t step) {
    for (uint32_t i = 0; i < k->entry->n_outputs; i++)
        if (writes_it(k, step, k->plan->bindings.at[k->entry->first_output + i].buffer)) return true;
    return false;
}

static void find_parts(Kernels *k) {
    bool *forward = PUSH(k->s->arena, bool, k->n), *trains = PUSH(k->s->arena, bool, k->n);
    k->part = PUSH(k->s->arena, Part, k->n);
    for (uint32_t i = k->n; i-- > 0;) {
        bool update =
            i >= k->commit && (writes_region(k, i, REGION_PARAM) || writes_region(k, i, REGION_OPTIM));
        forward[i] = forward[i] || (i < k->commit && writes_result(k, i));
        trains[i] = trains[i] || update || (i < k->commit && writes_region(k, i, REGION_GRAD));
        if (forward[i]) mark(k, forward, i);
        if (trains[i]) mark(k, trains, i);
        k->part[i] = i >= k->commit ? (update ? PART_UPDATE : PART_METRIC)
                     : forward[i]   ? PART_FORWARD
                     : trains[i]    ? PART_GRADIENT
                                    : PART_METRIC;
    }
}

static Str short_name(const Kernels *k, const PlanStep *s) {
    if (s->kind == STEP_BLAS) return STR("product");
    Str name = k->planned->kernels.at[s->kernel]->name;
    const char *mark_of = strstr(name.s, k->entry->variant.s);
    uint32_t skip = mark_of ? (uint32_t)(mark_of - name.s) + k->entry->variant.n + 1 : 0;
    return skip < name.n ? (Str){name.s + skip, name.n - skip} : name;
}

static bool is_pack(const Kernels *k, uint32_t i) {
    return str_starts(short_name(k, step_at(k, i)), "pack_");
}

static bool is_product(const Kernels *k, uint32_t i) {
    const PlanStep *s = step_at(k, i);
    if (s->kind == STEP_BLAS) return true;
    const Kernel *kernel = k->planned->kernels.at[s->kernel];
    for (uint32_t j = 0; j < kernel->stages.n; j++)
        if (kernel->stages.at[j].kind == STAGE_TILE || kernel->stages.at[j].kind == STAGE_CHAIN) return true;
    return false;
}

static uint32_t box_add(Kernels *k, Part part, uint32_t wave) {
    vec_push(k->s->arena, &k->boxes,
             (KernelBox){.part = part, .first_wave = wave, .names = buf_make(k->s->arena)});
    return k->boxes.n;
}

static uint32_t box_of_part(Kernels *k, Part part, uint32_t wave) {
    for (uint32_t i = 0; i < k->boxes.n; i++)
        if (k->boxes.at[i].part == part) return 1 + i;
    return box_add(k, part, wave);
}

/* The one box of the same part that it reads from; 0: none or several. */
static uint32_t box_read(const Kernels *k, uint32_t i) {
    uint32_t found = 0;
    for (uint32_t w = 0; w < i; w++) {
        uint32_t b = k->box[w];
        if (!k->needs[(size_t)i * k->n + w] || !b || b == found || k->boxes.at[b - 1].part != k->part[i])
            continue;
        if (found) return 0;
        found = b;
    }
    return found;
}

static void put_launch(Kernels *k, uint32_t step, uint32_t box) {
    const PlanStep *s = step_at(k, step);
    KernelBox *b = &k->boxes.at[box - 1];
    k->box[step] = box;
    b->flops += s->flops;
    b->bytes += s->bytes;
    b->cost += s->cost_ns;
    for (uint32_t i = 0; i < s->n_spans; i++)
        vec_push(k->s->arena, &b->spans, k->plan->spans.at[s->first_span + i]);
    if (is_pack(k, step)) {
        b->packs++;
        return;
    }
    if (b->launches < NAMES_SHOWN)
        buf_printf(&b->names, "%s%.*s", b->launches ? "  " : "", FSTR(short_name(k, s)));
    if (b->launches == 0) b->first_wave = s->wave;
    b->launches++;
    b->last_wave = s->wave;
}

static uint32_t first_reader(const Kernels *k, uint32_t step) {
    for (uint32_t i = step + 1; i < k->n; i++)
        if (k->needs[(size_t)i * k->n + step] && k->box[i]) return k->box[i];
    return 0;
}

static void make_boxes(Kernels *k) {
    uint32_t launches = 0;
    k->box = PUSH(k->s->arena, uint32_t, k->n);
    for (uint32_t i = 0; i < k->n; i++)
        launches += k->launch[i] && k->part[i] <= PART_GRADIENT;
    for (uint32_t i = 0; i < k->n; i++) {
        const PlanStep *s = step_at(k, i);
        if (!k->launch[i] || is_pack(k, i)) continue;
        uint32_t join = 0;
        if (k->part[i] == PART_METRIC || k->part[i] == PART_UPDATE)
            join = box_of_part(k, k->part[i], s->wave);
        else if (launches > KERNELS_ALONE && !is_product(k, i))
            join = box_read(k, i);
        put_launch(k, i, join ? join : box_add(k, k->part[i], s->wave));
    }
    for (uint32_t i = k->n; i-- > 0;) {
        if (!k->launch[i] || !is_pack(k, i)) continue;
        uint32_t join = first_reader(k, i);
        put_launch(k, i, join ? join : box_add(k, k->part[i], step_at(k, i)->wave));
    }
}

static void find_flow(Kernels *k) {
    k->flow = PUSH(k->s->arena, Flow, (size_t)k->boxes.n * k->boxes.n);
    for (uint32_t i = 0; i < k->n; i++) {
        for (uint32_t w = 0; w < i; w++) {
            uint32_t from = k->box[w], to = k->box[i];
            if (!k->needs[(size_t)i * k->n + w] || from == to) continue;
            Flow *f = &k->flow[(size_t)(from - 1) * k->boxes.n + to - 1];
            const PlanStep *s = step_at(k, i);
            for (uint32_t j = 0; j < s->n_args; j++) {
                uint32_t buffer = arg_at(k, s, j)->buffer;
                if (!is_read(k, s, j) || !writes_it(k, w, buffer)) continue;
                f->count++;
                f->buffer = buffer;
                f->bytes += k->plan->buffers.at[buffer].bytes;
            }
        }
    }
}

static uint32_t file_part(Str place) {
    uint32_t n = place.n;
    while (n > 0 && place.s[n - 1] != ':')
        n--;
    return n;
}

/* "layers.graph:7,9  fc.graph:21": each line once. */
static void put_lines(const Kernels *k, const KernelBox *b, Label *l) {
    Buf out = buf_make(k->s->arena);
    Str shown[LINES_SHOWN];
    uint32_t n = 0, before = 0, i = 0;
    for (; i < b->spans.n && n < LINES_SHOWN; i++) {
        Str place = place_text(k->s->arena, k->files, b->spans.at[i]);
        bool old = place.n == 0;
        for (uint32_t j = 0; j < n; j++)
            old = old || str_eq(shown[j], place);
        if (old) continue;
        uint32_t file = file_part(place);
        bool same = n > 0 && file == before && memcmp(shown[n - 1].s, place.s, file) == 0;
        buf_printf(&out, "%s%s", same ? "," : n > 0 ? "  " : "", place.s + (same ? file : 0));
        before = file;
        shown[n++] = place;
    }
    if (n > 0) label_line(l, "%s%s", out.s, i < b->spans.n ? " .." : "");
}

static void draw_box(Kernels *k, KernelBox *b, Agraph_t *in, double cost) {
    static const Look looks[] = {[PART_FORWARD] = LOOK_LAYER,
                                 [PART_GRADIENT] = LOOK_GRADIENT,
                                 [PART_METRIC] = LOOK_METRIC,
                                 [PART_UPDATE] = LOOK_UPDATE};
    static const char *const titles[] = {[PART_METRIC] = "metrics and states", [PART_UPDATE] = "updates"};
    Label l = label_make(k->s);
    bool titled = b->part == PART_METRIC || b->part == PART_UPDATE;
    if (titled)
        label_line(&l, "%s", titles[b->part]);
    else if (b->launches > NAMES_SHOWN)
        label_line(&l, "%s .. %u more", b->names.s, b->launches - NAMES_SHOWN);
    else
        label_line(&l, "%s", b->launches ? b->names.s : "packing");
    Str wave = b->first_wave == b->last_wave
                   ? str_format(k->s->arena, "wave %u", b->last_wave)
                   : str_format(k->s->arena, "waves %u to %u", b->first_wave, b->last_wave);
    if (titled || b->launches > 1)
        label_line(&l, "%u kernel%s, %s", b->launches + b->packs, b->launches + b->packs == 1 ? "" : "s",
                   wave.s);
    else if (b->packs)
        label_line(&l, "with %u packing, %s", b->packs, wave.s);
    else
        label_line(&l, "%s", wave.s);
    double share = cost > 0 ? b->cost / cost : 0;
    Str part = share > 0.005 ? str_format(k->s->arena, "  %.0f %%", 100 * share) : (Str){"", 0};
    label_line(&l, "%s  %s%s", scaled_text(k->s->arena, (double)b->bytes, "B").s,
               scaled_text(k->s->arena, (double)b->flops, "flop").s, part.s);
    if (!titled) put_lines(k, b, &l);
    b->drawn = sheet_box(k->s, in, looks[b->part], &l);
    sheet_set(b->drawn, "penwidth", str_format(k->s->arena, "%.1f", 1 + (share > 0.2 ? 4 : 20 * share)).s);
}

static void draw_flow(Kernels *k, uint32_t from, uint32_t to) {
    const Flow *f = &k->flow[(size_t)from * k->boxes.n + to];
    const KernelBox *a = &k->boxes.at[from], *b = &k->boxes.at[to];
    if (f->count == 0) return;
    Look look = b->part == PART_GRADIENT && a->part != PART_FORWARD ? LOOK_GRADIENT : LOOK_STEP;
    Agedge_t *e =
        sheet_arrow(k->s, a->drawn, b->drawn, look, a->part == PART_GRADIENT && b->part == PART_GRADIENT);
    if (a->part != b->part || f->bytes <= SCALAR_BYTES) {
        sheet_set(e, "style", b->part == PART_GRADIENT ? "dashed" : "dotted");
        sheet_set(e, "color", "#bbbbbb");
        return;
    }
    const PlanBuffer *buffer = &k->plan->buffers.at[f->buffer];
    Buf out = buf_make(k->s->arena);
    if (f->count > 1)
        buf_printf(&out, "%u buffers", f->count);
    else
        buf_shape(&out, buffer->shape);
    sheet_set(e, "label",
              str_format(k->s->arena, "%s %s", out.s, scaled_text(k->s->arena, (double)f->bytes, "B").s).s);
}

bool picture_kernels(Sheet *s, const SourceSet *files, const Planned *planned, const PlanEntry *entry) {
    Kernels k = {.s = s,
                 .files = files,
                 .plan = planned->plan,
                 .planned = planned,
                 .entry = entry,
                 .n = entry->n_steps};
    find_launches(&k);
    find_needs(&k);
    find_parts(&k);
    make_boxes(&k);
    if (k.boxes.n == 0) return false;
    find_flow(&k);
    double cost = 0;
    for (uint32_t i = 0; i < k.boxes.n; i++)
        cost += k.boxes.at[i].cost;
    static const char says[] = "per cent and thick lines are of the time estimated";
    Agraph_t *in = sheet_frame(s, NULL, str_format(s->arena, "%.*s: %s", FSTR(entry->name), says));
    for (uint32_t i = 0; i < k.boxes.n; i++)
        draw_box(&k, &k.boxes.at[i], in, cost);
    for (uint32_t i = 0; i < k.boxes.n; i++)
        for (uint32_t j = 0; j < k.boxes.n; j++)
            draw_flow(&k, i, j);
    return true;
}
