/* A signal inside compiled code names the kernel and its source lines before the process dies. */
#ifndef GRF_CLI_CRASH_H
#define GRF_CLI_CRASH_H
#include "cli.h"

void crash_watch(const Compiled *c);  /* its code may run from now on; again after more of it was loaded */
void crash_forget(const Compiled *c); /* its code goes; none of it runs */
#endif
