// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_event_field.h"

#include <datetime.h>

#include "common/events/event_time.h"
#include "worker/necrostack/py_validation_error.h"

const char *const py_event_field_names[FIELDS] = {
    [FIELD_TYPE] = "event_type",
    [FIELD_PAYLOAD] = "payload",
    [FIELD_ID] = "id",
    [FIELD_TIMESTAMP] = "timestamp",
};
PyObject *py_event_field_keys[FIELDS];

int py_event_field_init(void)
{
    PyDateTime_IMPORT;
    if (!PyDateTimeAPI)
        return -1;
    for (int i = 0; i < FIELDS; i++) {
        py_event_field_keys[i] = PyUnicode_InternFromString(py_event_field_names[i]);
        if (!py_event_field_keys[i])
            return -1;
    }
    return 0;
}

enum py_event_field py_event_field_of(PyObject *name)
{
    for (int i = 0; i < FIELDS; i++)
        if (name == py_event_field_keys[i])
            return i;
    for (int i = 0; i < FIELDS; i++)
        if (PyUnicode_Check(name) &&
            PyUnicode_CompareWithASCIIString(name, py_event_field_names[i]) == 0)
            return i;
    return FIELDS;
}

/* 1, or -1 with an exception. */
static int fault(PyObject **faults, enum py_event_field field, const char *type, const char *msg,
                 PyObject *input)
{
    return py_validation_error_field(faults, type, py_event_field_names[field], msg, input) ? -1
                                                                                            : 1;
}

/* --- event_type --- */

static bool is_space_at(PyObject *text, Py_ssize_t i)
{
    return Py_UNICODE_ISSPACE(PyUnicode_READ_CHAR(text, i));
}

/* A new reference, to the text itself where there is nothing to strip. */
static PyObject *stripped(PyObject *text)
{
    Py_ssize_t from = 0, to = PyUnicode_GetLength(text);
    while (to > from && is_space_at(text, to - 1))
        to--;
    while (from < to && is_space_at(text, from))
        from++;
    return PyUnicode_Substring(text, from, to);
}

/* The common case. No white space of ASCII comes after the blank. */
static bool is_fine_as_it_is(PyObject *text)
{
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text))
        return false;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    const Py_UCS1 *data = PyUnicode_1BYTE_DATA(text);
    return length > 0 && data[0] > ' ' && data[length - 1] > ' ';
}

int py_event_field_type(PyObject *value, PyObject **type, PyObject **faults)
{
    *type = NULL;
    if (is_fine_as_it_is(value)) {
        *type = Py_NewRef(value);
        return 0;
    }
    if (!PyUnicode_Check(value))
        return fault(faults, FIELD_TYPE, "string_type", "Event type should be a string", value);
    PyObject *plain = PyUnicode_FromObject(value); /* of a subclass the plain str */
    PyObject *text = plain ? stripped(plain) : NULL;
    Py_XDECREF(plain);
    if (!text)
        return -1;
    int result = 0;
    if (PyUnicode_GET_LENGTH(text) == 0) {
        result =
            fault(faults, FIELD_TYPE, "string_too_short", "Event type should not be empty", value);
    } else if (!PyUnicode_AsUTF8(text)) {
        PyErr_Clear(); /* the spans of the library are its UTF-8, which is kept with it */
        result = fault(faults, FIELD_TYPE, "string_unicode",
                       "Event type should have no lone surrogates", value);
    }
    if (result)
        Py_DECREF(text);
    else
        *type = text;
    return result;
}

/* --- id --- */

int py_event_field_id(PyObject *value, uint8_t id[EVENT_ID_SIZE], PyObject **faults)
{
    if (!PyUnicode_Check(value))
        return fault(faults, FIELD_ID, "string_type", "Id should be a string", value);
    Py_ssize_t len = 0;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    if (!text)
        PyErr_Clear();
    if (!text || !event_id_parse((struct span){text, (size_t)len}, id))
        return fault(faults, FIELD_ID, "uuid_parsing", "Id should be a UUID of version 4", value);
    return 0;
}

PyObject *py_event_field_id_text(const struct event *event)
{
    PyObject *text = PyUnicode_New(EVENT_ID_TEXT_SIZE - 1, 127);
    if (text)
        event_id_text(event->id, PyUnicode_DATA(text));
    return text;
}

/* --- timestamp --- */

static int64_t time_of_utc(PyObject *when)
{
    struct event_date date = {
        PyDateTime_GET_YEAR(when),
        PyDateTime_GET_MONTH(when),
        PyDateTime_GET_DAY(when),
        PyDateTime_DATE_GET_HOUR(when),
        PyDateTime_DATE_GET_MINUTE(when),
        PyDateTime_DATE_GET_SECOND(when),
        PyDateTime_DATE_GET_MICROSECOND(when),
    };
    return event_time_of(&date);
}

static int read_text(PyObject *value, int64_t *time_us, PyObject **faults)
{
    Py_ssize_t len = 0;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    if (!text)
        PyErr_Clear();
    if (!text || !event_time_parse((struct span){text, (size_t)len}, time_us))
        return fault(faults, FIELD_TIMESTAMP, "datetime_parsing",
                     "Timestamp should be a time of ISO 8601 with its zone", value);
    return 0;
}

/* A zone is any Python object: what it answers is checked, and what it raises is passed on. */
static int read_zoned(PyObject *value, int64_t *time_us, PyObject **faults)
{
    PyObject *offset = PyObject_CallMethod(value, "utcoffset", NULL);
    if (!offset)
        return -1;
    int result = 0;
    if (PyDelta_Check(offset)) {
        int64_t seconds =
            PyDateTime_DELTA_GET_DAYS(offset) * 86400ll + PyDateTime_DELTA_GET_SECONDS(offset);
        *time_us =
            time_of_utc(value) - seconds * 1000000 - PyDateTime_DELTA_GET_MICROSECONDS(offset);
        if (*time_us < EVENT_TIME_MIN || *time_us > EVENT_TIME_MAX)
            result = fault(faults, FIELD_TIMESTAMP, "datetime_parsing",
                           "Timestamp should be of the years 1 to 9999 in UTC", value);
    } else {
        result = fault(faults, FIELD_TIMESTAMP, "timezone_aware",
                       "Timestamp should have a timezone", value);
    }
    Py_DECREF(offset);
    return result;
}

int py_event_field_timestamp(PyObject *value, int64_t *time_us, PyObject **faults)
{
    if (PyUnicode_Check(value))
        return read_text(value, time_us, faults);
    if (!PyDateTime_Check(value))
        return fault(faults, FIELD_TIMESTAMP, "datetime_type", "Timestamp should be a datetime",
                     value);
    if (PyDateTime_DATE_GET_TZINFO(value) != PyDateTime_TimeZone_UTC)
        return read_zoned(value, time_us, faults);
    *time_us = time_of_utc(value);
    return 0;
}

PyObject *py_event_field_datetime(const struct event *event)
{
    struct event_date date = event_time_date(event->time_us);
    return PyDateTimeAPI->DateTime_FromDateAndTime(
        date.year, date.month, date.day, date.hour, date.minute, date.second, date.microsecond,
        PyDateTime_TimeZone_UTC, PyDateTimeAPI->DateTimeType);
}

PyObject *py_event_field_iso(const struct event *event)
{
    char text[EVENT_TIME_SIZE];
    event_time_text(event->time_us, text);
    return PyUnicode_FromString(text);
}
