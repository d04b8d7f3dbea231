/* Words of the kernel text, shared by the printer and the parser of this folder, and nobody else. */
#ifndef GRC_KERNEL_TEXT_H
#define GRC_KERNEL_TEXT_H
#include "kernel.h"

extern const char *const kbuf_role_names[KBUF_HEALTH + 1];
extern const char *const kop_names[KOP_COUNT];
extern const char *const stage_names[STAGE_FOLD + 1];
extern const char *const reduce_names[REDUCE_COUNT];
uint32_t math_args(MathFn f);
bool     stage_reduces(StageKind k);             /* has a reduce kind: reduce, accum, fold */
bool     stage_has_dag(StageKind k);             /* all but tile and fold */
uint32_t inst_operands(const KInst *in);         /* of in[] that are plain instruction numbers */
bool     inst_guarded(const KInst *in);          /* in[inst_operands] is 1 + guard or 0 */
bool     inst_gives_value(const KInst *in);
bool     access_same(const KAccess *x, const KAccess *y);   /* the same address, written the same way */
/* Has each point of the stage's axes, but for the first ones, an element of its own there? */
bool     access_apart(const Kernel *k, const Stage *s, const KAccess *a, uint32_t from);
const char *kernel_disorder(const Kernel *k, const Stage *s);    /* what is seen of its schedule; NULL: nothing */
#endif
