/* Target machines: the host with all it can do, or "haswell", the floor with AVX2 and FMA on which results
 * are compared. Code is position independent and refers to nothing outside itself, so the same object runs
 * in memory and from a library. */
#include "machine_code.h"
#include <llvm-c/Core.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <string.h>

/* Loop strength reduction would take a third of LLVM's time, to leave addresses that are steps from one base already;
 * kernels that need it get it by name (generator.c). */
void machine_code_start(void) {
    const char *const options[] = {"graphc", "-disable-lsr"};
    LLVMParseCommandLineOptions(2, options, NULL);
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
}

/* LLVM's names are copies: NULL when there is no memory for one. */
static GrStatus no_name(Error *e) { return fail(e, GR_JIT, "there is no memory for the name of the processor"); }

static bool has_feature(const char *features, const char *name) {
    const char *at = strstr(features, name);
    size_t n = strlen(name);
    return at != NULL && (at[n] == ',' || at[n] == '\0');
}

static GrStatus create(const char *cpu, const char *features, LLVMTargetMachineRef *out, Error *e) {
    char *triple = LLVMGetDefaultTargetTriple(), *message = NULL;
    LLVMTargetRef target;
    if (triple == NULL)
        return no_name(e);
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        fail(e, GR_JIT, "LLVM has no target %s: %.200s", triple, message);
        LLVMDisposeMessage(message);
        LLVMDisposeMessage(triple);
        return GR_JIT;
    }
    *out = LLVMCreateTargetMachine(target, triple, cpu, features, LLVMCodeGenLevelDefault, LLVMRelocPIC,
                                   LLVMCodeModelSmall);
    LLVMDisposeMessage(triple);
    return *out != NULL ? GR_OK : fail(e, GR_JIT, "LLVM has no target machine for %s", cpu);
}

static GrStatus host(LLVMTargetMachineRef *out, Error *e) {
    char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    GrStatus s;
    if (cpu == NULL || features == NULL) {
        s = no_name(e);
    } else if (!has_feature(features, "+fma") || !has_feature(features, "+avx2")) {
        s = fail(e, GR_UNSUPPORTED, "this processor (%s) has no AVX2 or no FMA instructions", cpu);
        fail_help(e, "x86-64-v3 is needed: Intel since Haswell, AMD since Excavator");
    } else {
        s = create(cpu, features, out, e);
    }
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return s;
}

GrStatus machine_code_target(const char *cpu, LLVMTargetMachineRef *out, Error *e) {
    if (cpu == NULL || strcmp(cpu, "host") == 0)
        return host(out, e);
    if (strcmp(cpu, "haswell") == 0)
        return create(cpu, "", out, e);
    fail(e, GR_USAGE, "no code is generated for the processor `%s`", cpu);
    fail_help(e, "choose `host` or `haswell`");
    return GR_USAGE;
}

bool machine_code_has(LLVMTargetMachineRef machine, const char *feature) {
    char *features = LLVMGetTargetMachineFeatureString(machine);
    bool has = features != NULL && has_feature(features, feature);
    LLVMDisposeMessage(features);
    return has;
}

void machine_code_set_layout(LLVMTargetMachineRef machine, LLVMModuleRef module) {
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    char *triple = LLVMGetTargetMachineTriple(machine);
    LLVMSetModuleDataLayout(module, layout);
    if (triple != NULL)                    /* else the machine's own, which is the same */
        LLVMSetTarget(module, triple);
    LLVMDisposeMessage(triple);
    LLVMDisposeTargetData(layout);
}

GrStatus machine_code_emit(Arena *a, LLVMTargetMachineRef machine, LLVMModuleRef module,
    LLVMCodeGenFileType what,
                           Str *out, Error *e) {
    LLVMMemoryBufferRef memory;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, what, &message, &memory)) {
        GrStatus s = fail(e, GR_JIT, "code generation: %.600s", message);
        LLVMDisposeMessage(message);
        return s;
    }
    *out = str_copy(a, (Str){LLVMGetBufferStart(memory), (uint32_t)LLVMGetBufferSize(memory)});
    LLVMDisposeMemoryBuffer(memory);
    return GR_OK;
}
