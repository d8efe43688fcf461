"""Reads what the header of a VHDX says of the disk.

Source: [MS-VHDX], Virtual Hard Disk v2 (VHDX) File Format. The parts of a VHDX may be
anywhere in the file. Each is read where the one before says that it is.
"""

import dataclasses
import struct
import uuid
from typing import BinaryIO

_REGION_TABLE = 192 * 1024
_MOST_ENTRIES = 2047  # of both tables, by the format
_METADATA = uuid.UUID('8b7ca206-4790-4b9a-b8fe-575f050f886e').bytes_le
_DISK_SIZE = uuid.UUID('2fa54224-cd1b-4876-b211-5dbed83bf4b8').bytes_le


@dataclasses.dataclass(frozen=True)
class Header:
    """metadata is the offset of the metadata in the file; virtual_size is in bytes."""

    metadata: int
    virtual_size: int


def read(file: BinaryIO) -> Header:
    """Raises ValueError, which says what is missing."""
    file.seek(_REGION_TABLE)
    regions = file.read(16 + 32 * _MOST_ENTRIES)
    if regions[:4] != b'regi':
        raise ValueError('it has no region table')
    metadata = _find(regions, 16, _count('<8xI', regions), _METADATA, '<Q')
    if metadata is None:
        raise ValueError('its region table names no metadata')
    _seek(file, metadata)
    items = file.read(32 + 32 * _MOST_ENTRIES)
    if items[:8] != b'metadata':
        raise ValueError(f'there is no metadata at byte {metadata}')
    size_at = _find(items, 32, _count('<10xH', items), _DISK_SIZE, '<I')
    if size_at is None:
        raise ValueError('its metadata has no size of the disk')
    _seek(file, metadata + size_at)
    size = file.read(8)
    if len(size) < 8:
        raise ValueError('it ends before the size of the disk')
    return Header(metadata, struct.unpack('<Q', size)[0])


def _seek(file: BinaryIO, at: int) -> None:
    try:
        file.seek(at)
    except (OSError, OverflowError, ValueError):
        raise ValueError(f'there can be nothing at byte {at}') from None


def _count(form: str, table: bytes) -> int:
    (count,) = struct.unpack_from(form, table.ljust(16, b'\0'))
    return min(int(count), _MOST_ENTRIES)


def _find(table: bytes, begin: int, count: int, kind: bytes, form: str) -> int | None:
    """The number behind the id of an entry in a table, or None."""
    for at in range(begin, min(begin + 32 * count, len(table) - 31), 32):
        if table[at : at + 16] == kind:
            (found,) = struct.unpack_from(form, table, at + 16)
            return int(found)
    return None
