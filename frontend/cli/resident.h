/* How much memory this process holds, as the system counts it. */
#ifndef GRF_CLI_RESIDENT_H
#define GRF_CLI_RESIDENT_H
#include <stdint.h>

void     resident_reset(void);   /* from here on the peak is counted anew, where the system can do that */
uint64_t resident_peak(void);    /* bytes at the most; 0: the system does not say */
#endif
