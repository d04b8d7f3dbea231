/* The code of a large library, given back to the system after use: it is in the page cache still, and its pages come
 * again when they are run.  Pages that were written to (relocations, variables) stay. */
#define _GNU_SOURCE
#include "mapped.h"
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int drop_code(struct dl_phdr_info *library, size_t size, void *name) {
    (void)size;
    if (strstr(library->dlpi_name, name) == NULL)
        return 0;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W) != 0)
            continue;
        uintptr_t begin = library->dlpi_addr + part->p_vaddr, from = (begin + page - 1) / page * page;
        uintptr_t to = (begin + part->p_memsz) / page * page;
        if (to > from)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

void mapped_drop_code(const char *library) {
    dl_iterate_phdr(drop_code, (void *)library);
}
