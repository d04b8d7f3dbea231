/* What a training can be watched for, and what happens then. */
#ifndef GRR_TRAIN_MONITORS_H
#define GRR_TRAIN_MONITORS_H

typedef enum {
#define MONITOR(id, name, patience, what, advice) MONITOR_##id,
#include "monitors.def"
#undef MONITOR
    MONITOR_COUNT
} Monitor;
/* Of alarms that the program declares, AS_WRITTEN is what it says; of a monitor it is OFF. */
typedef enum { LEVEL_AS_WRITTEN, LEVEL_OFF, LEVEL_WARN, LEVEL_STOP } Level;
#endif
