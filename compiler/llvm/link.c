/* The loader of a cold start: ORC's LLJIT takes finished objects only (it never sees IR), so that what
 * runs now and what the cache keeps are the same bytes.  Instrumented code calls into the sanitizer of the
 * process; other code calls nothing. */
#include "link.h"
#include "machine_code.h"
#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Object.h>
#include <llvm-c/Orc.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct GenLink { LLVMOrcLLJITRef jit; bool perf_map; uint32_t objects; };

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
    l->perf_map = t->perf_map;
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

/* perf finds names of code without a file in this one: address, size, name, a line each. */
static void name_symbols(GenLink *l, LLVMBinaryRef object, FILE *map) {
    LLVMSymbolIteratorRef at = LLVMObjectFileCopySymbolIterator(object);
    for (; !LLVMObjectFileIsSymbolIteratorAtEnd(object, at); LLVMMoveToNextSymbol(at)) {
        LLVMOrcExecutorAddress address;
        uint64_t bytes = LLVMGetSymbolSize(at);
        if (bytes == 0)
            continue;
        LLVMErrorRef error = LLVMOrcLLJITLookup(l->jit, &address, LLVMGetSymbolName(at));
        if (error == NULL)
            fprintf(map, "%" PRIx64 " %" PRIx64 " %s\n", address, bytes, LLVMGetSymbolName(at));
        else
            LLVMConsumeError(error);          /* a local symbol: a constant */
    }
    LLVMDisposeSymbolIterator(at);
}

static void write_perf_map(GenLink *l, Str object) {
    char path[64], *message = NULL;
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    FILE *map = fopen(path, "a");
    LLVMMemoryBufferRef memory = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.s, object.n, "kernels");
    LLVMBinaryRef binary = LLVMCreateBinary(memory, NULL, &message);       /* does not take the buffer */
    if (map != NULL && binary != NULL)
        name_symbols(l, binary, map);
    if (binary != NULL)
        LLVMDisposeBinary(binary);
    LLVMDisposeMessage(message);
    LLVMDisposeMemoryBuffer(memory);
    if (map != NULL)
        fclose(map);
}

GrStatus link_add(GenLink *l, Str object, Error *e) {
    char name[32];                                   /* initialisers are told apart by it */
    snprintf(name, sizeof name, "kernels%u", l->objects++);
    LLVMMemoryBufferRef memory = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.s, object.n, name);
    /* takes it */
    LLVMErrorRef error = LLVMOrcLLJITAddObjectFile(l->jit, LLVMOrcLLJITGetMainJITDylib(l->jit), memory);
    if (error != NULL)
        return orc_failed(error, "linking kernels", e);
    if (l->perf_map)
        write_perf_map(l, object);
    return GR_OK;
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
