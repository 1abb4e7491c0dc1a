// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/py_venv.h"

#include "common/build.h"
#include "common/log.h"
#include "common/venv.h"
#include "worker/py_compat.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char current[PATH_MAX]; /* "": none, the system's packages */
static char program[PATH_MAX + sizeof("/bin/python3")] = OBJECTD_PYTHON;

static void set_current(const char *path)
{
    snprintf(current, sizeof(current), "%s", path);
    snprintf(program, sizeof(program), "%s/bin/python3", current);
}

/* --- the station's --- */

/* What `bin/activate` does, for programs that objects start. */
static void set_variables(void)
{
    struct buf path = BUF_INIT;
    const char *old = getenv("PATH");
    buf_printf(&path, "%s/bin:%s", current, old && *old ? old : "/usr/local/bin:/usr/bin:/bin");
    setenv("VIRTUAL_ENV", current, 1);
    if (buf_ok(&path))
        setenv("PATH", buf_str(&path), 1);
    buf_free(&path);
}

int py_venv_start(const char *path)
{
    char problem[VENV_PROBLEM_SIZE];
    if (!path)
        return 0;
    if (!venv_check(path, problem, sizeof(problem))) {
        log_error("workers.venv: %s", problem);
        return -1;
    }
    set_current(path);
    set_variables();
    return 0;
}

const char *py_venv_program(void)
{
    return program;
}

/* --- an object's --- */

/*
 * What site.main() does at the start of `program`, in a Python that has started as another one. Of
 * sys.path only the standard library stays, for the rest came from where it was started.
 */
static const char enter_code[] =
    "import os, site, sys\n"
    "library = os.path.dirname(os.__file__)\n"
    "kept = (os.path.basename(library), 'lib-dynload', 'python%d%d.zip' % sys.version_info[:2])\n"
    "sys.path[:] = [p for p in sys.path if os.path.basename(p) in kept]\n"
    "sys.executable = program\n"
    "sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix\n"
    "site.PREFIXES = [sys.prefix, sys.exec_prefix]\n"
    "site.ENABLE_USER_SITE = False\n"
    "known = site.venv(site.removeduppaths())\n"
    "sys.prefix = sys.exec_prefix = prefix\n"
    "site.addsitepackages(known)\n"
    "sys.modules.pop('sysconfig', None)\n" /* it remembers the old prefix */
    "os.environ['VIRTUAL_ENV'] = prefix\n"
    "os.environ['PATH'] = prefix + '/bin:' + os.environ.get('PATH', os.defpath)\n";

static int change(void)
{
    PyObject *names = PyDict_New();
    PyObject *prefix = PyUnicode_DecodeFSDefault(current);
    PyObject *executable = PyUnicode_DecodeFSDefault(program);
    PyObject *done = NULL;
    if (names && prefix && executable && PyDict_SetItemString(names, "prefix", prefix) == 0 &&
        PyDict_SetItemString(names, "program", executable) == 0 &&
        PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0)
        done = PyRun_String(enter_code, Py_file_input, names, names);
    Py_XDECREF(names);
    Py_XDECREF(prefix);
    Py_XDECREF(executable);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int py_venv_enter(const char *objects_dir, const char *file)
{
    char path[PATH_MAX], problem[VENV_PROBLEM_SIZE];
    if (!venv_find(objects_dir, file, path, sizeof(path)) || strcmp(path, current) == 0)
        return 0;
    if (!venv_check(path, problem, sizeof(problem))) {
        PyErr_SetString(PyExc_ImportError, problem);
        return -1;
    }
    set_current(path);
    return change();
}

bool py_venv_packages(struct buf *path)
{
    if (!current[0])
        return false;
    buf_printf(path, "%s/lib/python%s/site-packages", current, OBJECTD_PYTHON_VERSION);
    return true;
}

/* --- what is missing --- */

/* "Some_Thing" → "some-thing", as Debian names packages. */
static void put_debian_name(struct buf *out, const char *module)
{
    for (const char *c = module; *c; c++)
        buf_putc(out, *c == '_' ? '-' : (char)tolower((unsigned char)*c));
}

static void put_pip(struct buf *out, const char *venv, const char *module)
{
    char pip[PATH_MAX + sizeof("/bin/pip")];
    snprintf(pip, sizeof(pip), "%s/bin/pip", venv);
    if (access(pip, X_OK) < 0)
        buf_printf(out, "%s -m venv %s && ", OBJECTD_PYTHON, venv);
    buf_printf(out, "%s install %s", pip, module);
}

static void put_hint(struct buf *out, const char *objects_dir, const char *module)
{
    char own[PATH_MAX];
    buf_puts(out, "; install it with: ");
    if (current[0]) {
        put_pip(out, current, module);
    } else {
        snprintf(own, sizeof(own), "%s/" VENV_FOLDER, objects_dir);
        buf_puts(out, "apt install python3-");
        put_debian_name(out, module);
        buf_puts(out, ", or into a virtual environment: ");
        put_pip(out, own, module);
    }
    buf_puts(out, " (a package may have another name than its module)");
}

/*
 * Parts of the standard library that Debian has in packages of their own. An environment sees them
 * where its Python has them.
 */
static const char *debian_part(const char *module)
{
    static const struct {
        const char *module, *package;
    } parts[] = {{"tkinter", "python3-tk"},
                 {"_tkinter", "python3-tk"},
                 {"_gdbm", "python3-gdbm"},
                 {"distutils", "python3-distutils"},
                 {"lib2to3", "python3-lib2to3"}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcmp(parts[i].module, module) == 0)
            return parts[i].package;
    return NULL;
}

/* Could a package have that name? "_private" is a file of somebody's own, "a b" no name at all. */
static bool is_public(PyObject *name)
{
    return PyUnicode_IsIdentifier(name) && PyUnicode_READ_CHAR(name, 0) != '_';
}

/* The package that is not there at all: not a module that one that is there does not have, and
 * nothing that belongs to Python itself. */
static bool is_package(PyObject *name)
{
    PyObject *library = PySys_GetObject("stdlib_module_names");
    return is_public(name) && !(library && PySequence_Contains(library, name) == 1) &&
           PyDict_Contains(PyImport_GetModuleDict(), name) == 0;
}

static void hint_about(PyObject *exception, const char *objects_dir, struct buf *out)
{
    PyObject *full = PyObject_GetAttrString(exception, "name");
    const char *text = full && PyUnicode_Check(full) ? PyUnicode_AsUTF8(full) : NULL;
    PyObject *name =
        text ? PyUnicode_FromStringAndSize(text, (Py_ssize_t)strcspn(text, ".")) : NULL;
    const char *part = name ? debian_part(PyUnicode_AsUTF8(name)) : NULL;
    if (part && text[PyUnicode_GET_LENGTH(name)] == '\0')
        buf_printf(out, "; it is a part of Python; install it with: apt install %s", part);
    else if (name && is_package(name))
        put_hint(out, objects_dir, PyUnicode_AsUTF8(name));
    Py_XDECREF(name);
    Py_XDECREF(full);
    PyErr_Clear();
}

void py_venv_hint(const char *objects_dir, struct buf *out)
{
    if (!PyErr_ExceptionMatches(PyExc_ModuleNotFoundError))
        return;
    PyObject *exception = py_take_exception();
    hint_about(exception, objects_dir, out);
    py_raise_again(exception);
}
