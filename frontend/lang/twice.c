/* Functions that take logits and are given probabilities: the softmax (or sigmoid) is then taken twice.  Nothing
 * fails, the loss just never comes near 0, so it is a warning.  What a call of `softmax` returned is remembered by its
 * node; a sigmoid is an operation and its node says so. */
#include "lower.h"
#include <math.h>

static const struct { const char *name; bool sigmoid; } takes_logits[] = {
    {"cross_entropy", false}, {"cross_entropy_each", false}, {"bce_logits", true}, {"bce_logits_each", true}};

void twice_remember(Lower *l, const Decl *d, const Expr *call, V result) {
    if (in_library(l->p, d->at) && str_is(d->name.text, "softmax") && result->kind == VAL_ARRAY &&
        !in_library(l->p, call->at)) {
        vec_push(l->a, &l->softmaxes, (Softmax){result->array.val, result->array.graph, call});
    }
}

static const Expr *softmax_call(const Lower *l, const Array *x) {
    for (uint32_t i = l->softmaxes.n; i-- > 0;) { /* the latest: equal calls have one node */
        if (l->softmaxes.at[i].val.i == x->val.i && l->softmaxes.at[i].graph == x->graph) {
            return l->softmaxes.at[i].call;
        }
    }
    return NULL;
}

/* What was put through the function: `h` of `softmax(h)` and of `h |> softmax`. */
static Str made_of(Lower *l, const Expr *call) {
    const Expr *x = call->kind == EX_PIPE                               ? call->pipe.x
                    : call->kind == EX_CALL && call->call.args.n > 0 ? call->call.args.at[0].value
                                                                        : NULL;
    return x ? sources_text(l->p->sources, x->at) : (Str){0};
}

/* The least a cross-entropy of K probabilities can be: they lie within 0 and 1, so do the logits. */
static void note_least(Diag *d, const Array *x) {
    int64_t k;
    if (x->rank > 0 && dim_known(x->dim[x->rank - 1], &k) && k > 1) {
        diag_note(d, "with %lld classes the loss cannot fall below log(1 + %lld/e) = %.3f", (long long)k,
                  (long long)k - 1, log1p((double)(k - 1) * exp(-1)));
    }
}

static void warn(Lower *l, const Decl *d, V logits, const Expr *softmax) {
    const char *word = softmax ? "softmax" : "sigmoid";
    Diag *diag = report(l, DIAG_TWICE_SOFTMAX, logits->at, "`%.*s` takes logits, `%.*s` is already a %s",
                        FSTR(d->name.text), FSTR(sources_text(l->p->sources, logits->at)), word);
    Str of = softmax ? made_of(l, softmax) : (Str){0};
    if (softmax && softmax->at.at != logits->at.at) {
        report_label(l, diag, softmax->at, "the first softmax");
    }
    if (softmax) {
        note_least(diag, &logits->array);
    }
    if (of.n) {
        diag_help(diag, "pass `%.*s`: `%.*s` takes the softmax itself", FSTR(of), FSTR(d->name.text));
    } else {
        diag_help(diag, "pass what the %s was taken of: `%.*s` takes it itself", word, FSTR(d->name.text));
    }
}

void twice_check(Lower *l, const Decl *d, const Expr *call, V first) {
    if (!in_library(l->p, d->at) || in_library(l->p, call->at) || first->kind != VAL_ARRAY) {
        return;
    }
    for (size_t i = 0; i < sizeof takes_logits / sizeof *takes_logits; i++) {
        if (!str_is(d->name.text, takes_logits[i].name)) {
            continue;
        }
        const Expr *softmax = softmax_call(l, &first->array);
        const Node *n = first->array.val.i ? node_of(first->array.graph, first->array.val) : NULL;
        if (softmax && !takes_logits[i].sigmoid) {
            warn(l, d, first, softmax);
        } else if (n && n->op == OP_sigmoid && takes_logits[i].sigmoid) {
            warn(l, d, first, NULL);
        }
    }
}
