// SPDX-License-Identifier: Apache-2.0
/*
 * version_list - what the history of an object shows: a page of it, or one version with its
 * content, as JSON documents. Blocking; the scribe's.
 */
#ifndef SUPERVISOR_VERSIONS_VERSION_LIST_H
#define SUPERVISOR_VERSIONS_VERSION_LIST_H

#include "supervisor/scribe/scribe_rpc.h"

/*
 * {"status":"ok","object_id":…,"versions":[…],"count":n}, newest first, in a sealed memfd of *size
 * bytes. Its descriptor or -errno.
 */
int version_list(const char *data_dir, const struct scribe_rpc_version_list *m, uint64_t *size);
/*
 * {"status":"ok","object_id":…,"version":{…,"content":…}}, or, where m->is_bare, the content alone.
 * -ENOENT: never was; -EBADMSG: the content is not what was stored.
 */
int version_show(const char *data_dir, const struct scribe_rpc_version_read *m, uint64_t *size);

#endif
