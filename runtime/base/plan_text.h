/* Names that the text of a plan uses, for plan_print.c and plan_parse.c alone. */
#ifndef GR_BASE_PLAN_TEXT_H
#define GR_BASE_PLAN_TEXT_H
#include "plan.h"
extern const char *const region_names[REGION_COUNT];
#endif
