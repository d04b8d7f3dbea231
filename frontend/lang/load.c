/* `load P from "w.safetensors" [partly]`: the file, beside the text that says it, and the patterns, as text for the
 * trainer, which alone sees what the file holds. */
#include "lower.h"

void load_declare(Lower *l, RecipePhase *p, const TrainClause *c) {
    V v = eval(l, c->load.file);
    if (v->kind == VAL_POISON) {
        return;
    }
    if (v->kind != VAL_TEXT || v->text.n == 0) {
        report(l, DIAG_TYPE, c->load.file->at, "weights are loaded from a file, this is %.*s",
               FSTR(value_describe(l, v)));
        return;
    }
    bool absolute = v->text.s[0] == '/';
    RecipeLoad load = {.partly = c->load.partly, .span = c->at};
    load.path = str_format(l->m->arena, "%.*s%.*s", absolute ? 0 : (int)l->frame->scope->folder.n,
                           l->frame->scope->folder.s, FSTR(v->text));
    for (uint32_t i = 0; i < c->load.patterns.n; i++) {
        vec_push(l->m->arena, &load.patterns, c->load.patterns.at[i].text);
    }
    vec_push(l->m->arena, &p->loads, load);
}
