/* Texts that are put into the program when it is built, by embed_texts.cmake: the library of graphs/lib, what
 * docs/kinds says about the kinds of diagnostics, and the file that `graphc new` writes. */
#ifndef GRF_LANG_LIBRARY_H
#define GRF_LANG_LIBRARY_H
#include <stdint.h>
typedef struct { const char *path, *text; uint32_t bytes; } EmbeddedFile;
extern const EmbeddedFile lib_files[], kinds_files[], start_files[];
extern const uint32_t lib_count, kinds_count, start_count;
#endif
