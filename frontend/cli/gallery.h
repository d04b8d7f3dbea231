/* What a training shows beside numbers: histograms of watched tensors, and what exports make of images, in its event
 * file; the latest images also as images-EXPORT.png in its folder. */
#ifndef GRF_CLI_GALLERY_H
#define GRF_CLI_GALLERY_H
#include "events.h"
#include "job.h"

typedef struct Gallery Gallery;
/* NULL without an error: the program watches nothing and makes no images. */
GrStatus gallery_open(const Job *j, Str run, Gallery **out, Error *e);
/* Of the weights as they are now, on the first rows of `val` (or `train`); `step` is that of the event. */
GrStatus gallery_show(Gallery *g, const TrainProgress *p, int64_t step, Events *events, Error *e);
void     gallery_close(Gallery *g);                            /* NULL is fine */
/* It would take too large a share of the training, which has run for so many seconds. */
bool     gallery_rests(const Gallery *g, double seconds);
#endif
