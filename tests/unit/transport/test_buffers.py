"""Where the kernel copies to and from."""

from __future__ import annotations

import ctypes
import mmap

import pytest

from ec2zfs.transport.far.buffers import buffer


@pytest.mark.parametrize("size", [1, 4096, (1 << 18) + 29])
def test_it_begins_at_a_pages_edge(size: int) -> None:
    room = buffer(size)
    assert len(room) == size
    assert ctypes.addressof(ctypes.c_char.from_buffer(room)) % mmap.PAGESIZE == 0
