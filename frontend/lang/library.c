/* The library: every .graph file of graphs/lib, put into the program when it is built, parsed at every start.
 * Together they are one scope, and their spans one range. */
#include "library.h"
#include "lower.h"

void library_load(Program *p, Diags *ds) {
    for (uint32_t i = 0; i < lib_count; i++) {
        const EmbeddedFile *f = &lib_files[i];
        const Source *s = sources_add(p->sources, str_of(f->path), (Str){f->text, f->bytes});
        const AstFile *file = parse_source(p->arena, s, ds);
        p->library_lo = i == 0 ? s->base : p->library_lo;
        p->library_hi = s->base + s->text.n;
        for (uint32_t k = 0; k < file->decls.n; k++) {
            scope_declare(p, &p->library, file->decls.at[k]);
        }
    }
}
