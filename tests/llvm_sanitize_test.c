/* Instrumented kernels (--sanitize): a kernel that stores behind its buffer is stopped.  Only a program that
 * is itself built with AddressSanitizer holds what instrumented code calls, so elsewhere there is nothing to
 * test. */
#include "llvm_rig.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
static int run_with_offset(int offset) {
    Arena *a = test_arena();
    SourceSet *sources = sources_create(a);
    Str text = str_format(
        a,
        "kernel @wrong(in %%x: f32[40], out %%y: f32[40])\n  regs 0\n  head b 2\n  axis i 20\n{\n"
        "  map over i vec i {\n    v0 = load.f32 %%x[20*b + i]\n    store(v0) %%y[%d + 20*b + i]\n  }\n}\n",
        offset);
    const Kernel *k =
        kernel_parse(a, sources_add(sources, STR("wrong.kernel"), text), diags_create(a, sources));
    REQUIRE(k != NULL); /* kernel_verify would refuse it */
    CodeOptions o = rig_options(NULL, "");
    o.sanitize = true;
    Plan *plan = rig_plan(a, &k, 1);
    Code *code;
    Error e = {0};
    bool loaded =
        code_create(a, &o, &code, &e) == GR_OK && code_load(code, plan, &k, 1, (uint32_t[]){0}, &e) == GR_OK;
    CHECK_MSG(loaded, "%s", e.what);
    REQUIRE(loaded);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        void *buffers[2] = {calloc(40, sizeof(float)), calloc(40, sizeof(float))};
        code_table(code).kernels[0](buffers, NULL, 0, 2, NULL);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    code_destroy(code);
    return status;
}

TEST(sanitized_kernels_are_stopped) {
    CHECK_INT(run_with_offset(0), 0);
    CHECK(run_with_offset(4) != 0);
}
#endif
