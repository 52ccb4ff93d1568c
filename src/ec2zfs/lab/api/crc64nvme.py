"""CRC-64/NVME in pure Python, for the checksums of S3 uploads. Pure.

The AWS SDK computes it in C (`awscrt`), which the lab does not ask for. Slicing by eight: about 15 MB/s.
"""

from __future__ import annotations

import struct

_POLYNOMIAL = 0x9A6C9329AC4BC9B5
_MASK = 0xFFFFFFFFFFFFFFFF


def _tables() -> tuple[tuple[int, ...], ...]:
    first = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ _POLYNOMIAL if remainder & 1 else remainder >> 1
        first.append(remainder)
    tables = [first]
    for _ in range(7):
        tables.append([(value >> 8) ^ first[value & 0xFF] for value in tables[-1]])
    return tuple(tuple(table) for table in tables)


_TABLES = _tables()


def crc64nvme(data: bytes) -> int:
    """The checksum of the bytes, as S3's `x-amz-checksum-crc64nvme` has it (big-endian there, 8 bytes)."""
    t0, t1, t2, t3, t4, t5, t6, t7 = _TABLES
    crc = _MASK
    whole = len(data) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", memoryview(data)[:whole]):
        crc ^= word
        crc = (
            t7[crc & 0xFF]
            ^ t6[crc >> 8 & 0xFF]
            ^ t5[crc >> 16 & 0xFF]
            ^ t4[crc >> 24 & 0xFF]
            ^ t3[crc >> 32 & 0xFF]
            ^ t2[crc >> 40 & 0xFF]
            ^ t1[crc >> 48 & 0xFF]
            ^ t0[crc >> 56]
        )
    for byte in data[whole:]:
        crc = t0[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _MASK
