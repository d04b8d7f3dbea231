/* See crash.h.  A handler may neither allocate nor lock, so all it says is written down beforehand: for each
 * kernel and each microkernel where its code begins, and a text.  The crash belongs to the code with the
 * greatest beginning that is not behind the program counter; of a microkernel, and of anything else a kernel
 * may have called, to the nearest return address on the stack that lies in a kernel.  The list of tables is
 * the one mutable global: a signal comes with no argument. */
#define _GNU_SOURCE 1
#include "crash.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    MOST_CODE = 1 << 18,
    STACK_WORDS = 512
}; /* bytes of one function; words searched for a return address */

typedef struct {
    uintptr_t at;
    Str text;
} Function; /* text empty: a microkernel, whose caller is to be named */
typedef struct Watch {
    struct Watch *next;
    Arena *arena;
    const Compiled *of;
    Function *functions; /* by address */
    uint32_t n;
} Watch;

static _Atomic(Watch *) watches;

/* ---- in the handler ---- */
static const Function *function_at(uintptr_t pc) {
    const Function *best = NULL;
    for (const Watch *w = atomic_load(&watches); w != NULL; w = w->next) {
        uint32_t lo = 0, hi = w->n;
        while (lo < hi) {
            uint32_t middle = (lo + hi) / 2;
            if (w->functions[middle].at <= pc)
                lo = middle + 1;
            else
                hi = middle;
        }
        if (lo > 0 && pc - w->functions[lo - 1].at < MOST_CODE &&
            (best == NULL || w->functions[lo - 1].at > best->at))
            best = &w->functions[lo - 1];
    }
    return best;
}

static const Function *kernel_at(const ucontext_t *context) {
    const Function *f = function_at((uintptr_t)context->uc_mcontext.gregs[REG_RIP]);
    const uintptr_t *stack = (const uintptr_t *)context->uc_mcontext.gregs[REG_RSP];
    for (int i = 0; f != NULL && f->text.n == 0 && i < STACK_WORDS; i++) {
        const Function *caller = function_at(stack[i]);
        f = caller != NULL && caller->text.n > 0 ? caller : f;
    }
    return f;
}

static void on_crash(int number, siginfo_t *info, void *context) {
    (void)info;
    const Function *f = kernel_at(context);
    if (f != NULL && f->text.n > 0)
        (void)!write(STDERR_FILENO, f->text.s, f->text.n);
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- beforehand ---- */
static void catch_crashes(void) {
    struct sigaction act = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_NODEFER};
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], &act, NULL);
    }
}

static Str text_of(Arena *a, const Kernel *k, const SourceSet *sources) {
    Buf b = buf_make(a);
    buf_printf(&b, "graphc: the code of kernel %.*s crashed\n", FSTR(k->name));
    for (uint32_t i = 0; i < k->spans.n; i++) {
        Place at = sources_place(sources, k->spans.at[i]);
        if (at.path.n > 0)
            buf_printf(&b, "  from %.*s:%u  %.*s\n", FSTR(at.path), at.line, FSTR(at.line_text));
    }
    buf_printf(&b, "  help: this is a mistake of graphc; --sanitize says more about the address\n");
    return buf_str(&b);
}

static int by_address(const void *x, const void *y) {
    uintptr_t a = ((const Function *)x)->at, b = ((const Function *)y)->at;
    return a < b ? -1 : a > b;
}

void crash_watch(const Compiled *c) {
    const Plan *plan = c->planned.plan;
    PlanCode code = code_table(c->code);
    Arena *arena = arena_create();
    Watch *w = PUSH(arena, Watch, 1);
    *w = (Watch){
        .arena = arena, .of = c, .functions = PUSH(arena, Function, plan->kernels.n + plan->micros.n + 1)};
    for (uint32_t i = 0; i < plan->kernels.n; i++) {
        if (code.kernels[i] != NULL)
            w->functions[w->n++] = (Function){(uintptr_t)code.kernels[i],
                                              text_of(arena, c->planned.kernels.at[i], c->final.sources)};
    }
    for (uint32_t i = 0; i < plan->micros.n; i++) {
        if (code.micros[i] != NULL)
            w->functions[w->n++] = (Function){(uintptr_t)code.micros[i], {"", 0}};
    }
    qsort(w->functions, w->n, sizeof *w->functions, by_address);
    w->next = atomic_load(&watches);
    while (!atomic_compare_exchange_weak(&watches, &w->next, w)) {
        continue; /* somebody else was first: w->next is his now */
    }
    catch_crashes();
}

void crash_forget(const Compiled *c) {
    Watch *kept = NULL;
    for (Watch *w = atomic_exchange(&watches, NULL), *next; w != NULL; w = next) {
        next = w->next;
        if (w->of == c) {
            arena_destroy(w->arena);
        } else {
            w->next = kept;
            kept = w;
        }
    }
    atomic_store(&watches, kept);
}
