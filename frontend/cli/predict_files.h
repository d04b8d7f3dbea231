/* graphc predict F --run DIR IN.npy .. OUT.npy ..: an export on rows from files, into files. */
#ifndef GRF_CLI_PREDICT_FILES_H
#define GRF_CLI_PREDICT_FILES_H
#include "cli.h"

/* Files of the export's arguments, then of its results, in the order of the text. */
GrStatus predict_files(Session *s, const Common *c, const char *run, const RecipeExport *export, uint32_t n_files,
                       char *const *files, Error *e);
#endif
