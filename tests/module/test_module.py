# SPDX-License-Identifier: Apache-2.0
"""The module as a whole: it comes from the build tree, and says which version it is."""

import necrostack
from station import BUILD


def test_it_is_the_one_of_the_build_tree():
    assert necrostack.__file__ == str(BUILD / "python/necrostack/__init__.py")
    assert necrostack.__version__ == necrostack._necrostack.version
