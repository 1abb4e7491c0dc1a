// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/py_packages.h"

#include "common/build.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder of the running program; false: the kernel does not say. */
static bool program_folder(char folder[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (len <= 0)
        return false;
    folder[len] = 0;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    return slash != NULL;
}

/* An installed program lies in OBJECTD_LIBEXECDIR, perhaps below another root than configure's. */
static bool cut_installed(char *folder)
{
    size_t len = strlen(folder), tail = sizeof(OBJECTD_LIBEXECDIR) - 1;
    if (len < tail || strcmp(folder + len - tail, OBJECTD_LIBEXECDIR) != 0)
        return false;
    folder[len - tail] = 0;
    return true;
}

static const char finder_code[] =
    "import sys\n"
    "from importlib.machinery import PathFinder\n"
    "class Packages:\n"
    "    @staticmethod\n"
    "    def find_spec(name, path=None, target=None):\n"
    "        return PathFinder.find_spec(name, [folder]) if name == 'necrostack' else None\n"
    "sys.meta_path.insert(0 if first else len(sys.meta_path), Packages)\n";

static int add_finder(const char *folder, bool first)
{
    PyObject *names =
        Py_BuildValue("{sNsOsO}", "folder", PyUnicode_DecodeFSDefault(folder), "first",
                      first ? Py_True : Py_False, "__builtins__", PyEval_GetBuiltins());
    PyObject *done = names ? PyRun_String(finder_code, Py_file_input, names, names) : NULL;
    Py_XDECREF(names);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int py_packages_init(void)
{
    char program[PATH_MAX], folder[2 * PATH_MAX];
    if (!program_folder(program))
        return 0;
    bool installed = cut_installed(program);
    snprintf(folder, sizeof(folder), "%s%s", program, installed ? OBJECTD_PYTHONDIR : "/python");
    return add_finder(folder, !installed);
}
