# SPDX-License-Identifier: Apache-2.0
"""What this process holds, by the accounts of Python and of malloc."""

import ctypes
import gc
import re
import sys

FIGURES = 3  # of usage()


class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]


LIBC = ctypes.CDLL(None)
LIBC.mallinfo2.restype = Mallinfo2


def malloc_bytes():
    """What malloc has handed out, large blocks included."""
    info = LIBC.mallinfo2()
    return info.uordblks + info.hblkhd


def usage():
    """References (where they are counted), blocks of Python's allocator, bytes of malloc."""
    re.purge()  # it keeps a pattern for each port that an error names
    gc.collect()
    clear = getattr(sys, "_clear_type_cache", None)
    if clear:  # it keeps a name for each class it has seen
        clear()
    references = getattr(sys, "gettotalrefcount", lambda: 0)()
    return references, sys.getallocatedblocks(), malloc_bytes()


def growth(figures):
    """What every round added at least, for each of the figures of usage()."""
    rounds = range(FIGURES, len(figures))
    return [min(figures[i] - figures[i - FIGURES] for i in rounds[kind::FIGURES])
            for kind in range(FIGURES)]
