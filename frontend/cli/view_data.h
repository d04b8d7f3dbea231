/* A data set shown: where its rows come from, its splits, its columns; and what is wrong with them, as diagnostics. */
#ifndef GRF_CLI_VIEW_DATA_H
#define GRF_CLI_VIEW_DATA_H
#include "json_text.h"
#include "run.h"
#include "survey.h"

typedef struct {
    Session *s;
    bool json;                       /* an object a line */
    Diags *found;
    const Dataset *d;
    const bool *seen;                /* by column of the set: an objective sees it */
    ColumnSurvey *columns;           /* column by column, of each split */
    int64_t *constant;               /* by column: places of a row that are the same in all rows */
    int64_t **classes;               /* as `columns`; NULL: the column has none */
    Twins twins;
} DataLook;
/* All that is measured; d and seen are set. */
void data_measure(DataLook *v);
/* All columns are in the set, in the order of the text. */
const RecipeColumn *data_declared(const DataLook *v, uint32_t column);
const ColumnSurvey *data_survey(const DataLook *v, uint32_t column, uint32_t split);

void data_print(const DataLook *v);
/* Into `found`. */
void data_judge(const DataLook *v);
#endif
