/* Two steps of a heavy loop, braided.  The instructions of one step are one long chain (a sigmoid, then a logarithm of
 * it, then a gradient), each waiting for the one before, and a processor looks ahead some hundred instructions: less
 * than the next step is away.  So two steps are emitted one behind the other, and the second is moved between the
 * instructions of the first: the k-th of one follows the k-th of the other.  LLVM's scheduler keeps that order; it does
 * not make it by itself. */
#include "emit.h"

/* lighter steps overlap without; shorter loops are not worth the code */
enum { HEAVY = 60, LONG = 64 * LANES };

/* May the second step begin before the first has ended?  Words that are kept, a health word and elements that are
 * scattered want one after the other. */
bool braid_fits(const Emit *e, const Stage *s) {
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const KInst *in = &e->kernel->insts.at[i];
        if (in->kop == K_WORD || in->kop == K_CHECK || in->kop == K_FAULT ||
            (in->kop == K_STORE && e->kernel->accesses.at[in->access].index != 0))
            return false;
    }
    return true;
}

bool braid_pays(const Emit *e, const Stage *s, int64_t n) {
    return stage_weight(e, s) > HEAVY && n >= LONG && braid_fits(e, s);
}

static Value last_of(const Braid *b) { return LLVMGetLastInstruction(b->block); }
static Value behind(const Braid *b, Value i) {
    return i != NULL ? LLVMGetNextInstruction(i) : LLVMGetFirstInstruction(b->block);
}

Braid braid_first(const Emit *e) {
    Braid b = {.block = LLVMGetInsertBlock(e->b)};
    b.before = last_of(&b);
    return b;
}

void braid_second(Braid *b) { b->first = last_of(b); }

/* A step that branches has left the block: the two stay as they are. */
void braid_close(Emit *e, const Braid *b) {
    if (LLVMGetInsertBlock(e->b) != b->block || b->first == b->before)
        return;
    Value x = behind(b, b->before), y = behind(b, b->first);
    while (y != NULL && x != b->first) {
        Value next_x = LLVMGetNextInstruction(x), next_y = LLVMGetNextInstruction(y);
        LLVMInstructionRemoveFromParent(y);
        LLVMPositionBuilderBefore(e->b, next_x);
        LLVMInsertIntoBuilder(e->b, y);
        x = next_x;
        y = next_y;
    }
    LLVMPositionBuilderAtEnd(e->b, b->block);
}
