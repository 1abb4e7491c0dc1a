// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/missing.h"

#include "common/json_text.h"
#include "supervisor/objects/similar.h"
#include "supervisor/station.h"

/* The files whose id it would be, as far as one can say: an underscore may stand for a folder. */
struct places {
    char file[2][OBJECT_ID_MAX + 4];
    size_t count;
};

static struct places places_of(const char *id)
{
    struct places p = {.count = 1};
    size_t len = strlen(id);
    if (len > 3 && memcmp(id + len - 3, ".py", 3) == 0)
        len -= 3; /* who asks for hello.py means this file */
    memcpy(p.file[0], id, len);
    memcpy(p.file[0] + len, ".py", 4);
    const char *underscore = memchr(id, '_', len);
    if (!underscore || underscore == id || underscore[1] == '.' || underscore + 1 == id + len)
        return p;
    memcpy(p.file[1], p.file[0], sizeof(p.file[0]));
    p.file[1][underscore - id] = '/';
    p.count = 2;
    return p;
}

static void put_extra(struct buf *json, const char *folder, const struct places *p,
                      const struct similar *found)
{
    buf_puts(json, "\"looked_for\":[");
    for (size_t i = 0; i < p->count; i++) {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", folder, p->file[i]);
        if (i)
            buf_putc(json, ',');
        json_put_string(json, buf_str(&path), path.len);
        buf_free(&path);
    }
    buf_puts(json, "],\"similar\":[");
    for (size_t i = 0; i < found->count; i++) {
        const char *id = found->objects[i]->id;
        if (i)
            buf_putc(json, ',');
        json_put_string(json, id, strlen(id));
    }
    buf_putc(json, ']');
}

static void put_text(struct buf *text, const char *id, const char *folder, const struct places *p,
                     const struct similar *found)
{
    buf_printf(text, "no object %s: there is no %s", id, p->file[0]);
    if (p->count > 1)
        buf_printf(text, " or %s", p->file[1]);
    buf_printf(text, " in %s", folder);
    if (id[0] == '_')
        buf_puts(text, " that would be one (files that begin with _ or . are no objects)");
    for (size_t i = 0; i < found->count; i++)
        buf_printf(text, "%s%s", i ? ", " : "; did you mean ", found->objects[i]->id);
    if (found->count)
        buf_putc(text, '?');
}

void missing_object(struct station *station, struct exchange *x, const char *id, struct span rest)
{
    const char *folder = station->config.objects_dir;
    struct buf extra = BUF_INIT, text = BUF_INIT;
    struct places places = places_of(id);
    struct similar found;
    similar_find(station->objects, id, rest, &found);
    put_extra(&extra, folder, &places, &found);
    put_text(&text, id, folder, &places, &found);
    exchange_error(x, 404, buf_str(&extra), "%s", buf_str(&text));
    buf_free(&extra);
    buf_free(&text);
}

/* The object of a path without /objects: all of it as a file's path, or its first part. */
static const struct object *object_of_path(struct object_table *table, struct span path)
{
    char id[OBJECT_ID_MAX];
    while (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    if (path.len < 2)
        return NULL;
    path = (struct span){path.data + 1, path.len - 1};
    const char *slash = memchr(path.data, '/', path.len);
    struct object *o = NULL;
    if (path.len <= sizeof(id)) {
        for (size_t i = 0; i < path.len; i++)
            id[i] = path.data[i] == '/' ? '_' : path.data[i];
        o = object_find(table, id, path.len);
    }
    if (!o && slash)
        o = object_find(table, path.data, (size_t)(slash - path.data));
    return o && o->phase != OBJECT_GONE ? o : NULL;
}

void missing_route(struct station *station, struct exchange *x)
{
    const struct object *o = object_of_path(station->objects, exchange_request(x)->path);
    if (o)
        exchange_error(x, 404, NULL, "no such route; did you mean /objects/%s?", o->id);
    else
        exchange_error(x, 404, NULL, "no such route");
}
