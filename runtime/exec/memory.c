/* One mapping an arena.  It starts on a boundary of huge pages, because a page that straddles one is never a
 * huge page: the mapping is made too long by one of them and its ends are given back.  Small ones are not
 * worth a huge page.  One page in front of the arena stays mapped, for vectors that begin before their first
 * element that counts (behind it the plan has slack of its own). */
#include "memory.h"
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t k_huge_page = (uint64_t)2 << 20;

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

GrStatus memory_create(uint64_t bytes, Memory *out, Error *e) {
    *out = (Memory){0};
    if (bytes == 0)
        return GR_OK;
    if (bytes > (uint64_t)1 << 46)
        return fail(e, GR_NOMEM, "the program needs %.1f TB of memory", (double)bytes / 1e12);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), align = bytes >= k_huge_page ? k_huge_page : page;
    uint64_t kept = round_up(bytes, page);
    char *all =
        mmap(NULL, page + kept + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        fail_errno(e, GR_NOMEM, "the program needs %.1f MB of memory", (double)bytes / 1e6);
        fail_help(e, "a smaller batch needs less: `-s batch=...`; `graphc summary` shows where it goes");
        return GR_NOMEM;
    }
    char *start = all + (round_up((uint64_t)(uintptr_t)all + page, align) - (uint64_t)(uintptr_t)all);
    if (start - page > all)
        munmap(all, (size_t)(start - page - all));
    if (start < all + page + align)
        munmap(start + kept, (size_t)(all + page + align - start));
    if (align == k_huge_page)
        madvise(start, kept, MADV_HUGEPAGE);       /* a wish: small pages are slower, not wrong */
    *out = (Memory){start, bytes};
    return GR_OK;
}

void memory_destroy(Memory *m) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (m->at != NULL)
        munmap((char *)m->at - page, page + round_up(m->bytes, page));
    *m = (Memory){0};
}
