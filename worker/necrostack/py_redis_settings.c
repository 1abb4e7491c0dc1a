// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_redis_settings.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

enum {
    READ_AHEAD = 128,
    POOL_SIZE_MAX = 1000000,
    HOST_SIZE = 65 /* what gethostname() gives, cut */
};

#define IDLE_MS_MAX (UINT64_C(1000) * 3600 * 24 * 365 * 100) /* 100 years in ns fit 64 bits */

/* The bytes of a str argument that must not be empty, nor hold a NUL; NULL and an exception. */
static const char *text_of(const char *name, PyObject *value)
{
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %.100s", name,
                     Py_TYPE(value)->tp_name);
        return NULL;
    }
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    if (!text) {
        PyErr_Clear(); /* it quotes the text */
        PyErr_Format(PyExc_ValueError, "%s holds a lone surrogate", name);
        return NULL;
    }
    if (len == 0) {
        PyErr_Format(PyExc_ValueError, "%s must not be empty", name);
        return NULL;
    }
    if (strlen(text) != (size_t)len) {
        PyErr_Format(PyExc_ValueError, "%s holds a NUL character", name);
        return NULL;
    }
    return text;
}

/* An int within bounds. 0, or -1 with an exception. */
static int number_of(const char *name, PyObject *value, uint64_t least, uint64_t most,
                     uint64_t *number)
{
    if (!PyLong_Check(value) || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not %.100s", name,
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    *number = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear(); /* negative or huge */
        *number = UINT64_MAX;
    }
    if (*number < least || *number > most) {
        PyErr_Format(PyExc_ValueError, "%s must be between %llu and %llu", name,
                     (unsigned long long)least, (unsigned long long)most);
        return -1;
    }
    return 0;
}

static int seconds_of(const char *name, PyObject *value, uint64_t *ns)
{
    if (!(PyFloat_Check(value) || PyLong_Check(value)) || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a number of seconds, not %.100s", name,
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) {
        PyErr_Clear(); /* an int that no float can hold */
        seconds = INFINITY;
    }
    if (!(seconds > 0 && seconds <= IDLE_MS_MAX / 1000)) {
        PyErr_Format(PyExc_ValueError, "%s must be more than 0 seconds and less than 100 years",
                     name);
        return -1;
    }
    *ns = (uint64_t)(seconds * NS_PER_S);
    return 0;
}

/* The URL as it may be shown: what stands between the user and the host is taken out, and options
 * with a password. */
static PyObject *without_password(const char *url)
{
    struct buf shown = BUF_INIT;
    const char *scheme = strstr(url, "://");
    const char *from = scheme ? scheme + 3 : url;
    const char *options = strchrnul(from, '?');
    const char *at = memrchr(from, '@', (size_t)(options - from)), *rest = at ? at : url;
    const char *colon = at ? memchr(from, ':', (size_t)(at - from)) : NULL;
    if (at) {
        buf_append(&shown, url, (size_t)((colon ? colon : from) - url));
        buf_puts(&shown, colon ? ":***" : "***");
    }
    buf_append(&shown, rest, (size_t)(options - rest));
    buf_puts(&shown, strcasestr(options, "password") ? "?***" : options);
    PyObject *text = buf_ok(&shown)
                         ? PyUnicode_DecodeUTF8(shown.data, (Py_ssize_t)shown.len, "replace")
                         : PyErr_NoMemory();
    buf_free(&shown);
    return text;
}

/* host-pid-random: unique, and tells whose it is. */
static PyObject *make_name(void)
{
    char host[HOST_SIZE] = "";
    if (gethostname(host, sizeof host - 1))
        strcpy(host, "host");
    uint8_t id[EVENT_ID_SIZE];
    char text[EVENT_ID_TEXT_SIZE];
    event_id_make(id);
    event_id_text(id, text);
    text[8] = '\0';
    PyObject *name = PyUnicode_DecodeLatin1(host, (Py_ssize_t)strlen(host), NULL);
    PyObject *whole = name ? PyUnicode_FromFormat("%U-%d-%s", name, (int)getpid(), text) : NULL;
    Py_XDECREF(name);
    return whole;
}

int py_redis_settings_rename(struct py_redis_settings *settings)
{
    if (!settings->consumer_made)
        return 0;
    PyObject *name = make_name();
    if (!name)
        return -1;
    Py_XSETREF(settings->consumer, name);
    settings->c.consumer = PyUnicode_AsUTF8(name);
    return settings->c.consumer ? 0 : -1;
}

/* An argument left out, or None where that means the same. */
static bool is_default(PyObject *value)
{
    return !value || value == Py_None;
}

/* `value` or, where it is NULL, the text `otherwise`. */
static int set_text(const char *name, PyObject *value, const char *otherwise, PyObject **kept,
                    const char **text)
{
    *kept = value ? Py_NewRef(value) : PyUnicode_FromString(otherwise);
    *text = *kept ? text_of(name, *kept) : NULL;
    return *text ? 0 : -1;
}

static int set_dead_letters(struct py_redis_settings *s, PyObject *value)
{
    PyObject *name =
        is_default(value) ? PyUnicode_FromFormat("%U:dlq", s->stream) : Py_NewRef(value);
    int result = name ? set_text("dlq_stream", name, "", &s->dead_letters, &s->c.dead_letters) : -1;
    Py_XDECREF(name);
    if (result == 0 && strcmp(s->c.stream, s->c.dead_letters) == 0) {
        PyErr_SetString(PyExc_ValueError, "dlq_stream must not be the stream itself");
        return -1;
    }
    return result;
}

static int set_consumer(struct py_redis_settings *s, PyObject *value)
{
    s->consumer_made = is_default(value);
    if (s->consumer_made)
        return py_redis_settings_rename(s);
    return set_text("consumer_name", value, "", &s->consumer, &s->c.consumer);
}

static int set_numbers(struct py_redis_settings *s, PyObject *pool_size, PyObject *max_retries,
                       PyObject *claim_min_idle_ms, PyObject *timeout)
{
    uint64_t pool = 10, retries = 3;
    s->claim_min_idle_ms = 30000;
    s->c.timeout_ns = 5 * NS_PER_S;
    if ((pool_size && number_of("pool_size", pool_size, 1, POOL_SIZE_MAX, &pool)) ||
        (max_retries && number_of("max_retries", max_retries, 1, UINT32_MAX, &retries)) ||
        (claim_min_idle_ms && number_of("claim_min_idle_ms", claim_min_idle_ms, 0, IDLE_MS_MAX,
                                        &s->claim_min_idle_ms)) ||
        (timeout && seconds_of("timeout", timeout, &s->c.timeout_ns)))
        return -1;
    s->pool_size = (uint32_t)pool;
    s->c.max_retries = (uint32_t)retries;
    s->c.claim_min_idle_ns = s->claim_min_idle_ms * NS_PER_MS;
    s->c.read_ahead = READ_AHEAD;
    return 0;
}

int py_redis_settings_parse(struct py_redis_settings *s, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"redis_url", "stream_key",  "consumer_group",    "consumer_name",
                            "pool_size", "max_retries", "claim_min_idle_ms", "dlq_stream",
                            "timeout",   NULL};
    PyObject *url, *stream = NULL, *group = NULL, *consumer = NULL, *pool_size = NULL;
    PyObject *max_retries = NULL, *claim_min_idle_ms = NULL, *dead_letters = NULL, *timeout = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OOOOOOO$O:RedisBackend", names, &url, &stream,
                                     &group, &consumer, &pool_size, &max_retries,
                                     &claim_min_idle_ms, &dead_letters, &timeout))
        return -1;
    if (set_text("redis_url", url, "", &s->url, &s->c.url) ||
        set_text("stream_key", stream, "necrostack:events", &s->stream, &s->c.stream) ||
        set_text("consumer_group", group, "necrostack", &s->group, &s->c.group) ||
        set_dead_letters(s, dead_letters) || set_consumer(s, consumer) ||
        set_numbers(s, pool_size, max_retries, claim_min_idle_ms, timeout))
        return -1;
    s->shown_url = without_password(s->c.url);
    return s->shown_url ? 0 : -1;
}

void py_redis_settings_clear(struct py_redis_settings *s)
{
    Py_XDECREF(s->url);
    Py_XDECREF(s->stream);
    Py_XDECREF(s->group);
    Py_XDECREF(s->consumer);
    Py_XDECREF(s->dead_letters);
    Py_XDECREF(s->shown_url);
    memset(s, 0, sizeof *s);
}
