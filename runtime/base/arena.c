/* Arenas: a list of blocks, each twice as large as the one before it; a push moves one index.
 *
 * Fresh blocks come zeroed from calloc.  A pop leaves old bytes behind, so each block remembers how far it has ever
 * been written (`dirty`); a push clears only below that line, and large fresh blocks are never touched for nothing.
 * Large ones lie on huge pages: fewer faults, and a process with hundreds of megabytes forks as fast as a small one.
 *
 * Under AddressSanitizer everything that is not pushed is poisoned and pushes are kept apart by a red zone, so a read
 * past the end of one object or of a popped one is reported like any other. */
#include "arena.h"
#include "error.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
enum { RED_ZONE = 16, ALIGN_LEAST = 16 };
#define FORBID(p, n) __asan_poison_memory_region((p), (n))
#define ALLOW(p, n)  __asan_unpoison_memory_region((p), (n))
#else
enum { RED_ZONE = 0, ALIGN_LEAST = 1 };
#define FORBID(p, n) ((void)(p), (void)(n))
#define ALLOW(p, n)  ((void)(p), (void)(n))
#endif

enum { BLOCK_FIRST = 64 << 10, BLOCK_LARGEST = 16 << 20, BLOCK_OF_HUGE_PAGES = 4 << 20, PAGE = 4096 };

typedef struct Block {
    struct Block *before;
    size_t cap, used, dirty;       /* bytes of `at`: all, pushed, ever pushed */
    size_t used_before;            /* bytes pushed in the blocks before this one */
    _Alignas(64) char at[];
} Block;

struct Arena {
    Block *last;
    void (*on_full)(void *user);
    void *user;
};

static _Noreturn void out_of_memory(Arena *a, size_t bytes) {
    if (a != NULL && a->on_full != NULL) {
        a->on_full(a->user);
        GR_BUG("the handler of a full arena returned");
    }
    error_no_memory(bytes);
}

static void wish_huge_pages(Block *b) {
    uintptr_t from = ((uintptr_t)b + PAGE - 1) / PAGE * PAGE, to = ((uintptr_t)b->at + b->cap) / PAGE * PAGE;
    if (b->cap >= BLOCK_OF_HUGE_PAGES)
        madvise((char *)b + (from - (uintptr_t)b), to - from, MADV_HUGEPAGE);
}

static void add_block(Arena *a, size_t need) {
    size_t cap = a->last == NULL ? BLOCK_FIRST : a->last->cap * 2;
    cap = cap > BLOCK_LARGEST ? BLOCK_LARGEST : cap;
    cap = cap < need ? need : cap;
    Block *b = cap > SIZE_MAX - sizeof(Block) ? NULL : calloc(1, sizeof(Block) + cap);
    if (b == NULL)
        out_of_memory(a, need);
    b->before = a->last;
    b->cap = cap;
    wish_huge_pages(b);
    b->used_before = a->last == NULL ? 0 : a->last->used_before + a->last->used;
    FORBID(b->at, cap);
    a->last = b;
}

static void drop_block(Arena *a) {
    Block *b = a->last;
    a->last = b->before;
    ALLOW(b->at, b->cap);
    free(b);
}

Arena *arena_create(void) {
    Arena *a = calloc(1, sizeof *a);
    if (a == NULL)
        out_of_memory(NULL, sizeof *a);
    return a;
}

void arena_destroy(Arena *a) {
    if (a == NULL)
        return;
    while (a->last != NULL)
        drop_block(a);
    free(a);
}

void arena_on_full(Arena *a, void (*on_full)(void *user), void *user) {
    a->on_full = on_full;
    a->user = user;
}

/* Where in the block an object would start, counted from `at`: aligned as an address, not as an offset. */
static size_t start_in(const Block *b, size_t align) {
    uintptr_t at = (uintptr_t)b->at + b->used;
    return b->used + (size_t)(-at & (align - 1));
}

void *arena_push(Arena *a, size_t bytes, size_t align) {
    GR_ASSERT(align != 0 && (align & (align - 1)) == 0);
    align = align < ALIGN_LEAST ? ALIGN_LEAST : align;
    if (bytes > PTRDIFF_MAX - align - RED_ZONE)
        out_of_memory(a, bytes);
    size_t need = bytes + RED_ZONE;
    if (a->last == NULL || start_in(a->last, align) > a->last->cap ||
        a->last->cap - start_in(a->last, align) < need)
        add_block(a, need + align);
    Block *b = a->last;
    size_t start = start_in(b, align);
    b->used = start + need;
    char *p = b->at + start;
    ALLOW(p, bytes);
    if (start < b->dirty)
        memset(p, 0, b->dirty - start < bytes ? b->dirty - start : bytes);
    b->dirty = b->dirty < b->used ? b->used : b->dirty;
    return p;
}

size_t arena_bytes(const Arena *a) {
    return a->last == NULL ? 0 : a->last->used_before + a->last->used;
}

ArenaMark arena_mark(Arena *a) {
    return (ArenaMark){a, a->last, a->last == NULL ? 0 : a->last->used};
}

void arena_pop(ArenaMark m) {
    Arena *a = m.arena;
    while (a->last != m.block) {
        GR_ASSERT(a->last != NULL);              /* marks are popped last made first */
        drop_block(a);
    }
    if (a->last == NULL)
        return;
    GR_ASSERT(m.used <= a->last->used);
    FORBID(a->last->at + m.used, a->last->cap - m.used);
    a->last->used = m.used;
}

void vec_grow_(Arena *a, void **at, uint32_t *cap, size_t item_bytes, uint32_t need) {
    GR_ASSERT(need != 0);                        /* 2^32 items: the count wrapped */
    uint64_t more = *cap < 8 ? 8 : (uint64_t)*cap * 2;
    more = more < need ? need : more > UINT32_MAX ? UINT32_MAX : more;
    if (more > PTRDIFF_MAX / item_bytes)
        out_of_memory(a, SIZE_MAX);
    void *to = arena_push(a, (size_t)more * item_bytes, _Alignof(max_align_t));
    if (*cap != 0)
        memcpy(to, *at, *cap * item_bytes);
    *at = to;
    *cap = (uint32_t)more;
}
