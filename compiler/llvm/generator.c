/* Modules, target machines and the two ways out: an object (for the linker and the cache) and text (for
 * dumps). The emitter writes what it means, codegen at O2 does the rest; an optimisation pass runs on few
 * kernels only.  LLVM ends the process on some errors (an instruction the target lacks); a handler then says
 * which kernels were being compiled. */
#include "generator.h"
#include "emit.h"
#include "link.h"
#include "machine_code.h"
#include "micro.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What happens when memory ends is missing in LLVM's C interface; this one of the other takes a plain function. */
typedef void BadAlloc(void *user, const char *reason, bool wants_report);
extern void llvm_on_bad_alloc(BadAlloc *handler, void *user)
    __asm__("_ZN4llvm31install_bad_alloc_error_handlerEPFvPvPKcbES0_");

typedef struct {
    Emit e;
    LLVMTargetMachineRef machine;
} Unit;

/* What this thread compiles, for the fatal error handler: LLVM passes it nothing but a message. */
static _Thread_local const char *compiling = NULL;

static void on_fatal(const char *reason) {
    fprintf(stderr, "graphc: LLVM gave up%s%s: %s\n", compiling != NULL ? " on " : "",
            compiling != NULL ? compiling : "", reason);
}

/* Without it LLVM aborts; its `new` calls what compile.c has installed.  Nothing is unwound, other threads may be
 * compiling: the process ends as it is. */
static _Noreturn void on_bad_alloc(void *user, const char *reason, bool wants_report) {
    (void)user, (void)reason, (void)wants_report;
    (void)!write(STDERR_FILENO, GENERATOR_NO_MEMORY, sizeof GENERATOR_NO_MEMORY - 1);
    _exit(1);
}

static void start_llvm(void) {
    LLVMInstallFatalErrorHandler(on_fatal);
    llvm_on_bad_alloc(on_bad_alloc, NULL);
    machine_code_start();
}

static void start_once(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_llvm);
}

static Emit emit_begin(Arena *a, const GenTarget *t, const Math *math) {
    LLVMContextRef c = LLVMContextCreate();
    Emit e = {.arena = a, .context = c, .math = math, .sanitize = t->sanitize};
    e.module = LLVMModuleCreateWithNameInContext("graphc", c);
    e.b = LLVMCreateBuilderInContext(c);
    e.i1 = LLVMInt1TypeInContext(c);
    e.i8 = LLVMInt8TypeInContext(c);
    e.i16 = LLVMInt16TypeInContext(c);
    e.i32 = LLVMInt32TypeInContext(c);
    e.i64 = LLVMInt64TypeInContext(c);
    e.f16 = LLVMHalfTypeInContext(c);
    e.f32 = LLVMFloatTypeInContext(c);
    e.f64 = LLVMDoubleTypeInContext(c);
    e.ptr = LLVMPointerTypeInContext(c, 0);
    int64_t lane[LANES];
    for (int l = 0; l < LANES; l++)
        lane[l] = l;
    e.iota = emit_lanes(lane, e.i32);
    return e;
}

static void unit_end(Unit *u) {
    LLVMDisposeBuilder(u->e.b);
    LLVMDisposeModule(u->e.module);          /* before its context */
    LLVMContextDispose(u->e.context);
    LLVMDisposeTargetMachine(u->machine);
}

/* What fuse may only ask for when a microkernel does it. */
static GrStatus check_tiles(Emit *emit, const Kernel *k, Error *e) {
    for (uint32_t i = 0; i < k->stages.n; i++) {
        const KTile *t = &k->stages.at[i].tile;
        if (k->stages.at[i].kind != STAGE_TILE)
            continue;
        MicroShape shape;
        Str micro = kernel_micro(k, &k->stages.at[i], false, emit->arena);
        if (!micro_shape(micro.s, &shape))
            return fail(e, GR_JIT, "kernel %.*s: there is no microkernel %.*s", FSTR(k->name), FSTR(micro));
        DType a = k->bufs.at[k->accesses.at[t->a].buf].dtype, b = k->bufs.at[k->accesses.at[t->b].buf].dtype;
        if (a != b || (a != DT_F32 && a != DT_I32))
            return fail(e, GR_JIT,
                "kernel %.*s: microkernels multiply f32 or pairs of bf16, not %s by %s; widen while packing",
                        FSTR(k->name), dtype_name(a), dtype_name(b));
        if (a == DT_I32 && !emit->has_bf16)
            return fail(e, GR_JIT, "kernel %.*s: the processor does not multiply pairs of bf16", FSTR(k->name));
    }
    return GR_OK;
}

static GrStatus emit_item(Emit *e, const GenItem *item, Error *err) {
    MicroShape shape;
    compiling = item->symbol;
    if (item->kernel != NULL) {
        TRY(check_tiles(e, item->kernel, err));
        emit_kernel(e, item->kernel, item->symbol);
    } else if (micro_shape(item->symbol, &shape) && (e->has_bf16 || !shape.halves)) {
        emit_micro(e, item->symbol, &shape);
    } else {
        return fail(err, GR_JIT, "no microkernel is called %s", item->symbol);
    }
    emit_attribute(e, e->function, "nounwind");
    if (item->kernel != NULL && item->kernel->once) {     /* the second is what the first asks for */
        emit_attribute(e, e->function, "optnone");
        emit_attribute(e, e->function, "noinline");
    }
    if (e->sanitize)
        emit_attribute(e, e->function, "sanitize_address");
    return GR_OK;
}

static GrStatus take_error(LLVMErrorRef error, const char *what, Error *e) {
    char *message = LLVMGetErrorMessage(error);      /* takes the error */
    GrStatus s = fail(e, GR_JIT, "%s: %s", what, message);
    LLVMDisposeErrorMessage(message);
    return s;
}

/* Rows in segments are many short loops over the same addresses: there alone it pays (machine_code.c). */
static GrStatus reduce_strength(Unit *u, LLVMValueRef function, Error *e) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPassesOnFunction(function, "loop(loop-reduce)", u->machine, options);
    LLVMDisposePassBuilderOptions(options);
    return error == NULL ? GR_OK : take_error(error, "reducing the strength of loops", e);
}

static GrStatus instrument(Unit *u, Error *e) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(u->e.module, "asan", u->machine, options);
    LLVMDisposePassBuilderOptions(options);
    return error == NULL ? GR_OK : take_error(error, "adding address checks", e);
}

static GrStatus verify(Unit *u, Error *e) {
    char *message = NULL;
    bool broken = LLVMVerifyModule(u->e.module, LLVMReturnStatusAction, &message);
    GrStatus s = broken ? fail(e, GR_JIT, "LLVM rejects the code of a kernel: %.600s", message) : GR_OK;
    LLVMDisposeMessage(message);
    return s;
}

static GrStatus fill(Unit *u, const GenItem *items, uint32_t n, Error *e) {
    LLVMValueRef *in_segments = PUSH(u->e.arena, LLVMValueRef, n);
    uint32_t n_segments = 0;
    for (uint32_t i = 0; i < n; i++) {
        u->e.segments = false;
        TRY(emit_item(&u->e, &items[i], e));
        if (u->e.segments)
            in_segments[n_segments++] = u->e.function;
    }
    TRY(verify(u, e));
    for (uint32_t i = 0; i < n_segments; i++)
        TRY(reduce_strength(u, in_segments[i], e));
    return u->e.sanitize ? instrument(u, e) : GR_OK;
}

static GrStatus unit_begin(Arena *a, const GenTarget *t, Unit *u, Error *e) {
    const Math *math;
    start_once();
    TRY(math_create(a, &math, e));
    TRY(machine_code_target(t->cpu, &u->machine, e));
    u->e = emit_begin(a, t, math);
    u->e.has_bf16 = machine_code_has(u->machine, "+avx512bf16");
    machine_code_set_layout(u->machine, u->e.module);
    return GR_OK;
}

static GrStatus object(Arena *a, const GenTarget *t, const GenItem *items, uint32_t n, Str *out, Error *e) {
    Unit u;
    TRY(unit_begin(a, t, &u, e));
    GrStatus s = fill(&u, items, n, e);
    if (s == GR_OK)
        s = machine_code_emit(a, u.machine, u.e.module, LLVMObjectFile, out, e);
    unit_end(&u);
    compiling = NULL;
    return s;
}

static GrStatus text(Arena *a, const GenTarget *t, const GenItem *items, uint32_t n, GenText what, Str *out,
    Error *e) {
    Unit u;
    TRY(unit_begin(a, t, &u, e));
    GrStatus s = fill(&u, items, n, e);
    if (s == GR_OK && what == GEN_TEXT_ASM) {
        s = machine_code_emit(a, u.machine, u.e.module, LLVMAssemblyFile, out, e);
    } else if (s == GR_OK) {
        char *ir = LLVMPrintModuleToString(u.e.module);
        *out = str_copy(a, str_of(ir));
        LLVMDisposeMessage(ir);
    }
    unit_end(&u);
    compiling = NULL;
    return s;
}

static GrStatus link_create(Arena *a, const GenTarget *t, GenLink **out, Error *e) {
    start_once();
    return link_open(a, t, out, e);
}

__attribute__((visibility("default"))) const Generator *graphc_generator(void);
const Generator *graphc_generator(void) {
    static const Generator table = {GENERATOR_ABI, MACHINE_CODE_LLVM, object, text, link_create, link_add,
        link_find, link_close};
    return &table;
}
