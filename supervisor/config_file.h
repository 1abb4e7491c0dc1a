// SPDX-License-Identifier: Apache-2.0
/*
 * config_file - the configuration file, read with libconfuse.
 *
 * Values already in the struct are replaced by those of the file. Supervisor, loop thread; one
 * file at a time (libconfuse's callbacks carry no argument).
 */
#ifndef SUPERVISOR_CONFIG_FILE_H
#define SUPERVISOR_CONFIG_FILE_H

#include "supervisor/config.h"

/*
 * 0; -ENOENT when there is no such file, -EINVAL for any other trouble, -ENOMEM: with one line in
 * `error` each time. Relative paths in the file are below the file's folder.
 */
int config_file_read(struct config *config, const char *path, char *error, size_t error_size);

#endif
