/* Which processor this is, without LLVM: code made for one is not run on another. */
#ifndef GR_BASE_PROCESSOR_H
#define GR_BASE_PROCESSOR_H
#include "error.h"
uint64_t processor_identity(void);          /* model and every feature bit that code generation may use */
GrStatus processor_check(Error *e);         /* AVX2 and FMA are the floor */
#endif
