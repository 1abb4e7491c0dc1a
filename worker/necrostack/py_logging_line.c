// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_logging_line.h"

#include "common/clock.h"
#include "common/events/event_time.h"
#include "common/json_text.h"
#include "worker/necrostack/py_necrostack.h"

enum { KEEP = 4096 /* bytes of the buffers that are used again */ };

static bool is_ascii(PyObject *text)
{
    return !text || (PyUnicode_CheckExact(text) && PyUnicode_IS_COMPACT_ASCII(text));
}

static PyObject *type_of(PyObject *event)
{
    return event ? ((struct py_event *)event)->type : NULL;
}

static bool is_all_ascii(const struct py_logging_line *line)
{
    for (size_t i = 0; i < line->emitted_count; i++)
        if (!is_ascii(line->emitted[i]))
            return false;
    return is_ascii(line->args[0]) && is_ascii(line->args[1]) && is_ascii(line->text) &&
           is_ascii(line->organ) && is_ascii(type_of(line->event));
}

static void put_text(struct buf *out, PyObject *text)
{
    json_put_string(out, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
}

static void append_text(struct buf *out, PyObject *text)
{
    buf_append(out, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
}

static void put_message(struct buf *out, const struct py_logging_line *line)
{
    static struct buf message;
    const char *rest = line->format, *mark;
    if (line->text) {
        put_text(out, line->text);
        return;
    }
    buf_reset(&message, KEEP);
    for (int i = 0; (mark = strstr(rest, "%s")); i++, rest = mark + 2) {
        buf_append(&message, rest, (size_t)(mark - rest));
        append_text(&message, line->args[i]);
    }
    buf_puts(&message, rest);
    json_put_string(out, message.data, message.len);
    out->failed |= message.failed;
}

static const char *level_name(enum py_logging_level level)
{
    switch (level) {
    case PY_LOGGING_DEBUG:
        return "DEBUG";
    case PY_LOGGING_INFO:
        return "INFO";
    default:
        return "ERROR";
    }
}

static void put_event(struct buf *out, PyObject *event)
{
    char id[EVENT_ID_TEXT_SIZE];
    event_id_text(py_event_of(event)->id, id);
    buf_puts(out, ",\"event_id\":\"");
    buf_puts(out, id);
    buf_puts(out, "\",\"event_type\":");
    put_text(out, type_of(event));
}

static void put_emitted(struct buf *out, const struct py_logging_line *line)
{
    buf_puts(out, ",\"emitted\":[");
    for (size_t i = 0; i < line->emitted_count; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_text(out, line->emitted[i]);
    }
    buf_putc(out, ']');
}

static void put_line(struct buf *out, const struct py_logging_line *line)
{
    char now[EVENT_TIME_SIZE];
    event_time_text((int64_t)clock_wall_us(), now);
    buf_puts(out, "{\"timestamp\":\"");
    buf_puts(out, now);
    buf_puts(out, "\",\"level\":\"");
    buf_puts(out, level_name(line->level));
    buf_puts(out, "\",\"message\":");
    put_message(out, line);
    buf_puts(out, ",\"logger\":\"necrostack.spine\"");
    if (line->event)
        put_event(out, line->event);
    if (line->organ) {
        buf_puts(out, ",\"organ\":");
        put_text(out, line->organ);
    }
    if (line->emitted)
        put_emitted(out, line);
    buf_puts(out, "}\n");
}

PyObject *py_logging_line_text(const struct py_logging_line *line)
{
    static struct buf out;
    if (!is_all_ascii(line))
        return NULL;
    buf_reset(&out, KEEP);
    put_line(&out, line);
    if (!buf_ok(&out)) {
        buf_free(&out);
        return PyErr_NoMemory();
    }
    return PyUnicode_DecodeASCII(out.data, (Py_ssize_t)out.len, NULL);
}
