/* One clock for all that is timed: seconds that only go forward, from a moment that means nothing. */
#ifndef GR_BASE_CLOCK_H
#define GR_BASE_CLOCK_H
double clock_seconds(void);
#endif
