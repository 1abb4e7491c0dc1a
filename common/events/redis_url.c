// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_url.h"

#include "common/urlencoded.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DB_DIGITS_MAX = 6 };

static int refuse(char *error, size_t size, const char *reason)
{
    snprintf(error, size, "%s", reason);
    return -EINVAL;
}

/* Cuts the text before the first `mark` off *rest, the mark too. All of it where there is none. */
static struct span cut(struct span *rest, char mark)
{
    const char *at = rest->len ? memchr(rest->data, mark, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->data) : rest->len;
    struct span head = {rest->data, len};
    size_t used = at ? len + 1 : len;
    *rest = (struct span){rest->data + used, rest->len - used};
    return head;
}

/* 0 and the decoded text; -EINVAL where it contains a NUL. */
static int decode(struct span text, char **out)
{
    char *copy = malloc(text.len + 1);
    if (!copy)
        return -ENOMEM;
    size_t len = urlencoded_decode(text, false, copy);
    copy[len] = '\0';
    *out = copy;
    return strlen(copy) == len ? 0 : -EINVAL;
}

static bool number_of(struct span text, size_t digits_max, unsigned long max, unsigned long *value)
{
    if (text.len == 0 || text.len > digits_max)
        return false;
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *value = *value * 10 + (unsigned long)(text.data[i] - '0');
    }
    return *value <= max;
}

static int parse_db(struct redis_url *url, struct span text, char *error, size_t size)
{
    unsigned long db;
    if (!number_of(text, DB_DIGITS_MAX, 999999, &db))
        return refuse(error, size, "redis_url: the database is not a number");
    url->db = (int)db;
    return 0;
}

static int replace(char **text, struct span value, char *error, size_t size)
{
    char *decoded = NULL;
    int result = decode(value, &decoded);
    if (result < 0) {
        free(decoded);
        return result == -EINVAL ? refuse(error, size, "redis_url: a NUL in user or password")
                                 : result;
    }
    free(*text);
    *text = decoded;
    return 0;
}

/* ?db=N&username=U&password=P go before what stands elsewhere; other options that other clients
 * know are not for this one and say nothing about where Redis is. */
static int parse_query(struct redis_url *url, struct span query, char *error, size_t size)
{
    int result = 0;
    while (query.len > 0 && result == 0) {
        struct span value = cut(&query, '&'), name = cut(&value, '=');
        if (span_equal(name, "db"))
            result = parse_db(url, value, error, size);
        else if (span_equal(name, "username") && value.len)
            result = replace(&url->user, value, error, size);
        else if (span_equal(name, "password") && value.len)
            result = replace(&url->password, value, error, size);
    }
    if (result == 0 && url->user && !url->password)
        result = (url->password = strdup("")) ? 0 : -ENOMEM;
    return result;
}

static int parse_user(struct redis_url *url, struct span info, char *error, size_t size)
{
    bool has_password = info.len && memchr(info.data, ':', info.len);
    struct span user = cut(&info, ':');
    int result = user.len ? decode(user, &url->user) : 0;
    if (result == 0 && has_password && info.len)
        result = decode(info, &url->password);
    return result == -EINVAL ? refuse(error, size, "redis_url: a NUL in user or password") : result;
}

static int parse_host(struct redis_url *url, struct span place, char *error, size_t size)
{
    struct span host, port = {"6379", 4};
    unsigned long number;
    if (place.len && place.data[0] == '[') {
        place = (struct span){place.data + 1, place.len - 1};
        if (!memchr(place.data, ']', place.len))
            return refuse(error, size, "redis_url: the host has no closing bracket");
        host = cut(&place, ']');
        if (place.len && place.data[0] != ':')
            return refuse(error, size, "redis_url: what follows the host is no port");
        (void)cut(&place, ':');
    } else {
        host = cut(&place, ':');
    }
    if (place.len)
        port = place;
    if (!number_of(port, 5, 65535, &number) || number == 0)
        return refuse(error, size, "redis_url: the port is not a number from 1 to 65535");
    snprintf(url->port, sizeof(url->port), "%hu", (unsigned short)number);
    int result = decode(host.len ? host : span_of("localhost"), &url->host);
    return result == -EINVAL ? refuse(error, size, "redis_url: a NUL in the host") : result;
}

/* What follows redis://. The last @ ends the user, for passwords are often pasted as they are. */
static int parse_tcp(struct redis_url *url, struct span rest, char *error, size_t size)
{
    struct span query = rest, head = cut(&query, '?');
    struct span db = head, authority = cut(&db, '/');
    const char *at = authority.len ? memrchr(authority.data, '@', authority.len) : NULL;
    int result = 0;
    if (at) {
        struct span info = {authority.data, (size_t)(at - authority.data)};
        authority = (struct span){at + 1, authority.len - info.len - 1};
        result = parse_user(url, info, error, size);
    }
    if (result == 0)
        result = parse_host(url, authority, error, size);
    if (result == 0 && db.len)
        result = parse_db(url, db, error, size);
    return result == 0 ? parse_query(url, query, error, size) : result;
}

static int parse_unix(struct redis_url *url, struct span rest, char *error, size_t size)
{
    struct span query = rest, head = cut(&query, '?');
    const char *slash = head.len ? memchr(head.data, '/', head.len) : NULL;
    size_t before = slash ? (size_t)(slash - head.data) : 0;
    if (!slash || (before && head.data[before - 1] != '@'))
        return refuse(error, size, "redis_url: unix:// needs the path of a socket");
    int result = 0;
    if (before)
        result = parse_user(url, (struct span){head.data, before - 1}, error, size);
    if (result == 0)
        result = decode((struct span){slash, head.len - before}, &url->path);
    if (result == -EINVAL && !*error)
        return refuse(error, size, "redis_url: a NUL in the path");
    return result == 0 ? parse_query(url, query, error, size) : result;
}

static bool strip(struct span *rest, const char *scheme)
{
    size_t len = strlen(scheme);
    if (rest->len < len || strncasecmp(rest->data, scheme, len) != 0)
        return false;
    *rest = (struct span){rest->data + len, rest->len - len};
    return true;
}

int redis_url_parse(struct redis_url *url, const char *text, char *error, size_t size)
{
    struct span rest = span_of(text);
    int result;
    *url = (struct redis_url){0};
    if (size)
        error[0] = '\0';
    if (strip(&rest, "redis://"))
        result = parse_tcp(url, rest, error, size);
    else if (strip(&rest, "unix://"))
        result = parse_unix(url, rest, error, size);
    else if (strip(&rest, "rediss://"))
        result = refuse(error, size,
                        "redis_url: rediss:// needs a hiredis with TLS, and this one has none");
    else
        result = refuse(error, size, "redis_url: not redis:// nor unix://");
    if (result < 0)
        redis_url_free(url);
    return result;
}

void redis_url_free(struct redis_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->user);
    free(url->password);
    free(url->host);
    free(url->path);
    *url = (struct redis_url){0};
}

void redis_url_show(const struct redis_url *url, char *out, size_t size)
{
    if (url->path)
        snprintf(out, size, "%s/%d", url->path, url->db);
    else
        snprintf(out, size, strchr(url->host, ':') ? "[%s]:%s/%d" : "%s:%s/%d", url->host,
                 url->port, url->db);
}
