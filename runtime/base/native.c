/* Everything a call needs is laid out when it is opened: one pointer a tensor, then the extents, and the list
 * of their addresses that libffi wants.  A run moves the pointers on from call to call. */
#include "native.h"
#include <dlfcn.h>
#include <ffi.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

struct Native {
    NativeCall call;
    void *function;
    ffi_cif cif;
    void **at, **values;      /* the pointers that are passed; where libffi finds them and the extents */
};

bool native_takes(DType t) { return t != DT_BF16 && t != DT_F16; }

GrStatus native_find(Str library, Str symbol, void **out, Error *e) {
    Arena *scratch = arena_create();
    bool bare = memchr(library.s, '/', library.n) == NULL;   /* else the loader would look elsewhere */
    Str path = str_format(scratch, "%s%.*s", bare ? "./" : "", FSTR(library));
    GrStatus status = GR_OK;
    *out = NULL;
    void *handle = NULL;
    if (access(path.s, R_OK) != 0) {
        status = fail_errno(e, GR_IO, "the library %.*s of `%.*s` cannot be read", FSTR(library), FSTR(symbol));
        fail_help(e, "build it: `cc -O2 -shared -fPIC -o %.*s ..`", FSTR(library));
    } else if ((handle = dlopen(path.s, RTLD_NOW | RTLD_LOCAL)) == NULL) {
        status = fail(e, GR_UNSUPPORTED, "the library %.*s of `%.*s` cannot be loaded: %s", FSTR(library),
                      FSTR(symbol), dlerror());
        fail_help(e, "build it as a shared library: `cc -O2 -shared -fPIC -o %.*s ..`", FSTR(library));
    } else if ((*out = dlsym(handle, str_copy(scratch, symbol).s)) == NULL) {
        status = fail(e, GR_DATA, "%.*s has no function `%.*s`", FSTR(library), FSTR(symbol));
        fail_help(e, "`nm -D %.*s` lists what it has; a C++ function needs `extern \"C\"`", FSTR(library));
    }
    arena_destroy(scratch);
    return status;
}

GrStatus native_open(Arena *a, const NativeCall *c, Native **out, Error *e) {
    void *function;
    TRY(native_find(c->library, c->symbol, &function, e));
    Native *n = PUSH(a, Native, 1);
    uint32_t n_values = c->n_parts + c->n_extents;
    ffi_type **types = PUSH(a, ffi_type *, n_values + 1);
    *n = (Native){.call = *c, .function = function, .at = PUSH(a, void *, c->n_parts + 1),
                  .values = PUSH(a, void *, n_values + 1)};
    int64_t *extents = PUSH(a, int64_t, c->n_extents + 1);
    for (uint32_t i = 0; i < n_values; i++) {
        bool tensor = i < c->n_parts;
        if (!tensor)
            extents[i - c->n_parts] = c->extents[i - c->n_parts];
        types[i] = tensor ? &ffi_type_pointer : &ffi_type_sint64;
        n->values[i] = tensor ? (void *)&n->at[i] : (void *)&extents[i - c->n_parts];
    }
    if (ffi_prep_cif(&n->cif, FFI_DEFAULT_ABI, n_values, &ffi_type_void, types) != FFI_OK)
        return fail(e, GR_UNSUPPORTED, "libffi cannot call `%.*s`", FSTR(c->symbol));
    *out = n;
    return GR_OK;
}

/* Tensors hold no denormals, and of a bool only 0 and 1. */
static void settle(DType t, void *data, int64_t n) {
    float *f = data;
    double *d = data;
    uint8_t *b = data;
    for (int64_t i = 0; t == DT_F32 && i < n; i++)
        f[i] = flush_f32(f[i]);
    for (int64_t i = 0; t == DT_F64 && i < n; i++)
        d[i] = fpclassify(d[i]) == FP_SUBNORMAL ? copysign(0, d[i]) : d[i];
    for (int64_t i = 0; t == DT_BOOL && i < n; i++)
        b[i] = b[i] != 0;
}

void native_run(const Native *n, void *const *tensors) {
    const NativeCall *c = &n->call;
    memcpy(n->at, tensors, sizeof *tensors * c->n_parts);
    uint32_t ours = float_mode_plain();
    for (int64_t k = 0; k < c->calls; k++) {
        ffi_call((ffi_cif *)&n->cif, FFI_FN(n->function), NULL, n->values);
        for (uint32_t i = 0; i < c->n_parts; i++)
            n->at[i] = (char *)n->at[i] + c->parts[i].count * dtype_bytes(c->parts[i].dtype);
    }
    for (uint32_t i = c->n_in; i < c->n_parts; i++)
        settle(c->parts[i].dtype, tensors[i], c->calls * c->parts[i].count);
    float_mode_restore(ours);
}

NativeCall native_of_step(Arena *a, const Plan *p, const PlanStep *s) {
    const PlanExtern *x = &p->externs.at[s->external];
    NativePart *parts = PUSH(a, NativePart, s->n_args + 1);
    uint32_t n_in = 0;
    for (uint32_t i = 0; i < s->n_args; i++) {
        const PlanArg *arg = &p->args.at[s->first_arg + i];
        parts[i] = (NativePart){p->buffers.at[arg->buffer].dtype, p->numbers.at[x->first_number + x->n_extents + i]};
        n_in += !arg->writes;
    }
    return (NativeCall){x->library, x->symbol, x->calls, n_in, s->n_args, x->n_extents, parts,
                        p->numbers.at + x->first_number};
}
