"""Finds what is wrong with the partition table of a disk.

The signature at the end of a boot sector is no evidence of a partition table: the
file systems FAT, NTFS and exFAT have it too, as has any boot loader.
"""

import struct

_SECTOR = 512
_ENTRIES = slice(446, 510)
_ENTRY = struct.Struct('<B3sB3sII')  # flag, first CHS, type, last CHS, first sector, sectors
_FLAGS = (0x00, 0x80)
_PROTECTIVE = 0xEE  # the type of the entry that protects a GPT
_PROTECTIVE_START = (b'\x00\x02\x00', 1)  # CHS and sector, as UEFI wants them
_SECTOR_SIZES = (512, 1024, 2048, 4096)


def fault(head: bytes) -> str | None:
    """What is wrong with the partition table of a disk that begins with a boot sector, or None.

    head  at least the first 4104 bytes, if there are so many

    A fact completes the sentence "The gpt image is not safe: ".
    """
    entries = [_ENTRY.unpack_from(head, at) for at in range(_ENTRIES.start, _ENTRIES.stop, 16)]
    used = [number for number, entry in enumerate(entries, 1) if entry != _ENTRY.unpack(bytes(16))]
    has_gpt = any(head[at : at + 8] == b'EFI PART' for at in (512, 4096))
    if not has_gpt and (not used or _begins_file_system(head)):
        return None
    for number in used:
        flag, _first, kind, _last, start, sectors = entries[number - 1]
        if flag not in _FLAGS and (has_gpt or (len(used) < 4 and kind and start and sectors)):
            return f'partition {number} of its MBR has the invalid boot flag 0x{flag:02x}'
        if flag not in _FLAGS:
            return None  # the code of a boot loader
    kinds = [entry[2] for entry in entries]
    if _PROTECTIVE in kinds:
        _flag, first, _kind, _last, start, _sectors = entries[kinds.index(_PROTECTIVE)]
        if [kind for kind in kinds if kind] != [_PROTECTIVE] or kinds[0] != _PROTECTIVE:
            return 'the MBR that protects its GPT has further partitions'
        if (first, start) != _PROTECTIVE_START:
            return 'the MBR that protects its GPT does not begin where it must'
    elif has_gpt and not any(kinds):
        return 'its GPT is not protected by an MBR'
    return None


def _begins_file_system(head: bytes) -> bool:
    """Whether the boot sector has the parameter block of a file system."""
    if head[3:11] in (b'NTFS    ', b'EXFAT   '):
        return True
    sector_size, per_cluster = struct.unpack_from('<HB', head, 11)
    jumps = head[0] in (0xEB, 0xE9)
    return bool(jumps and sector_size in _SECTOR_SIZES and per_cluster.bit_count() == 1)
