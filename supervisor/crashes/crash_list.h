// SPDX-License-Identifier: Apache-2.0
/*
 * crash_list - the crash reports of an object as a JSON document. In the scribe.
 *
 * The list shows the first line of each (crash_text.h). One that is damaged stands there with its
 * id and "damaged".
 */
#ifndef SUPERVISOR_CRASHES_CRASH_LIST_H
#define SUPERVISOR_CRASHES_CRASH_LIST_H

#include "supervisor/scribe/scribe_rpc.h"

/*
 * {"status","object_id","crashes":[…],"count"}, newest first, `limit` of them; with a crash_id
 * {"status","object_id","crash":{…}}, -ENOENT when there is none, -EBADMSG when it is damaged. A
 * sealed memfd and its size, or -errno.
 */
int crash_list(const char *data_dir, const struct scribe_rpc_crash_read *m, uint64_t *size);

#endif
