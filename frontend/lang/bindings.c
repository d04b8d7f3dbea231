/* The names bound in a frame, in the order in which they came.  A few are looked through, from the latest; once there
 * are more, their places stand in a table beside them.  List and table change together, so nothing outside of this
 * file adds a name, takes one out or moves one; others only read them and set the values they have. */
#include "lower.h"

enum { LOOKED_THROUGH = 16 };

static void note(Lower *l, Frame *f, uint32_t place) {
    if (f->places.n_slots > 0) {
        strmap_put(l->a, &f->places, f->names.at[place].name, place + 1);
        return;
    }
    for (uint32_t i = 0; f->names.n > LOOKED_THROUGH && i < f->names.n; i++) {
        strmap_put(l->a, &f->places, f->names.at[i].name, i + 1);
    }
}

Binding *scope_find(Frame *f, Str name) {
    if (f->places.n_slots > 0) {
        uint32_t place = strmap_get(&f->places, name);
        return place ? &f->names.at[place - 1] : NULL;
    }
    for (uint32_t i = f->names.n; i-- > 0;) {
        if (str_eq(f->names.at[i].name, name)) {
            return &f->names.at[i];
        }
    }
    return NULL;
}

void scope_add(Lower *l, Frame *f, Binding b) {
    vec_push(l->a, &f->names, b);
    note(l, f, f->names.n - 1);
}

void scope_bind(Lower *l, Name name, V value) {
    if (str_is(name.text, "_")) {
        return;
    }
    if (l->peek) {
        peek_note(l, name, value);
    }
    Binding *b = scope_find(l->frame, name.text), made = {.name = name.text, .value = value, .at = name.at};
    if (b) {
        *b = made;
    } else {
        scope_add(l, l->frame, made);
    }
}

/* The last one comes to its place. */
void scope_unbind(Lower *l, Str name) {
    Frame *f = l->frame;
    Binding *b = scope_find(f, name);
    if (b == NULL) {
        return;
    }
    if (f->places.n_slots > 0) {
        strmap_put(l->a, &f->places, name, 0);
    }
    *b = f->names.at[--f->names.n];
    if (b < f->names.at + f->names.n) {
        note(l, f, (uint32_t)(b - f->names.at));
    }
}

Bindings scope_save(Lower *l) {
    const Frame *f = l->frame;
    Bindings saved = {f->names.n, PUSH(l->a, Binding, f->names.n + 1)};
    for (uint32_t i = 0; i < saved.n; i++) {
        saved.at[i] = f->names.at[i];
    }
    return saved;
}

/* A table cannot say which names came since, so it is made anew. */
void scope_restore(Lower *l, Bindings saved) {
    Frame *f = l->frame;
    f->names.n = 0;
    f->places = (StrMap){0};
    for (uint32_t i = 0; i < saved.n; i++) {
        scope_add(l, f, saved.at[i]);
    }
}
