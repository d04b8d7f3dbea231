/* A crash in compiled code says which kernel it was and from which line of the program it came. */
#define _GNU_SOURCE 1
#include "crash.h"
#include "program_case.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls the kernel with buffers that are not there; what the process said before it died. */
static Str last_words(const Compiled *c, uint32_t kernel, int *status) {
    FILE *words = tmpfile();
    REQUIRE(words != NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        void *buffers[256] = {NULL};
        PlanCode code = code_table(c->code);
        const PlanKernel *k = &c->planned.plan->kernels.at[kernel];
        const Kernel *ir = c->planned.kernels.at[kernel];
        uint32_t n = 0;
        for (uint32_t i = 0; i < ir->bufs.n; i++) {
            n += ir->bufs.at[i].role != KBUF_SCRATCH;
        }
        for (uint32_t i = 0; i < k->n_micros; i++) {
            buffers[n + i] = code.micros[k->first_micro + i];
        }
        dup2(fileno(words), STDERR_FILENO);
        code.kernels[kernel](buffers, (UValue[256]){{0}}, 0, 1,
                             arena_push(test_arena(), k->scratch_bytes + ARENA_SLACK, 64));
        _exit(0);
    }
    waitpid(child, status, 0);
    char text[8192];
    rewind(words);
    uint32_t n = (uint32_t)fread(text, 1, sizeof text, words);
    fclose(words);
    return str_copy(test_arena(), (Str){text, n});
}

TEST_ALL(crash_names_kernel_and_line) {
    ProgramCase c;
    Buf why = buf_make(test_arena());
    ProgramWish w = {.file = str_format(test_arena(), "%.*s/graphs/tiny/conv.graph", FSTR(test_root())).s,
                     .steps = 1};
    REQUIRE(program_case(&w, &c, &why));
    Common common = common_make();
    common.no_cache = true;
    Error e = {0};
    REQUIRE(compile_plan(&c.session, &common, &c.compiled, "fused", &e) == GR_OK);
    bool loaded = compile_load(&common, &c.compiled, 0, NULL, &e) == GR_OK;
    CHECK_MSG(loaded, "%s", e.what);
    uint32_t named = 0, placed = 0;
    for (uint32_t k = 0; loaded && k < c.compiled.planned.kernels.n; k++) {
        int status;
        Str said = last_words(&c.compiled, k, &status);
        CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "kernel %u ended with %x", k, status);
        const char *name = str_copy(test_arena(), c.compiled.planned.kernels.at[k]->name).s;
        named += strstr(said.s, name) != NULL;
        placed += strstr(said.s, "conv.graph:") != NULL;
        CHECK_MSG(strstr(said.s, name) != NULL, "%s: `%.*s`", name, FSTR(said));
    }
    CHECK(named > 0 && placed > 0);
    compile_close(&c.compiled);
    program_case_close(&c);
}
