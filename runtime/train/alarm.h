/* Alarms of an objective: does one go off, now that the values of a split are known? */
#ifndef GRR_TRAIN_ALARM_H
#define GRR_TRAIN_ALARM_H
#include "session.h"

/* Counts the reports of the split in which the condition held, and is true when there are just as many in a row as
 * the alarm asks for.  The count is part of the state. */
bool alarm_goes_off(Session *s, Arena *scratch, const RecipeObjective *o, uint32_t alarm, Str split,
                    const TrainValues *values);
#endif
