/* The texts of the library, generated from graphs/lib by embed_library.cmake. */
#ifndef GRF_LANG_LIBRARY_H
#define GRF_LANG_LIBRARY_H
#include <stdint.h>
typedef struct { const char *path, *text; uint32_t bytes; } LibraryFile;
extern const LibraryFile library_files[];
extern const uint32_t library_count;
#endif
