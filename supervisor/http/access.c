// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_BYTES = 32, TOKEN_LEN = 2 * TOKEN_BYTES, TOKEN_FILE_MAX = 512 };
enum { NAMES_MAX = CONFIG_HOSTS_MAX + CONFIG_LISTEN_MAX + 4 };

struct access {
    enum management management;
    size_t name_count;
    char *names[NAMES_MAX];     /* host names and addresses; IPv6 in brackets */
    bool is_address[NAMES_MAX]; /* of a listener */
    char token[TOKEN_FILE_MAX];
    size_t token_len;
};

static bool add_name(struct access *access, const char *name)
{
    if (access->name_count == NAMES_MAX)
        return true; /* those of listeners that are gone: nothing to lose */
    char *copy = strdup(name);
    if (!copy)
        return false;
    access->names[access->name_count++] = copy;
    return true;
}

static bool add_listener_name(struct access *access, const char *name)
{
    for (size_t i = 0; i < access->name_count; i++)
        if (access->is_address[i] && strcmp(access->names[i], name) == 0)
            return true;
    size_t at = access->name_count;
    if (!add_name(access, name))
        return false;
    if (access->name_count > at)
        access->is_address[at] = true;
    return true;
}

bool access_add_address(struct access *access, const char *address)
{
    char bracketed[80];
    if (!strchr(address, ':'))
        return add_listener_name(access, address);
    snprintf(bracketed, sizeof(bracketed), "[%s]", address);
    return add_listener_name(access, bracketed);
}

bool access_add_addresses_of(struct access *access, const struct access *other)
{
    for (size_t i = 0; i < other->name_count; i++)
        if (other->is_address[i] && !add_listener_name(access, other->names[i]))
            return false;
    return true;
}

static int write_token(int fd, char token[TOKEN_LEN + 1])
{
    unsigned char random[TOKEN_BYTES];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    if (dprintf(fd, "%s\n", token) != TOKEN_LEN + 1 || fsync(fd) < 0)
        return -EIO;
    return 0;
}

/* The name appears only with its content: a half-written token would lock everybody out. */
static int make_token(const char *path)
{
    char temporary[4096], token[TOKEN_LEN + 1];
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
        return -ENAMETOOLONG;
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int err = write_token(fd, token);
    close(fd);
    if (!err && rename(temporary, path) < 0)
        err = -errno;
    if (err)
        unlink(temporary);
    return err;
}

static int read_token(struct access *access, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    struct stat st;
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    if (!err && (st.st_mode & 077))
        err = -EPERM;
    ssize_t n = err ? 0 : read(fd, access->token, sizeof(access->token));
    if (n < 0)
        err = -errno;
    close(fd);
    while (n > 0 && (unsigned char)access->token[n - 1] <= ' ')
        n--;
    if (!err && (n < TOKEN_BYTES || n == sizeof(access->token)))
        err = -EBADMSG;
    access->token_len = err ? 0 : (size_t)n;
    return err;
}

static int load_token(struct access *access, const char *data_dir, char *error, size_t error_size)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/admin.token", data_dir) >= sizeof(path))
        return -ENAMETOOLONG;
    int err = read_token(access, path);
    if (err == -ENOENT) {
        err = make_token(path);
        if (!err)
            err = read_token(access, path);
    }
    if (err == -EPERM)
        snprintf(error, error_size, "%s must not be readable by others (chmod 600)", path);
    else if (err == -EBADMSG)
        snprintf(error, error_size, "%s holds no usable token: remove it to get a new one", path);
    else if (err)
        snprintf(error, error_size, "%s: %s", path, strerror(-err));
    return err;
}

struct access *access_new(const struct config *config, char *error, size_t error_size)
{
    struct access *access = calloc(1, sizeof(*access));
    bool ok = access && add_name(access, "localhost") && add_name(access, "127.0.0.1") &&
              add_name(access, "[::1]");
    for (size_t i = 0; ok && i < config->host_count; i++)
        ok = add_name(access, config->hosts[i]);
    if (!ok) {
        snprintf(error, error_size, "no memory for the names of the station");
        access_free(access);
        return NULL;
    }
    access->management = config->management;
    if (config->management == MANAGEMENT_TOKEN &&
        load_token(access, config->data_dir, error, error_size) < 0) {
        access_free(access);
        return NULL;
    }
    return access;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    for (size_t i = 0; i < access->name_count; i++)
        free(access->names[i]);
    explicit_bzero(access->token, sizeof(access->token));
    free(access);
}

/* Cuts ":port" off; data NULL when what follows the name is no port. */
static struct span host_name(struct span host)
{
    static const struct span none = {NULL, 0};
    size_t end = 0;
    if (host.len > 0 && host.data[0] == '[') {
        const char *bracket = memchr(host.data, ']', host.len);
        if (!bracket)
            return none;
        end = (size_t)(bracket - host.data) + 1;
    } else {
        while (end < host.len && host.data[end] != ':')
            end++;
    }
    struct span name = {host.data, end};
    if (end == host.len)
        return name;
    if (host.data[end] != ':')
        return none;
    for (size_t i = end + 1; i < host.len; i++) {
        if (host.data[i] < '0' || host.data[i] > '9')
            return none;
    }
    return name;
}

static bool equals_caseless(struct span a, const char *text)
{
    return a.len == strlen(text) && strncasecmp(a.data, text, a.len) == 0;
}

bool access_host_is_known(const struct access *access, struct span host)
{
    if (!host.data)
        return true; /* the guard lets only HTTP/1.0 do without */
    struct span name = host_name(host);
    for (size_t i = 0; name.data && i < access->name_count; i++) {
        if (equals_caseless(name, access->names[i]))
            return true;
    }
    return false;
}

static struct span without_default_port(struct span authority, const char *port)
{
    size_t len = strlen(port);
    if (authority.len > len && memcmp(authority.data + authority.len - len, port, len) == 0)
        authority.len -= len;
    return authority;
}

static bool authorities_equal(struct span a, struct span b, const char *port)
{
    a = without_default_port(a, port);
    b = without_default_port(b, port);
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

static bool origin_is_ours(struct span origin, struct span host)
{
    static const struct {
        const char *prefix, *port;
    } schemes[] = {{"http://", ":80"}, {"https://", ":443"}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].prefix);
        if (origin.len <= len || strncasecmp(origin.data, schemes[i].prefix, len) != 0)
            continue;
        struct span authority = {origin.data + len, origin.len - len};
        return authorities_equal(authority, host, schemes[i].port);
    }
    return false; /* "null" and everything that is no web page of ours */
}

bool access_is_foreign(struct span host, struct span origin, struct span fetch_site)
{
    if (fetch_site.data && equals_caseless(fetch_site, "cross-site"))
        return true;
    return origin.data && !(host.data && origin_is_ours(origin, host));
}

/* Takes the same time wherever the two differ. */
static bool token_equals(const struct access *access, struct span given)
{
    unsigned char difference = given.len != access->token_len;
    for (size_t i = 0; i < access->token_len; i++) {
        unsigned char c = i < given.len ? (unsigned char)given.data[i] : 0;
        difference |= (unsigned char)(c ^ (unsigned char)access->token[i]);
    }
    return difference == 0 && access->token_len > 0;
}

static bool bearer_is_right(const struct access *access, struct span authorization)
{
    static const char scheme[] = "Bearer ";
    size_t len = sizeof(scheme) - 1;
    if (!authorization.data || authorization.len <= len ||
        strncasecmp(authorization.data, scheme, len) != 0)
        return false;
    struct span token = {authorization.data + len, authorization.len - len};
    while (token.len > 0 && token.data[0] == ' ') {
        token.data++;
        token.len--;
    }
    return token_equals(access, token);
}

unsigned access_management(const struct access *access, bool is_local, bool is_unix,
                           struct span authorization, const char **why)
{
    switch (access->management) {
    case MANAGEMENT_LOOPBACK:
        *why = "management is allowed from this machine only";
        return is_local ? 0 : 403;
    case MANAGEMENT_TOKEN:
        *why = "management needs the bearer token of admin.token";
        return is_unix || bearer_is_right(access, authorization) ? 0 : 401;
    default:
        *why = "management is switched off (security management)";
        return 403;
    }
}
