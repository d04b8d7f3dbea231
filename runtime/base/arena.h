/* Arenas: memory by lifetime.  A function that returns memory takes the arena as its first argument; nobody frees
 * pieces; whoever made the arena destroys it.  Memory is zeroed.  arena_push never returns NULL: when the system has
 * no more memory the arena's `on_full` is called (it does not return: it longjmps to the API boundary or exits). */
#ifndef GR_BASE_ARENA_H
#define GR_BASE_ARENA_H
#include <stddef.h>
#include <stdint.h>

typedef struct Arena Arena;
typedef struct { Arena *arena; void *block; size_t used; } ArenaMark;

Arena *arena_create(void);
void   arena_destroy(Arena *a);                    /* NULL is fine */
void  *arena_push(Arena *a, size_t bytes, size_t align);
size_t arena_bytes(const Arena *a);                /* pushed so far */
void   arena_on_full(Arena *a, void (*on_full)(void *user), void *user);
ArenaMark arena_mark(Arena *a);                    /* scratch scope: everything pushed after the mark ... */
void   arena_pop(ArenaMark m);                     /* ... goes at once */

#define PUSH(arena, T, n) ((T *)arena_push((arena), sizeof(T) * (size_t)(n), _Alignof(T)))

/* Growable array in an arena: `VEC(int) v = {0}; vec_push(arena, &v, 3); v.at[0]`.
 * A pointer into `at` does not survive a push. */
#define VEC(T) struct { T *at; uint32_t n, cap; }
#define vec_push(arena, v, ...)                                                                        \
    ((v)->n == (v)->cap ? vec_grow_((arena), (void **)&(v)->at, &(v)->cap, sizeof *(v)->at, (v)->n + 1) : (void)0, \
     (void)((v)->at[(v)->n++] = (__VA_ARGS__)))
#define vec_reserve(arena, v, count)                                                                   \
    ((v)->cap < (uint32_t)(count)                                                                      \
         ? vec_grow_((arena), (void **)&(v)->at, &(v)->cap, sizeof *(v)->at, (uint32_t)(count)) : (void)0)
void vec_grow_(Arena *a, void **at, uint32_t *cap, size_t item_bytes, uint32_t need);
#endif
