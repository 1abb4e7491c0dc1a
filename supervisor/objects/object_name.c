// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/object_name.h"

#include "supervisor/station.h"

#include <stdio.h>

static struct object *living(struct station *station, const char *id, size_t len)
{
    struct object *o = object_find(station->objects, id, len);
    return o && o->phase != OBJECT_GONE ? o : NULL;
}

static bool has_suffix(struct span text)
{
    return text.len > 3 && memcmp(text.data + text.len - 3, ".py", 3) == 0;
}

/* "anything/advanced/auth.py": the longest end of it that is an object's file. */
static struct object *find_by_path(struct station *station, struct span path)
{
    char id[OBJECT_ID_MAX + 1];
    struct object *found = NULL;
    while (path.len > 0 && !found) {
        char text[OBJECT_ID_MAX + sizeof(".py")];
        const char *suffix = has_suffix(path) ? "" : ".py";
        int len = snprintf(text, sizeof(text), "%.*s%s", (int)path.len, path.data, suffix);
        if ((size_t)len < sizeof(text) && object_id_of_path(text, id))
            found = living(station, id, strlen(id));
        const char *slash = memchr(path.data, '/', path.len);
        size_t skip = slash ? (size_t)(slash - path.data) + 1 : path.len;
        path = (struct span){path.data + skip, path.len - skip};
    }
    return found;
}

static bool is_path(struct span text)
{
    return memchr(text.data, '/', text.len) || has_suffix(text);
}

struct object *object_name_find(struct station *station, struct span text, struct object_name *name)
{
    const char *at = text.len ? memchr(text.data, '@', text.len) : NULL;
    struct span id = {text.data, at ? (size_t)(at - text.data) : text.len};
    int shown = (int)(text.len < OBJECT_ID_MAX ? text.len : OBJECT_ID_MAX);
    *name = (struct object_name){0};
    if (at &&
        !span_equal((struct span){at + 1, text.len - id.len - 1}, station->config.station_id)) {
        name->is_elsewhere = true;
        snprintf(name->problem, sizeof(name->problem), "the station of %.*s is not known", shown,
                 text.data);
        return NULL;
    }
    struct object *o = living(station, id.data, id.len);
    if (!o && id.len && is_path(id))
        o = find_by_path(station, id);
    if (!o)
        snprintf(name->problem, sizeof(name->problem), "no object %.*s", shown, text.data);
    return o;
}
