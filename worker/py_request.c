// SPDX-License-Identifier: Apache-2.0
#include "worker/py_request.h"

#include "common/head.h"
#include "worker/py_json.h"
#include "worker/py_logger.h"
#include "worker/py_request_parts.h"
#include "worker/py_response.h"
#include "worker/py_runtime.h"

#include <stdio.h>
#include <unistd.h>

/* What is built on first use and kept. */
enum slot {
    SLOT_METHOD,
    SLOT_PATH,
    SLOT_PATH_PARTS,
    SLOT_QUERY_PAIRS,
    SLOT_QUERY,
    SLOT_JSON,
    SLOT_FORM_PAIRS,
    SLOT_FORMS,
    SLOT_FILES,
    SLOT_HEADERS,
    SLOT_COOKIES,
    SLOT_BODY,
    SLOT_USER,
    SLOT_REQUEST_ID,
    SLOT_REMOTE_ADDR,
    SLOT_CALLER,
    SLOT_RESPONSE,
    SLOTS,
};

enum body_kind { BODY_UNKNOWN, BODY_NONE, BODY_JSON, BODY_FORM, BODY_MULTIPART, BODY_OTHER };

struct request {
    PyDictObject dict;
    PyObject *attributes; /* __dict__: what handlers attach */
    struct rpc_call call; /* spans into the frame, or into `own` */
    char *own;
    uint64_t id;
    int body_fd; /* -1: the body is in call.body */
    enum body_kind body_kind;
    PyObject *slots[SLOTS];
};

static PyTypeObject request_type;
static PyObject *no_arguments;

static struct request *as_request(PyObject *self)
{
    return (struct request *)self;
}

PyObject *py_request_new(uint64_t id, const struct rpc_call *call, int body_fd)
{
    struct request *r = (struct request *)PyDict_Type.tp_new(&request_type, no_arguments, NULL);
    if (!r) {
        if (body_fd >= 0)
            close(body_fd);
        return NULL;
    }
    r->call = *call;
    r->id = id;
    r->body_fd = body_fd;
    if (call->body.len == 0 && body_fd < 0)
        r->body_kind = BODY_NONE;
    return (PyObject *)r;
}

/* --- keeping it beyond the turn --- */

static void move_span(struct span *s, char **at)
{
    if (s->len > 0)
        memcpy(*at, s->data, s->len);
    s->data = *at;
    *at += s->len;
}

void py_request_detach(PyObject *self)
{
    struct request *r = as_request(self);
    struct rpc_call *c = &r->call;
    struct span *spans[] = {&c->method,      &c->target,     &c->head, &c->body,
                            &c->remote_addr, &c->request_id, &c->user, &c->caller};
    size_t count = sizeof(spans) / sizeof(spans[0]), size = 1;
    if (Py_REFCNT(self) == 1 || r->own)
        return;
    for (size_t i = 0; i < count; i++)
        size += spans[i]->len;
    char *at = r->own = PyMem_RawMalloc(size);
    for (size_t i = 0; i < count; i++) {
        if (at)
            move_span(spans[i], &at);
        else
            *spans[i] = (struct span){"", 0}; /* no memory: it is empty from now on */
    }
    if (!at)
        c->path_skip = 0;
}

/* --- pieces of the call --- */

static struct span whole_path(const struct rpc_call *c)
{
    const char *mark = c->target.len ? memchr(c->target.data, '?', c->target.len) : NULL;
    return (struct span){c->target.data, mark ? (size_t)(mark - c->target.data) : c->target.len};
}

static struct span query_text(const struct rpc_call *c)
{
    size_t path = whole_path(c).len;
    if (path == c->target.len)
        return (struct span){"", 0};
    return (struct span){c->target.data + path + 1, c->target.len - path - 1};
}

static PyObject *text_or_none(struct span s)
{
    if (s.len == 0)
        Py_RETURN_NONE;
    return py_text(s.data, s.len);
}

static PyObject *cached(struct request *r, enum slot slot);

static PyObject *build_method(struct request *r)
{
    return py_text(r->call.method.data, r->call.method.len);
}

static PyObject *build_path(struct request *r)
{
    return py_request_parts_text(whole_path(&r->call), false);
}

static PyObject *build_path_parts(struct request *r)
{
    struct span path = whole_path(&r->call);
    size_t skip = r->call.path_skip < path.len ? r->call.path_skip : path.len;
    return py_request_parts_segments((struct span){path.data + skip, path.len - skip});
}

static PyObject *build_query_pairs(struct request *r)
{
    return py_request_parts_pairs(query_text(&r->call));
}

static PyObject *dict_of_slot(struct request *r, enum slot slot)
{
    PyObject *pairs = cached(r, slot);
    PyObject *dict = pairs ? py_request_parts_dict(pairs) : NULL;
    Py_XDECREF(pairs);
    return dict;
}

static PyObject *build_query(struct request *r)
{
    return dict_of_slot(r, SLOT_QUERY_PAIRS);
}

static PyObject *build_headers(struct request *r)
{
    return py_request_parts_headers(r->call.head);
}

static PyObject *build_cookies(struct request *r)
{
    return py_request_parts_cookies(r->call.head);
}

static PyObject *build_user(struct request *r)
{
    return text_or_none(r->call.user);
}

static PyObject *build_remote_addr(struct request *r)
{
    return text_or_none(r->call.remote_addr);
}

static PyObject *build_caller(struct request *r)
{
    return text_or_none(r->call.caller);
}

static PyObject *build_request_id(struct request *r)
{
    const struct runtime_facts *facts = py_runtime_facts();
    char tail[48];
    if (r->call.request_id.len > 0)
        return py_text(r->call.request_id.data, r->call.request_id.len);
    snprintf(tail, sizeof(tail), "-%llx-%llx", (unsigned long long)facts->boot,
             (unsigned long long)r->id);
    return PyUnicode_FromFormat("%U%s", facts->station_id, tail);
}

static PyObject *build_response(struct request *r)
{
    (void)r;
    return py_response_new();
}

/* --- the body --- */

static enum body_kind kind_of(struct span content_type)
{
    struct span type = head_media_type(content_type);
    if (head_is_json(type))
        return BODY_JSON;
    if (head_name_is(type, "application/x-www-form-urlencoded"))
        return BODY_FORM;
    if (head_name_is(type, "multipart/form-data"))
        return BODY_MULTIPART;
    return BODY_OTHER;
}

static struct span content_type_of(struct request *r)
{
    struct span value = {"", 0};
    head_find(r->call.head, "content-type", &value);
    return value;
}

static enum body_kind body_kind(struct request *r)
{
    if (r->body_kind == BODY_UNKNOWN)
        r->body_kind = kind_of(content_type_of(r));
    return r->body_kind;
}

static PyObject *build_body(struct request *r)
{
    PyObject *body = py_request_parts_body(r->call.body, r->body_fd, r->call.body_size);
    if (body && r->body_fd >= 0) {
        close(r->body_fd);
        r->body_fd = -1;
    }
    return body;
}

/* The body's bytes; *owner keeps them alive. 0 or -1. */
static int body_bytes(struct request *r, struct span *bytes, PyObject **owner)
{
    *owner = NULL;
    *bytes = r->call.body;
    if (r->body_fd < 0 && !r->slots[SLOT_BODY])
        return 0;
    *owner = cached(r, SLOT_BODY);
    if (!*owner)
        return -1;
    *bytes = (struct span){PyBytes_AS_STRING(*owner), (size_t)PyBytes_GET_SIZE(*owner)};
    return 0;
}

static PyObject *build_json(struct request *r)
{
    struct span text;
    PyObject *owner;
    if (body_kind(r) != BODY_JSON)
        Py_RETURN_NONE;
    if (body_bytes(r, &text, &owner) < 0)
        return NULL;
    PyObject *value = py_json_decode(text.data, text.len);
    Py_XDECREF(owner);
    return value;
}

static void keep(struct request *r, enum slot slot, PyObject *value)
{
    Py_XSETREF(r->slots[slot], value);
}

static int read_multipart(struct request *r)
{
    PyObject *fields, *files, *body = cached(r, SLOT_BODY);
    int err = body ? py_request_parts_multipart(body, content_type_of(r), &fields, &files) : -1;
    Py_XDECREF(body);
    if (err < 0)
        return -1;
    keep(r, SLOT_FORM_PAIRS, fields);
    keep(r, SLOT_FILES, files);
    return 0;
}

static PyObject *take_slot(struct request *r, enum slot slot)
{
    PyObject *value = r->slots[slot];
    Py_XINCREF(value);
    return value;
}

/* What curl -d sends without a Content-Type: said in the object's log, where its author looks. */
static void hint_at_json(struct span text)
{
    static const char hint[] = "the body looks like JSON but was sent as form fields; the client "
                               "has to send Content-Type: application/json";
    if (text.len > 1 && text.data[0] == '{' && text.data[text.len - 1] == '}')
        py_logger_write("WARNING", span_of(hint), NULL);
}

static PyObject *build_form_pairs(struct request *r)
{
    struct span text;
    PyObject *owner;
    if (body_kind(r) == BODY_MULTIPART)
        return read_multipart(r) < 0 ? NULL : take_slot(r, SLOT_FORM_PAIRS);
    if (body_kind(r) != BODY_FORM)
        return PyList_New(0);
    if (body_bytes(r, &text, &owner) < 0)
        return NULL;
    hint_at_json(text);
    PyObject *pairs = py_request_parts_pairs(text);
    Py_XDECREF(owner);
    return pairs;
}

static PyObject *build_forms(struct request *r)
{
    return dict_of_slot(r, SLOT_FORM_PAIRS);
}

static PyObject *build_files(struct request *r)
{
    if (body_kind(r) != BODY_MULTIPART)
        return PyDict_New();
    return read_multipart(r) < 0 ? NULL : take_slot(r, SLOT_FILES);
}

static PyObject *(*const builders[SLOTS])(struct request *r) = {
    [SLOT_METHOD] = build_method,
    [SLOT_PATH] = build_path,
    [SLOT_PATH_PARTS] = build_path_parts,
    [SLOT_QUERY_PAIRS] = build_query_pairs,
    [SLOT_QUERY] = build_query,
    [SLOT_JSON] = build_json,
    [SLOT_FORM_PAIRS] = build_form_pairs,
    [SLOT_FORMS] = build_forms,
    [SLOT_FILES] = build_files,
    [SLOT_HEADERS] = build_headers,
    [SLOT_COOKIES] = build_cookies,
    [SLOT_BODY] = build_body,
    [SLOT_USER] = build_user,
    [SLOT_REQUEST_ID] = build_request_id,
    [SLOT_REMOTE_ADDR] = build_remote_addr,
    [SLOT_CALLER] = build_caller,
    [SLOT_RESPONSE] = build_response,
};

/* A new reference. */
static PyObject *cached(struct request *r, enum slot slot)
{
    if (!r->slots[slot]) {
        PyObject *built = builders[slot](r);
        if (!built)
            return NULL;
        keep(r, slot, built);
    }
    return take_slot(r, slot);
}

/* --- the dict --- */

static int merge_slot(struct request *r, enum slot slot)
{
    PyObject *value = cached(r, slot);
    int err = value ? 0 : -1;
    if (value && PyDict_Check(value))
        err = PyDict_Update((PyObject *)r, value);
    Py_XDECREF(value);
    return err;
}

static int merge_body(struct request *r)
{
    switch (body_kind(r)) {
    case BODY_JSON:
        return merge_slot(r, SLOT_JSON);
    case BODY_FORM:
    case BODY_MULTIPART:
        return merge_slot(r, SLOT_FORMS);
    default:
        return 0;
    }
}

int py_request_fill(PyObject *self)
{
    struct request *r = as_request(self);
    if (merge_body(r) < 0)
        return -1;
    bool has_data = PyDict_GET_SIZE(self) > 0;
    return has_data || query_text(&r->call).len == 0 ? 0 : merge_slot(r, SLOT_QUERY);
}

/* Given once, and not twice with the same name. */
static bool is_one_pair(struct request *r, enum slot slot)
{
    PyObject *pairs = r->slots[slot];
    return pairs && PyList_GET_SIZE(pairs) == 1;
}

bool py_request_is_single(PyObject *self, bool *from_query)
{
    struct request *r = as_request(self);
    PyObject *files = r->slots[SLOT_FILES];
    *from_query = false;
    if (PyDict_GET_SIZE(self) != 1)
        return false;
    switch (body_kind(r)) {
    case BODY_JSON:
        return r->slots[SLOT_JSON] && PyDict_Check(r->slots[SLOT_JSON]) &&
               PyDict_GET_SIZE(r->slots[SLOT_JSON]) == 1;
    case BODY_FORM:
    case BODY_MULTIPART:
        return is_one_pair(r, SLOT_FORM_PAIRS) && !(files && PyDict_GET_SIZE(files) > 0);
    case BODY_NONE:
        *from_query = true;
        return is_one_pair(r, SLOT_QUERY_PAIRS);
    default:
        return false;
    }
}

PyObject *py_request_id(PyObject *self)
{
    return cached(as_request(self), SLOT_REQUEST_ID);
}

PyObject *py_request_response(PyObject *self)
{
    return as_request(self)->slots[SLOT_RESPONSE];
}

/* --- the type --- */

static PyObject *get_slot(PyObject *self, void *closure)
{
    return cached(as_request(self), (enum slot)(uintptr_t)closure);
}

static PyObject *get_station_id(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    PyObject *id = py_runtime_facts()->station_id;
    Py_INCREF(id);
    return id;
}

static PyObject *request_get_header(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "default", NULL};
    const char *name;
    PyObject *otherwise = Py_None;
    struct span value;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O:get_header", names, &name, &otherwise))
        return NULL;
    if (head_find(as_request(self)->call.head, name, &value))
        return py_text(value.data, value.len);
    Py_INCREF(otherwise);
    return otherwise;
}

static int append_values(PyObject *list, PyObject *pairs, PyObject *name)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), name, Py_EQ);
        if (same < 0 || (same && PyList_Append(list, PyTuple_GET_ITEM(pair, 1)) < 0))
            return -1;
    }
    return 0;
}

static PyObject *values_of(PyObject *self, enum slot slot, PyObject *name)
{
    PyObject *pairs = cached(as_request(self), slot);
    PyObject *list = pairs ? PyList_New(0) : NULL;
    if (list && append_values(list, pairs, name) < 0)
        Py_CLEAR(list);
    Py_XDECREF(pairs);
    return list;
}

static PyObject *request_query_list(PyObject *self, PyObject *name)
{
    return values_of(self, SLOT_QUERY_PAIRS, name);
}

static PyObject *request_form_list(PyObject *self, PyObject *name)
{
    return values_of(self, SLOT_FORM_PAIRS, name);
}

static PyMethodDef request_methods[] = {
    {"get_header", (PyCFunction)(void (*)(void))request_get_header, METH_VARARGS | METH_KEYWORDS,
     "get_header(name, default=None)"},
    {"query_list", request_query_list, METH_O, "query_list(name): every value of the parameter"},
    {"form_list", request_form_list, METH_O, "form_list(name): every value of the form field"},
    {NULL, NULL, 0, NULL},
};

#define SLOT_ATTRIBUTE(name, slot, doc)                      \
    {                                                        \
        name, get_slot, NULL, doc, (void *)(uintptr_t)(slot) \
    }

static PyGetSetDef request_attributes[] = {
    SLOT_ATTRIBUTE("method", SLOT_METHOD, "\"GET\", …"),
    SLOT_ATTRIBUTE("path", SLOT_PATH, "decoded path"),
    SLOT_ATTRIBUTE("path_parts", SLOT_PATH_PARTS, "segments behind the object's id"),
    SLOT_ATTRIBUTE("query", SLOT_QUERY, "dict of the query; the last of repeated names"),
    SLOT_ATTRIBUTE("json", SLOT_JSON, "the parsed body, or None"),
    SLOT_ATTRIBUTE("forms", SLOT_FORMS, "dict of the form fields"),
    SLOT_ATTRIBUTE("form", SLOT_FORMS, "the same"),
    SLOT_ATTRIBUTE("POST", SLOT_FORMS, "the same"),
    SLOT_ATTRIBUTE("files", SLOT_FILES, "uploads by field name"),
    SLOT_ATTRIBUTE("headers", SLOT_HEADERS, "case-insensitive dict"),
    SLOT_ATTRIBUTE("cookies", SLOT_COOKIES, "dict"),
    SLOT_ATTRIBUTE("body", SLOT_BODY, "bytes that also have read()"),
    SLOT_ATTRIBUTE("user", SLOT_USER, "who, as authenticated; None: nobody"),
    SLOT_ATTRIBUTE("request_id", SLOT_REQUEST_ID, "of the client, or one of ours"),
    SLOT_ATTRIBUTE("remote_addr", SLOT_REMOTE_ADDR, "address of the client"),
    SLOT_ATTRIBUTE("caller", SLOT_CALLER, "id of the object that calls; None: a client"),
    SLOT_ATTRIBUTE("response", SLOT_RESPONSE, "status, content_type, headers, set_cookie"),
    {"station_id", get_station_id, NULL, "the station that runs this", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static int request_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct request *r = as_request(self);
    Py_VISIT(r->attributes);
    for (size_t i = 0; i < SLOTS; i++)
        Py_VISIT(r->slots[i]);
    return PyDict_Type.tp_traverse(self, visit, arg);
}

static int request_clear(PyObject *self)
{
    struct request *r = as_request(self);
    Py_CLEAR(r->attributes);
    for (size_t i = 0; i < SLOTS; i++)
        Py_CLEAR(r->slots[i]);
    return PyDict_Type.tp_clear(self);
}

static void request_dealloc(PyObject *self)
{
    struct request *r = as_request(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(r->attributes);
    for (size_t i = 0; i < SLOTS; i++)
        Py_CLEAR(r->slots[i]);
    PyMem_RawFree(r->own);
    if (r->body_fd >= 0)
        close(r->body_fd);
    PyDict_Type.tp_dealloc(self);
}

static PyTypeObject request_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Request",
    .tp_basicsize = sizeof(struct request),
    .tp_dictoffset = offsetof(struct request, attributes),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The data of a call, with attributes for the rest of it.",
    .tp_methods = request_methods,
    .tp_getset = request_attributes,
    .tp_traverse = request_traverse,
    .tp_clear = request_clear,
    .tp_dealloc = request_dealloc,
};

int py_request_init(void)
{
    request_type.tp_base = &PyDict_Type;
    no_arguments = PyTuple_New(0);
    if (!no_arguments || PyType_Ready(&request_type) < 0)
        return -1;
    return py_request_parts_init();
}
