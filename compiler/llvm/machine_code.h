/* Target machines and emission: the part of LLVM that knows the processor. */
#ifndef GRC_LLVM_MACHINE_CODE_H
#define GRC_LLVM_MACHINE_CODE_H
#include "error.h"
#include <llvm-c/TargetMachine.h>
#include <llvm/Config/llvm-config.h>

#define MACHINE_CODE_LLVM LLVM_VERSION_STRING
void     machine_code_start(void);                         /* once a process */
GrStatus machine_code_target(const char *cpu, LLVMTargetMachineRef *out, Error *e);   /* cpu NULL: the host */
bool     machine_code_has(LLVMTargetMachineRef machine, const char *feature);         /* "+avx512bf16" */
void     machine_code_set_layout(LLVMTargetMachineRef machine, LLVMModuleRef module);
GrStatus machine_code_emit(Arena *a, LLVMTargetMachineRef machine, LLVMModuleRef module,
    LLVMCodeGenFileType what,
                           Str *out, Error *e);
#endif
