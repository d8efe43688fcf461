"""Checks that the content of an image has the declared disk_format and is safe to store.

It uses the inspectors of oslo.utils. They are not fed the whole file, only its
first bytes, and its end if the format keeps something there. What an inspector would
conclude from more than that is read here.
"""

import dataclasses
import os
import re
import struct
from collections.abc import Collection
from typing import Any, BinaryIO

from oslo_utils.imageutils import format_inspector

from glance.domain import errors
from glance.image_data import external_references, partitions, vhdx

# The first bytes of a file that are inspected. They are enough for all formats but VHDX.
HEAD = 2**20
# Bytes at the end of a VMDK with a footer: marker, footer, end of stream.
TAIL = 1536
# The largest size in bytes that the database can store.
LARGEST = 2**63 - 1

# Formats without an inspector. Content of such a format must not be recognized as another one.
PLAIN = ('raw', 'ami', 'ari', 'aki', 'ploop')
# Kernels and ramdisks are no disks, but a Linux kernel looks like a disk with a broken MBR.
NO_DISK = ('ari', 'aki')
# Containers around a disk. They are not unpacked, so the disk inside is not inspected.
WRAPPING = ('ovf', 'ova', 'docker', 'compressed')

# The head of a ploop: magic, version, and the number of sectors of the disk. The number has 32
# bits after the older magic. Source: QEMU, docs/interop/parallels.txt.
_PLOOP_HEAD = struct.Struct('<16sI16xQ')
_PLOOP_SECTORS = {b'WithoutFreeSpace': 2**32 - 1, b'WithouFreSpacExt': 2**64 - 1}
_PLOOP_VERSION = 2

_LUKS_HEAD = 592  # bytes, all key slots included

_VHD_FIXED = 2  # the disk type of a VHD of fixed size

# QEMU recognizes a VMDK that is a text by this; the inspector uses another rule.
_VMDK_TEXT = re.compile(rb'(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n')

_FACTS = {
    ('qcow2', 'backing_file'): 'it has a backing file',
    ('qcow2', 'data_file'): 'it keeps its data in another file',
    ('vmdk', 'descriptor'): external_references.NOT_ONE_PLAIN_DISK,
    ('vmdk', 'footer'): 'its footer contradicts its header',
    ('luks', 'version'): 'only version 1 of LUKS can be checked',
}

# Checks of inspectors that are replaced by ones that ask for more evidence.
_CHECKED_HERE = (('qcow2', 'unknown_features'),)
# The option that accepts what is not safe.
_ACCEPTED_BY = {'gpt': '[image_format] gpt_safety_checks_nonfatal = mbr'}


@dataclasses.dataclass(frozen=True)
class Inspected:
    """The result. virtual_size is the size of the disk in bytes, or None if it is unknown."""

    virtual_size: int | None


def inspect(
    path: str,
    disk_format: str,
    *,
    container_format: str = 'bare',
    vmdk_allowed_types: Collection[str],
    require_match: bool = True,
    gpt_safety_checks_nonfatal: Collection[str] = (),
) -> Inspected:
    """Check the content of a file that is declared to have this disk_format.

    container_format            if it wraps a disk, the content may have no known
                                format, and its virtual size is unknown then
    vmdk_allowed_types          create types in lower or upper case; with an empty
                                list every VMDK is refused
    require_match               refuse content of another format
    gpt_safety_checks_nonfatal  names of checks of the GPT inspector to ignore

    Content of a recognized format must be safe, even if it need not match.

    Raises FormatMismatch. Its message names the format of the content, or what is
    wrong with it.
    """
    size = os.stat(path).st_size
    with open(path, 'rb') as file:
        head = file.read(HEAD)
        found = _recognized(file, head, size, disk_format)
        unsafe = _references(found, file, head)
    if disk_format in NO_DISK:
        found.pop('gpt', None)
    _check_match(found, disk_format, container_format, require_match)
    if 'gpt' in found and 'mbr' not in gpt_safety_checks_nonfatal:
        unsafe['gpt'] = partitions.fault(head)
    for name, inspector in found.items():
        if name != 'gpt':  # its only check is that of partitions, and would log a warning
            _check_safety(name, inspector)
        if unsafe.get(name):
            accepted = f'; {_ACCEPTED_BY[name]} accepts it' if name in _ACCEPTED_BY else ''
            raise errors.FormatMismatch(f'The {name} image is not safe: {unsafe[name]}{accepted}.')
    if 'vmdk' in found:
        _check_vmdk_type(found['vmdk'], vmdk_allowed_types)
    if container_format in WRAPPING and disk_format not in found:
        return Inspected(None)
    if disk_format == 'ploop' and not found.keys() - {'gpt'}:
        return Inspected(_ploop_size(head))
    return Inspected(_virtual_size(found, disk_format, size))


def _check_match(
    found: dict[str, Any], disk_format: str, container_format: str, require_match: bool
) -> None:
    """Refuse content of several formats and, if require_match, of another one."""
    specific = [name for name in found if name != 'gpt']
    has_partitions = (
        'gpt' in found and specific != ['iso'] and not isinstance(found.get('vhd'), _FixedVHD)
    )
    if len(specific) > 1 or (specific and has_partitions):
        raise errors.FormatMismatch(
            f'The content looks like several formats at once: {", ".join(sorted(found))}.'
        )
    if not require_match:
        return
    if not specific and (disk_format in PLAIN or container_format in WRAPPING):
        return
    if disk_format == 'gpt' and found.keys() == {'gpt'}:
        return
    if specific != [disk_format]:
        content = specific[0] if specific else 'raw'
        raise errors.FormatMismatch(
            f'The content is {content}, but disk_format says {disk_format}.'
        )


def _check_safety(name: str, inspector: Any) -> None:
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as failed:
        failures = [check for check in failed.failures if (name, check) not in _CHECKED_HERE]
        if failures:
            fact = _FACTS.get((name, failures[0]), 'this format is not accepted')
            raise errors.FormatMismatch(f'The {name} image is not safe: {fact}.') from None
    except Exception:  # inspectors do not catch the errors that strange content causes
        raise _uncheckable(name) from None


def _uncheckable(name: str) -> errors.FormatMismatch:
    return errors.FormatMismatch(
        f'The {name} image is malformed, or of a kind that this service cannot check.'
    )


def _check_vmdk_type(inspector: Any, allowed: Collection[str]) -> None:
    if inspector.vmdktype not in [kind.lower() for kind in allowed]:
        raise errors.FormatMismatch(
            f'The vmdk image is of the type {inspector.vmdktype}, which [image_format] '
            'vmdk_allowed_types does not accept.'
        )


def _virtual_size(found: dict[str, Any], disk_format: str, size: int) -> int | None:
    inspector = found.get(disk_format) if disk_format != 'gpt' else None
    if inspector is None:
        specific = [found[name] for name in found if name != 'gpt']
        inspector = specific[0] if specific else None
    if isinstance(inspector, format_inspector.LUKSInspector):
        # Its own size is that of what it has seen: the first bytes of the file.
        begin = 512 * inspector.header_items['payload_offset']
        # Before the end of the header: the header is detached, and the disk is another file.
        return size - begin if _LUKS_HEAD <= begin < size else None
    virtual_size: int = inspector.virtual_size if inspector is not None else size
    if isinstance(inspector, format_inspector.ISOInspector):
        # UDF has no volume descriptor of ISO 9660, and partitions may follow a volume.
        virtual_size = max(virtual_size, size)
    return _possible(virtual_size, disk_format)


def _ploop_size(head: bytes) -> int | None:
    """The size of the disk in a ploop; None if the content does not say it."""
    if len(head) < _PLOOP_HEAD.size:
        return None
    magic, version, sectors = _PLOOP_HEAD.unpack_from(head)
    if magic not in _PLOOP_SECTORS or version != _PLOOP_VERSION:
        return None
    return _possible(512 * (sectors & _PLOOP_SECTORS[magic]), 'ploop')


def _possible(virtual_size: int, disk_format: str) -> int:
    if virtual_size > LARGEST:
        raise errors.FormatMismatch(f'The {disk_format} image claims an impossible size.')
    return virtual_size


def _recognized(file: BinaryIO, head: bytes, size: int, disk_format: str) -> dict[str, Any]:
    """The inspectors that recognize a file, by name; except 'raw', which recognizes every file.

    head  the first HEAD bytes of the file
    size  bytes in the whole file
    """
    inspectors = {
        name: create() for name, create in format_inspector.ALL_FORMATS.items() if name != 'raw'
    }
    for name, inspector in inspectors.items():
        _feed(inspector, _padded(name, head))
    found: dict[str, Any] = {
        name: inspector for name, inspector in inspectors.items() if _matches(inspector)
    }
    if 'vhdx' in found:
        found['vhdx'] = _VHDX(file)
    if 'vmdk' in found and size > HEAD:
        file.seek(max(HEAD, size - TAIL))
        _feed(found['vmdk'], file.read(TAIL))
    for inspector in found.values():
        inspector.finish()
    if 'vmdk' not in found and _VMDK_TEXT.match(head[:65536]):
        raise errors.FormatMismatch('The content is the text of a VMDK, not a disk.')
    if disk_format == 'vhd' and not found.keys() - {'gpt'}:
        found |= _fixed_vhd(file, size)
    _check_other_formats(head, disk_format)
    return found


def _feed(inspector: Any, chunk: bytes) -> None:
    try:
        inspector.eat_chunk(chunk)
    except Exception:  # another format; or a broken file, which safety_check() reports
        pass


def _matches(inspector: Any) -> bool:
    try:
        return bool(inspector.format_match)
    except Exception:
        return False


def _padded(name: str, head: bytes) -> bytes:
    """The first bytes of a file, filled up so that they are long enough for each inspector.

    Inspectors do not recognize an incomplete header. QEMU does, as if zeros
    followed. A VMDK may be a text, which would end at the zeros, so line feeds
    are used for it.
    """
    least = 34 * 1024 + 512
    if len(head) >= least:
        return head
    return head.ljust(least, b'\n' if name == 'vmdk' else b'\0')


class _VHDX:
    """In place of the inspector of a VHDX, which wants to see all bytes up to its size."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            header = vhdx.read(file)
        except ValueError as error:
            raise errors.FormatMismatch(f'The vhdx image is malformed: {error}.') from None
        self.metadata = header.metadata
        self.virtual_size = header.virtual_size

    def finish(self) -> None:
        pass

    def safety_check(self) -> None:
        """external_references has the only check."""


class _FixedVHD(format_inspector.VHDInspector):
    """A VHD of fixed size: its header comes as a footer after the plain disk."""


def _fixed_vhd(file: BinaryIO, size: int) -> dict[str, Any]:
    """The inspector of a VHD of fixed size by its name; empty if the file is none."""
    if size % 512 or size < 1024:
        return {}
    file.seek(size - 512)
    footer = file.read(512)
    inspector = _FixedVHD()
    inspector.eat_chunk(footer)
    fixed = struct.unpack('>I', footer[60:64])[0] == _VHD_FIXED
    return {'vhd': inspector} if fixed and inspector.format_match else {}


def _check_other_formats(head: bytes, disk_format: str) -> None:
    """Refuse formats that only QEMU recognizes."""
    for magic, name in external_references.OTHER_FORMATS.items():
        if head.startswith(magic) and disk_format != name:
            raise errors.FormatMismatch(
                f'The content is {name}, but disk_format says {disk_format}.'
            )


def _references(found: dict[str, Any], file: BinaryIO, head: bytes) -> dict[str, str | None]:
    """For each found format, the reference to another file that its inspector misses, or None."""
    unsafe = {}
    for name, inspector in found.items():
        check = external_references.CHECKS.get(name)
        if check is None or isinstance(inspector, _FixedVHD):
            continue
        try:
            unsafe[name] = check(inspector, file, head)
        except Exception:  # as in _check_safety()
            raise _uncheckable(name) from None
    return unsafe


def is_recognized(path: str, disk_format: str) -> bool:
    """Whether the content of a file has the signature of this format. No file has one of raw."""
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return disk_format in _recognized(file, file.read(HEAD), size, disk_format)
        except errors.FormatMismatch:
            return False
