"""What an image may refer to outside itself, where the inspectors of oslo.utils do not look.

Each check is given the inspector, the file and its head. It returns a fact that
completes "The qcow2 image is not safe: ", or None.
"""

import re
import struct
import uuid

PARENT = 'it has a parent image'
ELSEWHERE = 'its descriptor names something other than one plain disk'
UNCHECKED = 'it uses features that cannot be checked'

# Formats that QEMU recognizes and the inspectors do not; what begins so is no plain disk.
UNKNOWN = {
    b'COWD': 'an old kind of vmdk',
    b'WithoutFreeSpace': 'ploop',
    b'WithouFreSpacExt': 'ploop',
    b'Bochs Virtual HD Image': 'bochs',
    b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop': 'cloop',
}

_QCOW2_DATA_FILE = 0x44415441  # type of a header extension
_QCOW2_LARGEST_CLUSTER = 2**21
_VHD_DIFFERENCING = 4
_VDI_KINDS = (1, 2)  # growing and fixed; the others are differences
_VMDK_EXTENT = re.compile(r'(rw|rdonly) [0-9]+ sparse "[^"/:\\]*"')
_VHDX_PARAMETERS = uuid.UUID('caa16737-fa36-4d43-b3b6-33f0aa44e76b').bytes_le
_VHDX_PARENT_LOCATOR = uuid.UUID('a8d35f2d-b30b-454d-abf7-d3d84834ab0c').bytes_le
_VHDX_HAS_PARENT = 2
_VHDX_REGIONS = (slice(192 * 1024, 256 * 1024), slice(256 * 1024, 320 * 1024))


def qcow2(_inspector, file, head):
    """A data file that is named although the feature bit for it is not set."""
    header = head[:104].ljust(104, b'\0')
    version, at = struct.unpack('>I', header[4:8])[0], 72
    if version > 2:
        at = struct.unpack('>I', header[100:104])[0]
    end = 1 << min(struct.unpack('>I', header[20:24])[0], 21)
    file.seek(0)
    cluster = file.read(min(end, _QCOW2_LARGEST_CLUSTER))
    if not 72 <= at <= end:
        return UNCHECKED
    while at + 8 <= len(cluster):
        kind, length = struct.unpack('>II', cluster[at : at + 8])
        if kind == _QCOW2_DATA_FILE:
            return 'it keeps its data in another file'
        if kind == 0:
            return None
        at += 8 + length + -length % 8
    return None


def vhd(_inspector, _file, head):
    differing = struct.pack('>I', _VHD_DIFFERENCING)
    return PARENT if head.startswith(b'conectix') and head[60:64] == differing else None


def vdi(_inspector, _file, head):
    (kind,) = struct.unpack('<I', head[76:80].ljust(4, b'\0'))
    return PARENT if kind not in _VDI_KINDS or any(head[424:456]) else None


def vhdx(inspector, file, head):
    """The flag and the item that name a parent, in the table that the inspector found."""
    first, second = (head[part] for part in _VHDX_REGIONS)
    if second.startswith(b'regi') and first != second:
        return UNCHECKED  # whoever takes the copy for the original sees something else
    begin = inspector.region('metadata').offset
    file.seek(begin)
    table = file.read(2048 * 32)
    (count,) = struct.unpack('<H', table[10:12])
    flagged = 0
    for at in range(32, min(32 + count * 32, len(table) - 31), 32):
        kind, offset = struct.unpack('<16sI', table[at : at + 20])
        if kind == _VHDX_PARENT_LOCATOR:
            return PARENT
        if kind == _VHDX_PARAMETERS:
            file.seek(begin + offset + 4)
            (flags,) = struct.unpack('<I', file.read(4).ljust(4, b'\xff'))
            flagged |= flags
    return PARENT if flagged & _VHDX_HAS_PARENT else None


def vmdk(inspector, _file, head):
    """A parent, several extents, or a header that leaves it to the descriptor where data is."""
    text = inspector.desc_text or ''
    if 'parentfilenamehint' in text or not re.search(
        r'^\s*parentcid\s*=\s*ffffffff\s*$', text, re.M
    ):
        return PARENT
    extents = re.findall(r'^\s*((?:rw|rdonly|noaccess)\s.*?)\s*$', text, re.M)
    if len(extents) != 1 or not _VMDK_EXTENT.fullmatch(' '.join(extents[0].split())):
        return ELSEWHERE
    if head.startswith(b'KDMV') and not any(head[12:20]):
        return ELSEWHERE  # no sectors of its own
    return None


CHECKS = {'qcow2': qcow2, 'vhd': vhd, 'vdi': vdi, 'vhdx': vhdx, 'vmdk': vmdk}
