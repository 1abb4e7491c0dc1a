// SPDX-License-Identifier: Apache-2.0
#include "common/venv.h"

#include "common/build.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CFG_MAX = 16384 };

/* --- pyvenv.cfg --- */

static struct span trim(struct span s)
{
    while (s.len && isspace((unsigned char)s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && isspace((unsigned char)s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool same_word(struct span s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.data, word, s.len) == 0;
}

static size_t digits_at(struct span s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && isdigit((unsigned char)s.data[at + n]))
        n++;
    return n;
}

/* "3.11.2", "3.11.2.final.0" → "3.11" */
static void take_version(struct span s, char *version)
{
    size_t major = digits_at(s, 0);
    size_t minor = major && major < s.len && s.data[major] == '.' ? digits_at(s, major + 1) : 0;
    size_t len = major + 1 + minor;
    if (!minor || len >= VENV_VERSION_SIZE)
        return;
    memcpy(version, s.data, len);
    version[len] = '\0';
}

static void take_line(struct venv_facts *facts, struct span line)
{
    const char *equals = memchr(line.data, '=', line.len);
    if (!equals)
        return;
    size_t at = (size_t)(equals - line.data);
    struct span key = trim((struct span){line.data, at});
    struct span value = trim((struct span){equals + 1, line.len - at - 1});
    if (same_word(key, "version") || same_word(key, "version_info"))
        take_version(value, facts->version);
    else if (same_word(key, "include-system-site-packages"))
        facts->sees_system = same_word(value, "true");
}

struct venv_facts venv_parse(struct span text)
{
    struct venv_facts facts = {.sees_system = true}; /* as Python's site module has it */
    while (text.len) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        take_line(&facts, (struct span){text.data, len});
        len += end != NULL;
        text = (struct span){text.data + len, text.len - len};
    }
    return facts;
}

/* --- on the disk --- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool leads_nowhere(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) < 0;
}

static int read_facts(const char *path, struct venv_facts *facts)
{
    char name[PATH_MAX], text[CFG_MAX];
    snprintf(name, sizeof(name), "%s/pyvenv.cfg", path);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof(text));
    int err = n < 0 ? -errno : 0;
    close(fd);
    if (!err)
        *facts = venv_parse((struct span){text, (size_t)n});
    return err;
}

/* What is missing of it below `path`; NULL: nothing. */
static const char *missing_part(const char *path, char *name, size_t size)
{
    snprintf(name, size, "%s/lib/python" OBJECTD_PYTHON_VERSION "/site-packages", path);
    if (!is_folder(name))
        return name;
    snprintf(name, size, "%s/bin/python3", path);
    return access(name, X_OK) < 0 ? name : NULL;
}

bool venv_check(const char *path, char *problem, size_t size)
{
    char name[PATH_MAX];
    struct venv_facts facts;
    if (leads_nowhere(path)) {
        snprintf(problem, size,
                 "%s is a link that leads nowhere; make one with: rm %s && %s -m venv %s", path,
                 path, OBJECTD_PYTHON, path);
        return false;
    }
    if (strlen(path) > PATH_MAX - 64 || !is_folder(path)) {
        snprintf(problem, size,
                 "%s is no folder; make a virtual environment there with: %s -m venv %s", path,
                 OBJECTD_PYTHON, path);
        return false;
    }
    int err = read_facts(path, &facts);
    if (err) {
        snprintf(problem, size,
                 "%s is no virtual environment (pyvenv.cfg: %s); make one with: %s -m venv %s",
                 path, strerror(-err), OBJECTD_PYTHON, path);
        return false;
    }
    if (facts.version[0] && strcmp(facts.version, OBJECTD_PYTHON_VERSION) != 0) {
        snprintf(problem, size,
                 "%s is a virtual environment of Python %s, and the workers of this station run "
                 "Python %s; make it again with: %s -m venv --clear %s",
                 path, facts.version, OBJECTD_PYTHON_VERSION, OBJECTD_PYTHON, path);
        return false;
    }
    const char *missing = missing_part(path, name, sizeof(name));
    if (missing)
        snprintf(
            problem, size,
            "%s is a broken virtual environment: %s is missing or leads nowhere; make it again "
            "with: %s -m venv --clear %s",
            path, missing, OBJECTD_PYTHON, path);
    return !missing;
}

bool venv_find(const char *objects_dir, const char *path, char *out, size_t size)
{
    size_t top = strlen(objects_dir), len = strlen(path);
    if (strncmp(path, objects_dir, top) != 0 || path[top] != '/' || len + sizeof("/venv") > size)
        return false;
    memcpy(out, path, len + 1);
    for (;;) {
        char *slash = strrchr(out, '/');
        if (!slash || (size_t)(slash - out) < top)
            return false;
        strcpy(slash, "/" VENV_FOLDER);
        if (is_folder(out) || leads_nowhere(out))
            return true;
        *slash = '\0';
    }
}

bool venv_holds(const char *path)
{
    const size_t len = strlen(VENV_FOLDER);
    for (const char *part = path, *slash; (slash = strchr(part, '/')); part = slash + 1)
        if ((size_t)(slash - part) == len && memcmp(part, VENV_FOLDER, len) == 0)
            return true;
    return false;
}
