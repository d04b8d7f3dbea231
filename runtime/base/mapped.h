/* Memory of loaded libraries. */
#ifndef GR_BASE_MAPPED_H
#define GR_BASE_MAPPED_H
/* Of all libraries with this in their path. */
void mapped_drop_code(const char *library);
#endif
