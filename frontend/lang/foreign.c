/* Names that other languages have for what has a word here: the help names the word.  (Signs and keywords of other
 * languages are known to lex.c and parse_token.c.) */
#include "lower.h"

typedef struct { const char *name, *help; } Foreign;

static const char no_modules[] = "there are no modules to call: `relu(x)`, `softmax(x)`, `linear(x, 64)` are in scope";
static const char no_none[] = "no value is none: leave the argument out, or declare a setting `one of ..`";
static const char extents[] = "extents have names: they are written in the type, `x : real[N, 3]`";
static const char reshape[] = "another shape of the same elements is `x as [N, 8]`";

static const Foreign names[] = {
    {"True", "write `yes`"},
    {"true", "write `yes`"},
    {"False", "write `no`"},
    {"false", "write `no`"},
    {"None", no_none},
    {"null", no_none},
    {"nil", no_none},
    {"float", "convert with `real(x)`; infinity is `inf`"},
    {"range", "positions are `for i < n { .. }`; an index with an extent is `y[i < n] = ..`"},
    {"len", extents},
    {"zeros", "a number fits every shape: `0`; with indices `y[n < N, k < 3] = 0`"},
    {"ones", "a number fits every shape: `1`; with indices `y[n < N, k < 3] = 1`"},
    {"arange", "an index is a number: `y[i < n] = i`"},
    {"randn", "write `normal()`, or `normal(like = x)`"},
    {"rand", "write `uniform()`, or `uniform(like = x)`"},
    {"matmul", "write `a @ b`"},
    {"einsum", "write it with indices: `y[i,j] = sum[k] a[i,k] * b[k,j]`"},
    {"transpose", "write `x'`, or with indices `y[j,i] = x[i,j]`"},
    {"permute", "write it with indices: `y[n,c,h,w] = x[n,h,w,c]`"},
    {"reshape", reshape},
    {"view", reshape},
    {"torch", no_modules},
    {"np", no_modules},
    {"nn", no_modules},
    {"tf", no_modules},
    {"jnp", no_modules},
    {"F", no_modules},
    {"nan", "a mask chooses what counts: `mean[n, t, t < len[n]] x[n,t]`"},
    {"self", "weights are `param w : real[A] = ..` in a `def` or `model`, and are called by that name"},
};

static const Foreign fields[] = {
    {"shape", extents},
    {"size", "all elements are counted by `size(x)`; extents have names"},
    {"ndim", "write `rank(x)`"},
    {"T", "write `x'`"},
    {"t", "write `x'`"},
    {"transpose", "write `x'`, or with indices `y[j,i] = x[i,j]`"},
    {"permute", "write it with indices: `y[n,c,h,w] = x[n,h,w,c]`"},
    {"view", reshape},
    {"reshape", reshape},
    {"flatten", "write `flatten(x)` or `x as [N, _]`"},
    {"detach", "write `stop_gradient(x)`"},
    {"item", "a number is one already"},
    {"pow", "write `x^2`"},
    {"float", "write `real(x)`"},
    {"long", "write `int(x)`"},
    {"to", "write the type as a function: `f16(x)`, `int(x)`"},
    {"squeeze", "pick the only element of a dim: `x[:, 0]`"},
    {"unsqueeze", "say the shape: `x as [N, 1]`"},
    {"cuda", "there is no device to choose"},
    {"cpu", "there is no device to choose"},
};

static const char *find(const Foreign *table, size_t n, Str name) {
    for (size_t i = 0; i < n; i++) {
        if (str_is(name, table[i].name)) {
            return table[i].help;
        }
    }
    return NULL;
}

bool foreign_name(Diag *d, Str name) {
    const char *help = find(names, sizeof names / sizeof *names, name);
    if (help) {
        diag_help(d, "%s", help);
    }
    return help != NULL;
}

/* `x.mean()`: functions are no methods. */
void foreign_field(Lower *l, Diag *d, const Expr *base, Str field) {
    const char *help = find(fields, sizeof fields / sizeof *fields, field);
    Str x = sources_text(l->p->sources, base->at);
    x = x.n < 30 ? x : STR("x");
    if (help) {
        diag_help(d, "%s", help);
    } else if (reducer_named(field)) {
        diag_help(d, "write `%.*s[..] %.*s` over everything, `%.*s[n] %.*s[n]` over some dims", FSTR(field), FSTR(x),
                  FSTR(field), FSTR(x));
    } else if (scope_decl(l->p, l->frame->scope, field) || intrinsic_find(field)) {
        diag_help(d, "functions are no methods: write `%.*s(%.*s)` or `%.*s |> %.*s`", FSTR(field), FSTR(x), FSTR(x),
                  FSTR(field));
    }
}
