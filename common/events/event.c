// SPDX-License-Identifier: Apache-2.0
#include "common/events/event.h"

#include "common/utf8.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

/* --- ids ----------------------------------------------------------------------------------- */

/* In a page that the kernel clears in a child: what a fork would share is then used up. */
struct id_pool {
    size_t left;
    uint8_t ids[255][EVENT_ID_SIZE];
};
enum { POOL_IDS = sizeof(((struct id_pool *)0)->ids) / EVENT_ID_SIZE };

static void fetch_random(void *bytes, size_t len)
{
    ssize_t n;
    do
        n = getrandom(bytes, len, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)len)
        abort(); /* no kernel refuses so few; ids that repeat would be worse than an end */
}

static struct id_pool *pool_make(void)
{
    struct id_pool *pool =
        mmap(NULL, sizeof(*pool), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pool == MAP_FAILED)
        return NULL;
    if (madvise(pool, sizeof(*pool), MADV_WIPEONFORK) < 0) {
        munmap(pool, sizeof(*pool));
        return NULL;
    }
    return pool;
}

/* A key of the kernel's a pool, stretched: its own generator takes 45 ns for an id, this 10. */
static void pool_fill(struct id_pool *pool)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    uint8_t key[crypto_stream_chacha20_KEYBYTES];
    fetch_random(key, sizeof(key));
    crypto_stream_chacha20(pool->ids[0], sizeof(pool->ids), nonce, key);
    sodium_memzero(key, sizeof(key));
    pool->left = POOL_IDS;
}

static void take_random_id(uint8_t id[EVENT_ID_SIZE])
{
    static struct id_pool *pool;
    static bool tried;
    if (!tried) {
        tried = true;
        if (sodium_init() >= 0)
            pool = pool_make();
    }
    if (!pool) {
        fetch_random(id, EVENT_ID_SIZE);
        return;
    }
    if (pool->left == 0)
        pool_fill(pool);
    memcpy(id, pool->ids[--pool->left], EVENT_ID_SIZE);
}

void event_id_make(uint8_t id[EVENT_ID_SIZE])
{
    take_random_id(id);
    id[6] = (uint8_t)(0x40 | (id[6] & 0x0f)); /* version 4 */
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f)); /* variant of RFC 9562 */
}

static bool is_dash(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

void event_id_text(const uint8_t id[EVENT_ID_SIZE], char text[EVENT_ID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *to = text;
    for (size_t i = 0; i < EVENT_ID_SIZE; i++) {
        if (is_dash((size_t)(to - text)))
            *to++ = '-';
        *to++ = digits[id[i] >> 4];
        *to++ = digits[id[i] & 15];
    }
    *to = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool event_id_parse(struct span text, uint8_t id[EVENT_ID_SIZE])
{
    uint8_t read[EVENT_ID_SIZE];
    if (text.len != EVENT_ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0, n = 0; n < EVENT_ID_SIZE; i += 2, n++) {
        if (is_dash(i) && text.data[i++] != '-')
            return false;
        int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        read[n] = (uint8_t)(high << 4 | low);
    }
    if (read[6] >> 4 != 4 || read[8] >> 6 != 2)
        return false;
    memcpy(id, read, EVENT_ID_SIZE);
    return true;
}

/* --- types ---------------------------------------------------------------------------------- */

/* In UTF-8, of one length each. */
static bool is_white_space(const char *text, size_t len)
{
    static const char *const spaces[] = {
        "\t\n\v\f\r\x1c\x1d\x1e\x1f ",
        "\xc2\x85\xc2\xa0",
        "\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x81\xe2\x80\x82\xe2\x80\x83\xe2\x80\x84\xe2\x80\x85"
        "\xe2\x80\x86\xe2\x80\x87\xe2\x80\x88\xe2\x80\x89\xe2\x80\x8a\xe2\x80\xa8\xe2\x80\xa9"
        "\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80",
    };
    for (const char *at = len <= 3 ? spaces[len - 1] : ""; *at; at += len)
        if (memcmp(at, text, len) == 0)
            return true;
    return false;
}

/* Where the character starts whose last byte is the last of the text. */
static size_t last_character(struct span text)
{
    size_t at = text.len - 1;
    while (at > 0 && (text.data[at] & 0xc0) == 0x80)
        at--;
    return at;
}

struct span event_type_strip(struct span text)
{
    size_t len;
    while (text.len > 0 && (len = utf8_sequence(text.data, text.len)) &&
           is_white_space(text.data, len))
        text = (struct span){text.data + len, text.len - len};
    while (text.len > 0 &&
           is_white_space(text.data + last_character(text), text.len - last_character(text)))
        text.len = last_character(text);
    return text;
}

/* --- an event in one block ------------------------------------------------------------------ */

struct block_event {
    struct event event;
    uint32_t references;
    uint32_t type_len;
    uint32_t payload_len;
    char bytes[]; /* the type, then the payload */
};

static struct block_event *block_of(struct event *event)
{
    return (struct block_event *)event;
}

static void block_retain(struct event *event)
{
    block_of(event)->references++;
}

static void block_release(struct event *event)
{
    if (--block_of(event)->references == 0)
        free(event);
}

static struct span block_type(const struct event *event)
{
    const struct block_event *block = (const struct block_event *)event;
    return (struct span){block->bytes, block->type_len};
}

static int block_payload(struct event *event, struct span *json)
{
    struct block_event *block = block_of(event);
    *json = (struct span){block->bytes + block->type_len, block->payload_len};
    return 0;
}

struct event *event_new(const uint8_t id[EVENT_ID_SIZE], int64_t time_us, struct span type,
                        struct span payload)
{
    static const struct event_ops ops = {block_retain, block_release, block_type, block_payload};
    if (type.len > UINT32_MAX || payload.len > UINT32_MAX)
        return NULL;
    struct block_event *block =
        malloc(offsetof(struct block_event, bytes) + type.len + payload.len);
    if (!block)
        return NULL;
    block->event = (struct event){.ops = &ops, .time_us = time_us};
    memcpy(block->event.id, id, EVENT_ID_SIZE);
    block->references = 1;
    block->type_len = (uint32_t)type.len;
    block->payload_len = (uint32_t)payload.len;
    if (type.len)
        memcpy(block->bytes, type.data, type.len);
    if (payload.len)
        memcpy(block->bytes + type.len, payload.data, payload.len);
    return &block->event;
}
