/* The loader of a cold start: ORC's LLJIT takes finished objects only (it never sees IR), so that what
 * runs now and what the cache keeps are the same bytes.  Instrumented code calls into the sanitizer of the
 * process; other code calls nothing. */
#include "link.h"
#include "machine_code.h"
#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <string.h>

struct GenLink { LLVMOrcLLJITRef jit; };

static GrStatus orc_failed(LLVMErrorRef error, const char *what, Error *e) {
    char *message = LLVMGetErrorMessage(error);      /* takes the error */
    GrStatus s = fail(e, GR_JIT, "%s: %.600s", what, message);
    LLVMDisposeErrorMessage(message);
    return s;
}

static GrStatus see_process(GenLink *l, Error *e) {
    LLVMOrcDefinitionGeneratorRef process;
    LLVMErrorRef error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
        &process, LLVMOrcLLJITGetGlobalPrefix(l->jit), NULL, NULL);
    if (error != NULL)
        return orc_failed(error, "finding the sanitizer", e);
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(l->jit), process);       /* takes it */
    return GR_OK;
}

GrStatus link_open(Arena *a, const GenTarget *t, GenLink **out, Error *e) {
    LLVMTargetMachineRef machine;
    TRY(machine_code_target(t->cpu, &machine, e));
    GenLink *l = PUSH(a, GenLink, 1);
    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(            /* both calls take what they are given */
        builder, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(machine));
    LLVMErrorRef error = LLVMOrcCreateLLJIT(&l->jit, builder);
    if (error != NULL)
        return orc_failed(error, "creating the linker", e);
    if (t->sanitize)
        TRY(see_process(l, e));
    *out = l;
    return GR_OK;
}

GrStatus link_add(GenLink *l, Str object, Error *e) {
    LLVMMemoryBufferRef memory = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.s, object.n, "kernels");
    /* takes it */
    LLVMErrorRef error = LLVMOrcLLJITAddObjectFile(l->jit, LLVMOrcLLJITGetMainJITDylib(l->jit), memory);
    return error == NULL ? GR_OK : orc_failed(error, "linking kernels", e);
}

GrStatus link_find(GenLink *l, const char *symbol, void **address, Error *e) {
    LLVMOrcExecutorAddress at = 0;
    LLVMErrorRef error = LLVMOrcLLJITLookup(l->jit, &at, symbol);
    if (error != NULL)
        return orc_failed(error, symbol, e);
    memcpy(address, &at, sizeof *address);
    return GR_OK;
}

void link_close(GenLink *l) {
    if (l == NULL)
        return;
    LLVMErrorRef error = LLVMOrcDisposeLLJIT(l->jit);
    if (error != NULL)
        LLVMConsumeError(error);
}
