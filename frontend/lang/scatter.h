/* The functions of scatter.c, with arguments x, at, u; NULL: reported. */
#ifndef GRF_LANG_SCATTER_H
#define GRF_LANG_SCATTER_H
#include "lower.h"

V scatter_add(Lower *l, const Expr *e, V const *args);
V scatter_set(Lower *l, const Expr *e, V const *args);
#endif
