"""Finds references from an image to other files that the inspectors of oslo.utils miss.

Each check gets the inspector, the file and its first bytes. It returns None, or a
fact that completes the sentence "The qcow2 image is not safe: ".
"""

import re
import struct
import uuid
from collections.abc import Callable
from typing import Any, BinaryIO

HAS_PARENT = 'it has a parent image'
NOT_ONE_PLAIN_DISK = 'its descriptor names something other than one plain disk'
UNCHECKABLE_FEATURES = 'it uses features that cannot be checked'

# First bytes of formats that QEMU recognizes and the inspectors do not.
OTHER_FORMATS = {
    b'COWD': 'an old kind of vmdk',
    b'WithoutFreeSpace': 'ploop',
    b'WithouFreSpacExt': 'ploop',
    b'Bochs Virtual HD Image': 'bochs',
    b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop': 'cloop',
}

# Dirty, corrupt, data file (which the inspector refuses), compression type, extended L2.
_QCOW2_FEATURES = range(5)
_QCOW2_DATA_FILE = 0x44415441  # type of a header extension
_QCOW2_LARGEST_CLUSTER = 2**21
_VHD_DIFFERENCING = 4  # the disk type of an image with a parent
_VDI_PLAIN_KINDS = (1, 2)  # growing and fixed; all other kinds need a parent
_VMDK_ACCESS = ('rw', 'rdonly', 'noaccess')
_VMDK_EXTENT = re.compile(r'(rw|rdonly) [0-9]+ sparse "[^"/:\\]*"')
_VHDX_PARAMETERS = uuid.UUID('caa16737-fa36-4d43-b3b6-33f0aa44e76b').bytes_le
_VHDX_PARENT_LOCATOR = uuid.UUID('a8d35f2d-b30b-454d-abf7-d3d84834ab0c').bytes_le
_VHDX_HAS_PARENT = 2  # a flag of the file parameters
_VHDX_REGIONS = (slice(192 * 1024, 256 * 1024), slice(256 * 1024, 320 * 1024))


def qcow2(_inspector: Any, file: BinaryIO, head: bytes) -> str | None:
    """Find an unknown feature, and a data file even if its feature bit is not set."""
    header = head[:104].ljust(104, b'\0')
    version, at = struct.unpack('>I', header[4:8])[0], 72
    if version not in (2, 3):
        return f'it is version {version} of its format; only the versions 2 and 3 can be checked'
    if version > 2:
        (features,) = struct.unpack('>Q', header[72:80])
        unknown = [bit for bit in range(64) if features >> bit & 1 and bit not in _QCOW2_FEATURES]
        if unknown:
            return f'{UNCHECKABLE_FEATURES} (bits {", ".join(map(str, unknown))})'
        at = struct.unpack('>I', header[100:104])[0]
    end = 1 << min(struct.unpack('>I', header[20:24])[0], 21)
    file.seek(0)
    cluster = file.read(min(end, _QCOW2_LARGEST_CLUSTER))
    if not 72 <= at <= end:
        return UNCHECKABLE_FEATURES
    while at + 8 <= len(cluster):
        kind, length = struct.unpack('>II', cluster[at : at + 8])
        if kind == _QCOW2_DATA_FILE:
            return 'it keeps its data in another file'
        if kind == 0:
            return None
        at += 8 + length + -length % 8
    return None


def vhd(_inspector: Any, _file: BinaryIO, head: bytes) -> str | None:
    """Find a differencing disk by its type."""
    differing = struct.pack('>I', _VHD_DIFFERENCING)
    return HAS_PARENT if head.startswith(b'conectix') and head[60:64] == differing else None


def vdi(_inspector: Any, _file: BinaryIO, head: bytes) -> str | None:
    """Find a differencing disk by its kind, or by the UUID of a parent."""
    (kind,) = struct.unpack('<I', head[76:80].ljust(4, b'\0'))
    return HAS_PARENT if kind not in _VDI_PLAIN_KINDS or any(head[424:456]) else None


def vhdx(inspector: Any, file: BinaryIO, head: bytes) -> str | None:
    """Find the flag or the item for a parent in the table that the inspector found."""
    first, second = (head[part] for part in _VHDX_REGIONS)
    if second.startswith(b'regi') and first != second:
        return UNCHECKABLE_FEATURES  # programs that use the second copy would see another table
    begin = inspector.metadata
    file.seek(begin)
    table = file.read(2048 * 32)
    (count,) = struct.unpack('<H', table[10:12])
    flagged = 0
    for at in range(32, min(32 + count * 32, len(table) - 31), 32):
        kind, offset = struct.unpack('<16sI', table[at : at + 20])
        if kind == _VHDX_PARENT_LOCATOR:
            return HAS_PARENT
        if kind == _VHDX_PARAMETERS:
            file.seek(begin + offset + 4)
            (flags,) = struct.unpack('<I', file.read(4).ljust(4, b'\xff'))
            flagged |= flags
    return HAS_PARENT if flagged & _VHDX_HAS_PARENT else None


def vmdk(inspector: Any, _file: BinaryIO, head: bytes) -> str | None:
    """Find a parent, several extents, or a header without data of its own."""
    # Words by lines: a pattern that may go on over line ends takes the square of their number.
    text = inspector.desc_text or ''
    lines = [line.split() for line in text.split('\n') if line and not line.isspace()]
    settings = [''.join(words) for words in lines]
    if any('parentfilenamehint' in one for one in settings) or (
        'parentcid=ffffffff' not in settings
    ):
        return HAS_PARENT
    extents = [' '.join(words) for words in lines if words and words[0] in _VMDK_ACCESS]
    if len(extents) != 1 or not _VMDK_EXTENT.fullmatch(extents[0]):
        return NOT_ONE_PLAIN_DISK
    if head.startswith(b'KDMV') and not any(head[12:20]):
        return NOT_ONE_PLAIN_DISK  # the header says that the file holds no sectors
    return None


CHECKS: dict[str, Callable[[Any, BinaryIO, bytes], str | None]] = {
    'qcow2': qcow2,
    'vhd': vhd,
    'vdi': vdi,
    'vhdx': vhdx,
    'vmdk': vmdk,
}
