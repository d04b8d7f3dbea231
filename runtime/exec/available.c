/* Linux tells what is free in /proc/meminfo; a container or a batch system limits a control group besides, which stands
 * in /proc/self/cgroup, of version 2 ("0::/a/b") or 1 ("4:memory:/a/b").  A group is limited by all above it, too;
 * inside a container its own path may not be there, but the root is.  Pages of files that nobody has used lately count
 * as free: they go when memory is asked for. */
#include "available.h"
#include <stdio.h>
#include <string.h>

typedef struct { const char *mount, *limit, *used, *cached; } Version;
static const Version versions[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "}};

/* The number behind `key`, at the begin of a line; `otherwise` where there is none, as of "max". */
static uint64_t number_in(Str path, const char *key, uint64_t otherwise) {
    FILE *f = fopen(path.s, "re");
    char line[256];
    unsigned long long n = 0;
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%llu", &n) == 1;
    if (f) fclose(f);
    return found ? n : otherwise;
}

static uint64_t of_group(Arena *a, const char *root, const Version *v, Str group) {
    Str folder = str_format(a, "%s%s%.*s", root, v->mount, FSTR(group));
    uint64_t limit = number_in(str_format(a, "%.*s/%s", FSTR(folder), v->limit), "", UINT64_MAX);
    uint64_t used = number_in(str_format(a, "%.*s/%s", FSTR(folder), v->used), "", 0);
    uint64_t cached = number_in(str_format(a, "%.*s/memory.stat", FSTR(folder)), v->cached, 0);
    used -= cached < used ? cached : used;
    return limit == UINT64_MAX ? limit : limit > used ? limit - used : 1;
}

/* The group and all above it. */
static uint64_t of_groups(Arena *a, const char *root, const Version *v, Str group) {
    uint64_t least = UINT64_MAX;
    for (;;) {
        uint64_t x = of_group(a, root, v, group);
        least = x < least ? x : least;
        if (group.n == 0) return least;
        while (group.n > 0 && group.s[group.n - 1] != '/') group.n--;
        group.n -= group.n > 0;
    }
}

static uint64_t limited(Arena *a, const char *root) {
    FILE *f = fopen(str_format(a, "%s/proc/self/cgroup", root).s, "re");
    char line[4096];
    uint64_t least = UINT64_MAX;
    while (f && fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        bool second = controllers[1] == 0, memory = strcmp(controllers + 1, "memory") == 0;
        uint64_t x = second || memory ? of_groups(a, root, &versions[memory], str_of(group)) : UINT64_MAX;
        least = x < least ? x : least;
    }
    if (f) fclose(f);
    return least;
}

uint64_t available_memory(const char *root) {
    Arena *a = arena_create();
    uint64_t kb = number_in(str_format(a, "%s/proc/meminfo", root), "MemAvailable:", 0);
    uint64_t limit = limited(a, root), free = kb * 1024;
    arena_destroy(a);
    return limit == UINT64_MAX || (free > 0 && free < limit) ? free : limit;
}
