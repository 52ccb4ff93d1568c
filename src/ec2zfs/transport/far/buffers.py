"""Memory that the kernel copies into and out of at its full speed.

A page of a pipe begins at a page's edge. Where the other side of the copy begins 1 to 31 bytes after one, as whatever
Python allocates does, `rep movsb` of AMD's Zen 3, which Linux copies with, takes four times as long: it believes that
the two overlap (https://bugs.launchpad.net/bugs/2030515).
"""

from __future__ import annotations

import mmap


def buffer(size: int) -> memoryview:
    """So many bytes that begin at a page's edge; they are given back with the last view of them."""
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
