/* Which declaration a place of a text stands in: what a node of a graph is a part of, for those who name it.
 */
#include "lower.h"

static const char *word_of(DeclKind k) {
    switch (k) {
    case DECL_DEF: return "def";
    case DECL_MODEL:
    case DECL_FOLLOWS: return "model";
    case DECL_OBJECTIVE: return "objective";
    case DECL_OPTIMIZER: return "optimizer";
    case DECL_TRAIN: return "train";
    case DECL_ERROR:
    case DECL_USE:
    case DECL_SETTING:
    case DECL_CONSTANT:
    case DECL_REQUIRE:
    case DECL_DATA:
    case DECL_EXPORT:
    case DECL_EXTERN:
    case DECL_SWEEP:
    case DECL_COUNT: return "";
    }
    return "";
}

static bool holds(const Decl *d, Span at) { return d->at.at <= at.at && at.at < d->at.at + d->at.n; }

Enclosing program_enclosing(const Program *p, Span at) {
    if (at.n == 0) return (Enclosing){0};
    const Scope *s = scope_of(p, at);
    for (uint32_t i = 0; s && i < s->decls.n; i++)
        if (holds(s->decls.at[i], at))
            return (Enclosing){str_of(word_of(s->decls.at[i]->kind)), s->decls.at[i]->name.text};
    return (Enclosing){0};
}
