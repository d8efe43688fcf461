"""Small real images, as bytes: what a test or a demonstration can import.

Where QEMU can read the format, "qemu-img check" and "qemu-img convert" accept
what is made here.
"""

import struct
import uuid
import zlib

from glance.testing._vhd import SECTOR, aligned
from glance.testing._vhd import vhd as vhd
from glance.testing._vhd import vhdx as vhdx


def raw(size: int = 1024) -> bytes:
    """Bytes that are of no format."""
    period = bytes(range(1, 252))
    return (period * (size // len(period) + 1))[:size]


def qcow2(
    virtual_size: int = 2**20,
    data: bytes = b'',
    *,
    version: int = 3,
    backing_file: str = '',
    data_file: str = '',
    hidden: bool = False,
    incompatible_features: int = 0,
) -> bytes:
    """A qcow2 disk of so many bytes that begins with data.

    backing_file, data_file  make it refer to another file
    hidden                   without the feature bit that announces a data file
    """
    bits = 12
    cluster = 1 << bits
    per_table = cluster // 8
    span = cluster * per_table  # bytes of the disk that one L2 table describes
    data = aligned(data, cluster)
    virtual_size = max(virtual_size, len(data))
    data_clusters = len(data) // cluster
    l2_tables = -(-len(data) // span)
    l1_entries = max(1, -(-virtual_size // span))
    l1_clusters = -(-l1_entries * 8 // cluster)
    blocks = 1
    while (total := 2 + blocks + l1_clusters + l2_tables + data_clusters) > blocks * cluster // 2:
        blocks += 1
    l1_at = 2 + blocks
    l2_at = l1_at + l1_clusters
    data_at = l2_at + l2_tables
    used = 1 << 63  # the flag of a cluster that is referred to once

    extensions = b''
    if data_file:
        incompatible_features |= 0 if hidden else 1 << 2
        name = data_file.encode()
        extensions += struct.pack('>II', 0x44415441, len(name)) + aligned(name, 8)
    extensions += bytes(8)
    length = 104 if version > 2 else 72
    backing = backing_file.encode()
    header = struct.pack(
        '>4sIQIIQIIQQIIQ',
        b'QFI\xfb',
        version,
        length + len(extensions) if backing else 0,
        len(backing),
        bits,
        virtual_size,
        0,
        l1_entries,
        l1_at * cluster,
        cluster,
        1,
        0,
        0,
    )
    if version > 2:
        header += struct.pack('>QQQII', incompatible_features, 0, 0, 4, length)
    refcount_table = struct.pack(
        f'>{blocks}Q', *((2 + number) * cluster for number in range(blocks))
    )
    refcounts = struct.pack('>H', 1) * total
    l1 = struct.pack(
        f'>{l2_tables}Q', *((l2_at + number) * cluster | used for number in range(l2_tables))
    )
    l2 = struct.pack(
        f'>{data_clusters}Q',
        *((data_at + number) * cluster | used for number in range(data_clusters)),
    )
    return b''.join(
        (
            aligned(header + extensions + backing, cluster),
            aligned(refcount_table, cluster),
            refcounts.ljust(blocks * cluster, b'\0'),
            l1.ljust(l1_clusters * cluster, b'\0'),
            l2.ljust(l2_tables * cluster, b'\0'),
            data,
        )
    )


def vmdk(
    virtual_size: int = 2**20,
    *,
    create_type: str = 'monolithicSparse',
    extent: str = '',
    parent: str = '',
    empty: bool = False,
    footer: bytes = b'',
) -> bytes:
    """An empty VMDK disk with the usual header, descriptor and tables.

    extent  another line in place of that of its one extent
    parent  another image to whose content it adds
    empty   a header without a size, which leaves it to the descriptor where data is
    footer  bytes to put at the end; the header then says that they count
    """
    sectors = -(-virtual_size // SECTOR)
    tables = max(1, -(-sectors // (128 * 512)))
    directory = aligned(bytes(tables * 4), SECTOR)
    directory_at = 21
    tables_at = directory_at + len(directory) // SECTOR
    grains_at = -(-(tables_at + tables * 4) // 128) * 128
    directory = aligned(
        struct.pack(f'<{tables}I', *(tables_at + number * 4 for number in range(tables))), SECTOR
    )
    header = struct.pack(
        '<4sIIQQQQIQQQB4sH',
        b'KDMV',
        1,
        1,
        0 if empty else sectors,
        128,
        1,
        20,
        512,
        0,
        0xFFFFFFFFFFFFFFFF if footer else directory_at,
        grains_at,
        0,
        b'\n \r\n',
        0,
    )
    extent = extent or f'RW {sectors} SPARSE "disk.vmdk"'
    descriptor = '\n'.join(
        (
            '# Disk DescriptorFile',
            'version=1',
            'CID=fffffffe',
            f'parentCID={"00000001" if parent else "ffffffff"}',
            f'createType="{create_type}"',
            f'parentFileNameHint="{parent}"' if parent else '',
            '# Extent description',
            extent,
            '',
            '# The Disk Data Base',
            '#DDB',
            '',
            'ddb.virtualHWVersion = "4"',
            'ddb.geometry.cylinders = "2"',
            'ddb.geometry.heads = "16"',
            'ddb.geometry.sectors = "63"',
            'ddb.adapterType = "ide"',
            '',
        )
    ).encode()
    return b''.join(
        (
            aligned(header, SECTOR),
            descriptor.ljust(20 * SECTOR, b'\0'),
            directory,
            bytes(tables * 4 * SECTOR),
            bytes((grains_at - tables_at - tables * 4) * SECTOR),
            footer,
        )
    )


def vmdk_text(extent: str = 'RW 2048 FLAT "/etc/passwd" 0', before: bytes = b'') -> bytes:
    """A VMDK that is only a descriptor, with an extent elsewhere."""
    return (
        before
        + (
            '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n'
            f'createType="monolithicFlat"\n{extent}\n'
        ).encode()
    )


def vdi(virtual_size: int = 2**20, *, image_type: int = 1) -> bytes:
    """An empty VDI disk. image_type 4 is one of differences to another."""
    block = 2**20
    blocks = -(-virtual_size // block)
    table = aligned(b'\xff' * (4 * blocks), SECTOR)
    header = struct.pack(
        '<64sIIIII256sIIIIIIIQIIII16s16s16s16s',
        b'<<< QEMU VM Virtual Disk Image >>>\n',
        0xBEDA107F,
        0x00010001,
        0x180,
        image_type,
        0,
        b'',
        SECTOR,
        SECTOR + len(table),
        0,
        0,
        0,
        SECTOR,
        0,
        virtual_size,
        block,
        0,
        blocks,
        0,
        uuid.UUID(int=1).bytes,
        uuid.UUID(int=2).bytes,
        b'',
        b'',
    )
    return aligned(header, SECTOR) + table


def iso(label: str = 'GLANCE', *, mbr: bytes = b'') -> bytes:
    """An ISO 9660 file system with an empty root directory.

    mbr  a boot sector in front of it, as images have that boot from disk as well
    """
    block = 2048

    def both(form: str, number: int) -> bytes:
        return struct.pack('<' + form, number) + struct.pack('>' + form, number)

    time = bytes((124, 1, 1, 0, 0, 0, 0))
    long_time = b'0' * 16 + b'\0'

    def entry(name: bytes) -> bytes:
        return (
            bytes((34, 0))
            + both('I', 20)
            + both('I', block)
            + time
            + bytes((2, 0, 0))
            + both('H', 1)
            + bytes((1,))
            + name
        )

    volume = b''.join(
        (
            b'\x01CD001\x01\0',
            b' ' * 32,
            label.encode().ljust(32),
            bytes(8),
            both('I', 21),
            bytes(32),
            both('H', 1),
            both('H', 1),
            both('H', block),
            both('I', 10),
            struct.pack('<II', 18, 0),
            struct.pack('>II', 19, 0),
            entry(b'\0'),
            b' ' * (128 * 4 + 37 * 3),
            long_time * 4,
            b'\x01\0',
        )
    )
    directory = entry(b'\0') + entry(b'\x01')
    path = b'\x01\0'
    return b''.join(
        (
            mbr.ljust(16 * block, b'\0'),
            volume.ljust(block, b'\0'),
            b'\xffCD001\x01'.ljust(block, b'\0'),
            (path + struct.pack('<IH', 20, 1) + b'\0\0').ljust(block, b'\0'),
            (path + struct.pack('>IH', 20, 1) + b'\0\0').ljust(block, b'\0'),
            directory.ljust(block, b'\0'),
        )
    )


def mbr(*, kind: int = 0x83, boot: int = 0x80, start: int = 1, sectors: int = 63) -> bytes:
    """A boot sector with one partition. Other values of boot than 0 and 0x80 are invalid."""
    partition = struct.pack('<B3sB3sII', boot, b'\0\2\0', kind, b'\xff\xff\xff', start, sectors)
    return bytes(446) + partition + bytes(48) + b'\x55\xaa'


def gpt(sectors: int = 128, *, protective: bytes = b'') -> bytes:
    """A raw disk with an empty GUID partition table, and its copy at the end.

    protective  another boot sector than the one that belongs there
    """
    entries = bytes(128 * 128)
    last = sectors - 1

    def header(here: int, other: int, entries_at: int) -> bytes:
        def packed(checksum: int) -> bytes:
            return struct.pack(
                '<8sIIIIQQQQ16sQIII',
                b'EFI PART',
                0x10000,
                92,
                checksum,
                0,
                here,
                other,
                34,
                last - 33,
                uuid.UUID(int=1).bytes_le,
                entries_at,
                128,
                128,
                zlib.crc32(entries),
            )

        return aligned(packed(zlib.crc32(packed(0))), SECTOR)

    first = protective or mbr(kind=0xEE, boot=0, sectors=last)
    between = bytes((sectors - 67) * SECTOR)
    return b''.join(
        (first, header(1, last, 2), entries, between, entries, header(last, 1, last - 32))
    )


def qed() -> bytes:
    """The head of a QED disk, a format that is never accepted."""
    return b'QED\0'.ljust(4096, b'\0')


def luks(version: int = 1, *, payload: int = 8) -> bytes:
    """The head of a disk that is encrypted by LUKS.

    payload  the sector at which the encrypted disk begins
    """
    head = struct.pack('>6sH', b'LUKS\xba\xbe', version).ljust(104, b'\0')
    return (head + struct.pack('>I', payload)).ljust(4096, b'\0')
