// SPDX-License-Identifier: Apache-2.0
#include "worker/py_outside.h"

#include "common/log.h"
#include "worker/py_compat.h"
#include "worker/py_state_copy.h"

#include <unistd.h>

enum operation { OP_PUT, OP_DELETE, OP_ADD };

static struct {
    PyObject *queue;   /* list of (operation, key, stored or addend) */
    PyObject *overlay; /* dict: key -> stored, or `gone` */
    PyObject *gone;
    int wake_fd;
} outside = {.wake_fd = -1};

int py_outside_init(void)
{
    outside.queue = PyList_New(0);
    outside.overlay = PyDict_New();
    outside.gone = PyTuple_New(0); /* no stored value is a tuple */
    return outside.queue && outside.overlay && outside.gone ? 0 : -1;
}

void py_outside_set_wake_fd(int fd)
{
    outside.wake_fd = fd;
}

bool py_outside_is_empty(void)
{
    return PyList_GET_SIZE(outside.queue) == 0;
}

static void wake_main_thread(void)
{
    uint64_t one = 1;
    if (outside.wake_fd >= 0 && write(outside.wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it has been woken often enough */
}

static int enqueue(enum operation op, PyObject *key, PyObject *operand, PyObject *shown)
{
    PyObject *entry = Py_BuildValue("(iOO)", (int)op, key, operand);
    int err = entry ? PyDict_SetItem(outside.overlay, key, shown) : -1;
    if (!err)
        err = PyList_Append(outside.queue, entry);
    Py_XDECREF(entry);
    if (!err)
        wake_main_thread();
    return err;
}

int py_outside_put(PyObject *key, PyObject *stored)
{
    if (!stored)
        return enqueue(OP_DELETE, key, Py_None, outside.gone);
    return enqueue(OP_PUT, key, stored, stored);
}

int py_outside_add(PyObject *key, PyObject *by, PyObject *sum)
{
    PyObject *shown = py_state_copy_store(sum);
    int err = shown ? enqueue(OP_ADD, key, by, shown) : -1;
    Py_XDECREF(shown);
    return err;
}

PyObject *py_outside_get(PyObject *key)
{
    PyObject *stored = PyDict_GetItemWithError(outside.overlay, key);
    if (!stored)
        return PyErr_Occurred() ? NULL : py_state_copy_get(key);
    if (stored == outside.gone)
        return NULL;
    return py_state_copy_fresh(key, stored);
}

PyObject *py_outside_merged(void)
{
    PyObject *dict = py_state_copy_dict(), *merged = dict ? PyDict_Copy(dict) : NULL;
    PyObject *key, *stored;
    Py_XDECREF(dict);
    for (Py_ssize_t at = 0; merged && PyDict_Next(outside.overlay, &at, &key, &stored);) {
        int err = 0;
        if (stored != outside.gone)
            err = PyDict_SetItem(merged, key, stored);
        else if (PyDict_Contains(merged, key) == 1)
            err = PyDict_DelItem(merged, key);
        if (err < 0)
            Py_CLEAR(merged);
    }
    return merged;
}

/* The value after an addition, as it is stored; a new reference. */
static PyObject *sum_now(PyObject *key, PyObject *by)
{
    PyObject *current = py_state_copy_get(key);
    if (!current && PyErr_Occurred())
        return NULL;
    PyObject *sum = current ? PyNumber_Add(current, by) : PyNumber_Positive(by);
    PyObject *stored = sum ? py_state_copy_store(sum) : NULL;
    Py_XDECREF(current);
    Py_XDECREF(sum);
    return stored;
}

static int apply(PyObject *entry, struct buf *writes)
{
    enum operation op = (enum operation)PyLong_AsLong(PyTuple_GET_ITEM(entry, 0));
    PyObject *key = PyTuple_GET_ITEM(entry, 1), *operand = PyTuple_GET_ITEM(entry, 2);
    PyObject *stored = NULL;
    if (op == OP_ADD && !(stored = sum_now(key, operand)))
        return -1;
    if (op == OP_PUT) {
        stored = operand;
        Py_INCREF(stored);
    }
    int err = py_state_copy_put(key, stored);
    if (!err)
        err = py_state_copy_encode_write(writes, key, stored);
    Py_XDECREF(stored);
    return err;
}

bool py_outside_drain(struct buf *writes, uint32_t *write_count)
{
    *write_count = 0;
    if (py_outside_is_empty())
        return false;
    PyObject *queue = outside.queue, *fresh = PyList_New(0);
    if (!fresh)
        die(EXIT_CODE_ENVIRONMENT, "no memory for writes from outside a turn");
    outside.queue = fresh;
    PyDict_Clear(outside.overlay);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(queue); i++) {
        if (apply(PyList_GET_ITEM(queue, i), writes) < 0)
            PyErr_WriteUnraisable(PyTuple_GET_ITEM(PyList_GET_ITEM(queue, i), 1));
        else
            ++*write_count;
    }
    Py_DECREF(queue);
    return *write_count > 0;
}
