// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/document.h"

#include "common/memfd.h"

#include <errno.h>
#include <unistd.h>

enum { FLOW_SIZE = 256 * 1024 };

void document_begin(struct document *d, const char *name)
{
    *d = (struct document){.fd = memfd_new(name)};
    d->err = d->fd < 0 ? d->fd : 0;
}

static void write_out(struct document *d)
{
    if (!d->err && !buf_ok(&d->text))
        d->err = -ENOMEM;
    if (!d->err)
        d->err = memfd_write(d->fd, d->text.data, d->text.len);
    d->size += d->text.len;
    buf_reset(&d->text, 2 * FLOW_SIZE);
}

void document_flow(struct document *d)
{
    if (d->text.len >= FLOW_SIZE || !buf_ok(&d->text))
        write_out(d);
}

int document_end(struct document *d, uint64_t *size)
{
    write_out(d);
    if (!d->err)
        d->err = memfd_seal(d->fd);
    if (d->err) {
        int err = d->err;
        document_drop(d);
        return err;
    }
    buf_free(&d->text);
    *size = d->size;
    return d->fd;
}

void document_drop(struct document *d)
{
    buf_free(&d->text);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}
