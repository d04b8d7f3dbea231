/* x + sin(x), and what its gradient makes of a cotangent. */
#include <math.h>
#include <stdint.h>

void wobble(const float *x, float *y, int64_t K)
{
    for (int64_t k = 0; k < K; k++)
        y[k] = x[k] + sinf(x[k]);
}

void wobble_back(const float *x, const float *y, const float *dy, float *dx, int64_t K)
{
    (void)y;
    for (int64_t k = 0; k < K; k++)
        dx[k] = dy[k] * (1 + cosf(x[k]));
}
