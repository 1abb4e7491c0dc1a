// SPDX-License-Identifier: Apache-2.0
/*
 * log - what a process of the station says about itself, on stderr, one line an event.
 *
 * JSON lines by default, text on a terminal. Each line goes out with one write(2). The words are
 * fixed: log_debug/info/warn/error report, die() says that the environment is wrong and exits with
 * the code given, bug() says that an invariant of ours is broken and exits 70.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_USAGE = 64,
    EXIT_CODE_INTERNAL = 70,
    EXIT_CODE_ENVIRONMENT = 71,
    EXIT_CODE_CONFIG = 78,
};

/* `process` names the role in every line ("objectd", "objectd-scribe"); borrowed for good. */
void log_setup(const char *process, enum log_format format, enum log_level threshold);
enum log_level log_threshold(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void bug(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
