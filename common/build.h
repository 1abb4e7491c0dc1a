// SPDX-License-Identifier: Apache-2.0
/*
 * build - what configure decided: the version and the folders of an installation.
 *
 * Makefile.am passes these with -D; the values here are those of a file compiled by hand.
 */
#ifndef COMMON_BUILD_H
#define COMMON_BUILD_H

#ifndef OBJECTD_VERSION
#define OBJECTD_VERSION "0-unconfigured"
#endif
#ifndef OBJECTD_PYTHON_VERSION
#define OBJECTD_PYTHON_VERSION "3.11" /* that the workers embed */
#endif
#ifndef OBJECTD_PYTHON
#define OBJECTD_PYTHON "/usr/bin/python3" /* the program of the same */
#endif
#ifndef OBJECTD_PYTHONDIR
#define OBJECTD_PYTHONDIR "/usr/lib/python3/dist-packages" /* where necrostack is installed */
#endif
#ifndef OBJECTD_LIBEXECDIR
#define OBJECTD_LIBEXECDIR "/usr/libexec/objectd"
#endif
#ifndef OBJECTD_SYSCONFDIR
#define OBJECTD_SYSCONFDIR "/etc/objectd"
#endif
#ifndef OBJECTD_STATEDIR
#define OBJECTD_STATEDIR "/var/lib/objectd"
#endif
#ifndef OBJECTD_EXAMPLESDIR
#define OBJECTD_EXAMPLESDIR "/usr/share/doc/objectd/examples/objects"
#endif

#endif
