"""Whether the content of an image is what its disk_format says, and safe to store.

The inspectors are those of oslo.utils. They are given the head of a file, and
its end where a format has something there, not every chunk of it.
"""

import dataclasses
import os
import re
import struct
import time

from oslo_utils.imageutils import format_inspector

from glance.domain import errors
from glance.image_data import references

HEAD = 2**20  # bytes that tell every format apart and hold all that is inspected, but VHDX
FURTHEST = 16 * 2**20  # bytes within which a VHDX must say its size
TAIL = 1536  # bytes at the end of a VMDK with a footer: marker, footer, end of stream
LARGEST = 2**63 - 1  # bytes; what a database can store

# The inspectors do not know ploop, nor the parts of an Amazon image: what is declared so
# must not be recognized as anything else.
PLAIN = ('raw', 'ami', 'ari', 'aki', 'ploop')
# Kernel and ramdisk are not booted as disks; a Linux kernel looks like a broken MBR.
NO_DISK = ('ari', 'aki')
# Containers around a disk, which are not unpacked to look into it.
WRAPPING = ('ovf', 'ova', 'docker', 'compressed')

_VHD_FIXED = 2

# As QEMU probes for a VMDK that is a text, which the inspector does in a different way.
_VMDK_TEXT = re.compile(rb'(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n')

_FACTS = {
    ('qcow2', 'backing_file'): 'it has a backing file',
    ('qcow2', 'data_file'): 'it keeps its data in another file',
    ('qcow2', 'unknown_features'): references.UNCHECKED,
    ('vmdk', 'descriptor'): references.ELSEWHERE,
    ('vmdk', 'footer'): 'its footer contradicts its header',
    ('gpt', 'mbr'): 'its partition table is broken',
    ('luks', 'version'): 'its version of LUKS cannot be checked',
}


@dataclasses.dataclass(frozen=True)
class Inspected:
    """What is known of the content. virtual_size: bytes of the disk, or None."""

    virtual_size: int | None


def inspect(
    path,
    disk_format,
    *,
    container_format='bare',
    vmdk_allowed_types,
    require_match=True,
    gpt_safety_checks_nonfatal=(),
):
    """Look at the content of a file that is declared to be of this disk_format.

    container_format  one that wraps a disk may hide any format; then the content
                      may also be of none, and the virtual size is not known
    vmdk_allowed_types           create types, in any case; none refuses VMDK
    require_match                refuse content of another format
    gpt_safety_checks_nonfatal   names of the GPT inspector's checks to pass over

    What is recognized must be safe, whether it has to match or not.

    Raises FormatMismatch with a sentence that says what the content is, or
    what is wrong with it.
    """
    size = os.stat(path).st_size
    with open(path, 'rb') as file:
        found = _recognized(file, size, disk_format)
        unsafe = _references(found, file)
    if disk_format in NO_DISK:
        found.pop('gpt', None)
    _check_match(found, disk_format, container_format, require_match)
    for name, inspector in found.items():
        _check_safety(name, inspector, gpt_safety_checks_nonfatal)
        if unsafe.get(name):
            raise errors.FormatMismatch(f'The {name} image is not safe: {unsafe[name]}.')
    if 'vmdk' in found:
        _check_vmdk_type(found['vmdk'], vmdk_allowed_types)
    if container_format in WRAPPING and disk_format not in found:
        return Inspected(None)
    return Inspected(_virtual_size(found, disk_format, size))


def _check_match(found, disk_format, container_format, require_match):
    specific = [name for name in found if name != 'gpt']
    partitions = (
        'gpt' in found and specific != ['iso'] and not isinstance(found.get('vhd'), _FixedVHD)
    )
    if len(specific) > 1 or (specific and partitions):
        raise errors.FormatMismatch(
            f'The content looks like several formats at once: {", ".join(sorted(found))}.'
        )
    if not require_match:
        return
    if not specific and (disk_format in PLAIN or container_format in WRAPPING):
        return
    if specific != [disk_format]:
        content = specific[0] if specific else 'raw'
        raise errors.FormatMismatch(
            f'The content is {content}, but disk_format says {disk_format}.'
        )


def _check_safety(name, inspector, nonfatal):
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as failed:
        broken = [check for check in failed.failures if name != 'gpt' or check not in nonfatal]
        if broken:
            fact = _FACTS.get((name, broken[0]), 'this format is not accepted')
            raise errors.FormatMismatch(f'The {name} image is not safe: {fact}.') from None
    except Exception:  # the inspectors raise whatever strange content makes them raise
        raise errors.FormatMismatch(f'The {name} image is malformed.') from None


def _check_vmdk_type(inspector, allowed):
    if inspector.vmdktype not in [kind.lower() for kind in allowed]:
        raise errors.FormatMismatch(
            f'The vmdk image is of the type {inspector.vmdktype}, which is not accepted.'
        )


def _virtual_size(found, disk_format, size):
    inspector = found.get(disk_format)
    if inspector is None:
        specific = [found[name] for name in found if name != 'gpt']
        inspector = specific[0] if specific else None
    virtual_size = inspector.virtual_size if inspector is not None else size
    if virtual_size == 0 and disk_format == 'iso':
        return size  # UDF without a volume descriptor of ISO 9660
    if virtual_size > LARGEST:
        raise errors.FormatMismatch(f'The {disk_format} image claims an impossible size.')
    return virtual_size


def _recognized(file, size, disk_format):
    """The inspectors that recognize a file, by name; without 'raw', which always does."""
    inspectors = {
        name: made() for name, made in format_inspector.ALL_FORMATS.items() if name != 'raw'
    }
    head = file.read(HEAD)
    for name, inspector in inspectors.items():
        _feed(inspector, _padded(name, head))
    found = {name: each for name, each in inspectors.items() if _matches(each)}
    if 'vhdx' in found:
        _feed_on(found['vhdx'], file)
    if 'vmdk' in found and size > HEAD:
        file.seek(max(HEAD, size - TAIL))
        _feed(found['vmdk'], file.read(TAIL))
    for inspector in found.values():
        inspector.finish()
    if 'vmdk' not in found and _VMDK_TEXT.match(head[:65536]):
        raise errors.FormatMismatch('The content is the text of a VMDK, not a disk.')
    if disk_format == 'vhd' and not found.keys() - {'gpt'}:
        found |= _fixed_vhd(file, size)
    _check_unknown(head, disk_format)
    return found


def _feed(inspector, chunk):
    try:
        inspector.eat_chunk(chunk)
    except Exception:  # it is not of this format, or broken, which safety_check() tells
        pass


def _matches(inspector):
    try:
        return inspector.format_match
    except Exception:
        return False


def _feed_on(inspector, file):
    """The rest of a file, as far as a format may need it that points ahead."""
    while not inspector.complete or not inspector.virtual_size:
        chunk = file.read(HEAD) if file.tell() < FURTHEST else b''
        if not chunk:
            raise errors.FormatMismatch('The vhdx image is malformed.')
        try:
            inspector.eat_chunk(chunk)
        except Exception:
            raise errors.FormatMismatch('The vhdx image is malformed.') from None
        time.sleep(0)  # other green threads may run


def _padded(name, head):
    """A head long enough for each inspector; they do not recognize half a header.

    QEMU does: it reads on as if there were zeros. A VMDK may be a text, which
    ends where zeros begin.
    """
    least = 34 * 1024 + 512
    if len(head) >= least:
        return head
    return head.ljust(least, b'\n' if name == 'vmdk' else b'\0')


class _FixedVHD(format_inspector.VHDInspector):
    """A VHD of fixed size: a plain disk, and a footer where the inspector looks for a header."""


def _fixed_vhd(file, size):
    if size % 512 or size < 1024:
        return {}
    file.seek(size - 512)
    footer = file.read(512)
    inspector = _FixedVHD()
    inspector.eat_chunk(footer)
    fixed = struct.unpack('>I', footer[60:64])[0] == _VHD_FIXED
    return {'vhd': inspector} if fixed and inspector.format_match else {}


def _check_unknown(head, disk_format):
    for magic, name in references.UNKNOWN.items():
        if head.startswith(magic) and disk_format != name:
            raise errors.FormatMismatch(
                f'The content is {name}, but disk_format says {disk_format}.'
            )


def _references(found, file):
    """For each format that was found, what is unsafe in it besides what its inspector tells."""
    file.seek(0)
    head = file.read(HEAD)
    unsafe = {}
    for name, inspector in found.items():
        check = references.CHECKS.get(name)
        if check is None or isinstance(inspector, _FixedVHD):
            continue
        try:
            unsafe[name] = check(inspector, file, head)
        except Exception:  # as with the inspectors
            raise errors.FormatMismatch(f'The {name} image is malformed.') from None
    return unsafe
