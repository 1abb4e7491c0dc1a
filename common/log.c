// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include "common/clock.h"
#include "common/fd_io.h"
#include "common/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

static struct {
    const char *process;
    enum log_format format;
    enum log_level threshold;
} logger = {"objectd", LOG_FORMAT_JSON, LOG_LEVEL_INFO};

void log_setup(const char *process, enum log_format format, enum log_level threshold)
{
    logger.process = process;
    logger.format = format;
    logger.threshold = threshold;
}

enum log_level log_threshold(void)
{
    return logger.threshold;
}

static void emit(enum log_level level, const char *format, va_list ap)
{
    if (level < logger.threshold)
        return;
    int saved = errno;
    struct buf message = BUF_INIT, line = BUF_INIT;
    char when[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_us(), when);
    buf_vprintf(&message, format, ap);
    if (logger.format == LOG_FORMAT_TEXT) {
        buf_printf(&line, "%s %-7s %s: ", when, level_names[level], logger.process);
        buf_append(&line, message.data, message.len);
        buf_putc(&line, '\n');
    } else {
        buf_putc(&line, '{');
        json_put_member(&line, "timestamp", when);
        json_put_member(&line, "level", level_names[level]);
        json_put_member(&line, "process", logger.process);
        json_put_number(&line, "pid", (unsigned long long)getpid());
        json_put_key(&line, "message");
        json_put_string(&line, message.data ? message.data : "", message.len);
        buf_puts(&line, "}\n");
    }
    if (buf_ok(&line))
        fd_io_write(STDERR_FILENO, line.data, line.len); /* nowhere left to report a failure to */
    buf_free(&message);
    buf_free(&line);
    errno = saved;
}

#define LOG_FUNCTION(name, level)      \
    void name(const char *format, ...) \
    {                                  \
        va_list ap;                    \
        va_start(ap, format);          \
        emit(level, format, ap);       \
        va_end(ap);                    \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

void die(enum exit_code code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    emit(LOG_LEVEL_ERROR, format, ap);
    va_end(ap);
    exit(code);
}

void bug(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    emit(LOG_LEVEL_ERROR, format, ap);
    va_end(ap);
    _exit(EXIT_CODE_INTERNAL);
}
