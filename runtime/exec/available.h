/* How much more memory this process may take: what the machine has, and what the groups it is in are limited to. */
#ifndef GRR_EXEC_AVAILABLE_H
#define GRR_EXEC_AVAILABLE_H
#include "str.h"

/* Bytes; 0: the system does not say.  root: "" for this system, or a folder that has another one's /proc and /sys. */
uint64_t available_memory(const char *root);
#endif
