/* See fuzz_guard.h. */
#define _GNU_SOURCE 1
#include "fuzz_guard.h"
#include "error.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

Guard *guard_create(void) {
    void *at = mmap(NULL, sizeof(Guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    GR_ASSERT(at != MAP_FAILED);
    return at;
}

const char *guard_end_name(GuardEnd e) {
    switch (e) {
    case GUARD_WELL: return "nothing";
    case GUARD_FINDING: return "finding";
    case GUARD_CRASH: return "crash";
    case GUARD_HANG: return "hang";
    }
    return "?";
}

static void keep_last_words(Guard *g, FILE *words) {
    rewind(words);
    size_t n = fread(g->what, 1, GUARD_WHAT - 1, words);
    g->what[n] = '\0';
}

GuardEnd guard_run(Guard *g, void (*work)(void *user, Guard *g), void *user, unsigned seconds) {
    g->finding = false;
    g->what[0] = '\0';
    FILE *words = tmpfile();
    GR_ASSERT(words != NULL);
    fflush(stdout);
    pid_t child = fork();
    GR_ASSERT(child >= 0);
    if (child == 0) {
        dup2(fileno(words), STDERR_FILENO);
        alarm(seconds);
        work(user, g);
        _exit(0);
    }
    int status = 0;
    GR_ASSERT(waitpid(child, &status, 0) == child);
    GuardEnd end = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? GUARD_HANG
                   : !WIFEXITED(status) || WEXITSTATUS(status) != 0   ? GUARD_CRASH
                   : g->finding                                       ? GUARD_FINDING
                                                                      : GUARD_WELL;
    if (end == GUARD_CRASH)
        keep_last_words(g, words);
    fclose(words);
    return end;
}
