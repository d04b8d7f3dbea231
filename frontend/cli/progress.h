/* What a training says while it runs: a live line on a terminal, a line an epoch, or objects for programs. */
#ifndef GRF_CLI_PROGRESS_H
#define GRF_CLI_PROGRESS_H
#include "trainer.h"
#include <stdio.h>

typedef struct {
    bool quiet, json;
    bool live;                             /* standard error is a terminal */
    double drawn;                          /* seconds, of the last live line */
    int64_t first_step; double first_seconds;      /* of this phase in this process; rates are since then */
    const RecipePhase *phase;
    uint32_t alarms;
} Screen;

Screen screen_make(bool quiet, bool json);
/* The next live line is due, and would show the values so far. */
bool   screen_due(const Screen *s);
void   screen_clear(const Screen *s);
/* Of any event but alarms and notes, which are remarks (report_remark). */
void   screen_event(Screen *s, Arena *a, const Recipe *r, const TrainProgress *p);
/* Begin and end of a run; objects only. */
void   screen_say(const Screen *s, const char *event, Str run, const char *state);
/* "epoch   3  train.total 0.5  val.total 0.4  1.2 s  kept", without a line's end. */
Str    epoch_line(Arena *a, const Recipe *r, const TrainProgress *p);
#endif
