/* Where columns lie: in memory as long as a data set takes less than it may, and beyond that in a file that has no name
 * any more and is mapped.  For who reads and writes them it is all the same; the file's pages are not this process's
 * memory, the system takes them away when it needs them. */
#ifndef GRR_DATA_ROOM_H
#define GRR_DATA_ROOM_H
#include "error.h"

typedef struct Room Room;

/* most: bytes in memory, the rest goes into files; 0: half of what the machine has. */
Room    *room_create(Arena *a, uint64_t most);
/* Zeros, aligned to BUFFER_ALIGN, from the arena or from a file.  GR_IO: the disk has no place for it. */
GrStatus room_take(Room *r, Arena *a, size_t bytes, char **out, Error *e);
/* So many bytes were just read or written: when the pages of files add up, they are let go.  NULL: there are none. */
void     room_used(Room *r, size_t bytes);
void     room_rest(Room *r);                 /* all of them */
/* Rows of a column that the room holds, one behind the other. */
void     room_gather(Room *r, const char *column, size_t row_bytes, const uint32_t *rows, int64_t n, char *to);
uint64_t room_filed(const Room *r);          /* bytes that lie in files */
/* What lies in files is gone. */
void     room_close(Room *r);
#endif
