/* The book of a run: what its folder and runs.db say of it beside program, weights and metrics.jsonl: run.json,
 * log.txt, metrics.csv.  Kept by whoever trains; it never ends a training: what cannot be written is said once, and the
 * training goes on. */
#ifndef GRF_CLI_BOOK_H
#define GRF_CLI_BOOK_H
#include "job.h"
#include "runs.h"

typedef struct Book Book;
/* What the command line says of a run; sweep and point are empty for one alone. */
typedef struct {
    Str note, fork, sweep, point;
    const Str *tags; uint32_t n_tags;
    bool brief;                            /* it may be over in a moment: nothing is said when it begins anew */
} BookWords;

/* Runs.db is that of the folder above the run's.  A resumed run keeps its words, and gets those that are new.
 * Call when the folder is ours. */
Book *book_open(const Job *j, Str run, bool resumed, const BookWords *words);
void  book_event(Book *b, const TrainProgress *p);
/* The end: its state follows from status, its reason from the message.  Closes the book. */
void  book_close(Book *b, GrStatus status, const Error *e);
/* What `state` will say; NUL-terminated. */
Str   book_state(GrStatus status);
/* As run.json has it; settings are part of the text. */
Str   book_text_hash(Arena *a, const Session *s);
/* Reads all rows once: who trains many runs on the same data keeps it in Job.facts. */
const DataFacts *book_facts(Arena *a, const Job *j);
#endif
