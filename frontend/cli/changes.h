/* What makes a program another than the one a run was trained with. */
#ifndef GRF_CLI_CHANGES_H
#define GRF_CLI_CHANGES_H
#include "cli.h"

/* Names in `e`, which says that they differ (GR_CHANGED), what was changed since, and at which lines of the file; the
 * run has its text.  Where none is found (the run has lost its text), `e` stays as it is. */
void changes_explain(Session *s, Str run, Error *e);
#endif
