/* States of schedules: inputs "schedule.PATH" of the uniform program, kept among the reals of the training. */
#ifndef GRR_TRAIN_SCHEDULE_H
#define GRR_TRAIN_SCHEDULE_H
#include "session.h"

/* Series have new values: the next step begins with an advance. */
void schedules_due(Session *s);
/* All states at once, when they are due.  It happens before the next step and not at the validation, so that what is
 * saved there still has the weights the validation was made with. */
void schedules_advance(Session *s);
#endif
