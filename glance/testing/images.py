"""Small real images, as bytes: what a test or a demonstration can import.

Where QEMU can read the format, "qemu-img check" and "qemu-img convert" accept
what is made here.
"""

import struct
import uuid
import zlib

SECTOR = 512


def raw(size: int = 1024) -> bytes:
    """Bytes that are of no format."""
    return bytes(1 + number % 251 for number in range(size))


def _aligned(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def qcow2(
    virtual_size: int = 2**20,
    data: bytes = b'',
    *,
    version: int = 3,
    backing_file: str = '',
    data_file: str = '',
    incompatible_features: int = 0,
) -> bytes:
    """A qcow2 disk of so many bytes that begins with data.

    backing_file, data_file  make it refer to another file
    """
    bits = 12
    cluster = 1 << bits
    per_table = cluster // 8
    span = cluster * per_table  # bytes of the disk that one L2 table describes
    data = _aligned(data, cluster)
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
        incompatible_features |= 1 << 2
        name = data_file.encode()
        extensions += struct.pack('>II', 0x44415441, len(name)) + _aligned(name, 8)
    extensions += bytes(8)
    length = 104 if version > 2 else 72
    backing = backing_file.encode()
    header = struct.pack(
        '>4sIQIIQIIQQIIQ', b'QFI\xfb', version,
        length + len(extensions) if backing else 0, len(backing), bits, virtual_size, 0,
        l1_entries, l1_at * cluster, cluster, 1, 0, 0)
    if version > 2:
        header += struct.pack('>QQQII', incompatible_features, 0, 0, 4, length)
    refcount_table = struct.pack(
        f'>{blocks}Q', *((2 + number) * cluster for number in range(blocks)))
    refcounts = struct.pack('>H', 1) * total
    l1 = struct.pack(
        f'>{l2_tables}Q', *((l2_at + number) * cluster | used for number in range(l2_tables)))
    l2 = struct.pack(
        f'>{data_clusters}Q',
        *((data_at + number) * cluster | used for number in range(data_clusters)))
    return b''.join((
        _aligned(header + extensions + backing, cluster),
        _aligned(refcount_table, cluster),
        refcounts.ljust(blocks * cluster, b'\0'),
        l1.ljust(l1_clusters * cluster, b'\0'),
        l2.ljust(l2_tables * cluster, b'\0'),
        data))


def vmdk(
    virtual_size: int = 2**20,
    *,
    create_type: str = 'monolithicSparse',
    extent: str = '',
    footer: bytes = b'',
) -> bytes:
    """An empty VMDK disk with the usual header, descriptor and tables.

    extent  another line in place of that of its one extent
    footer  bytes to put at the end; the header then says that they count
    """
    sectors = -(-virtual_size // SECTOR)
    tables = max(1, -(-sectors // (128 * 512)))
    directory = _aligned(bytes(tables * 4), SECTOR)
    directory_at = 21
    tables_at = directory_at + len(directory) // SECTOR
    grains_at = -(-(tables_at + tables * 4) // 128) * 128
    directory = _aligned(struct.pack(
        f'<{tables}I', *(tables_at + number * 4 for number in range(tables))), SECTOR)
    header = struct.pack(
        '<4sIIQQQQIQQQB4sH', b'KDMV', 1, 1, sectors, 128, 1, 20, 512, 0,
        0xFFFFFFFFFFFFFFFF if footer else directory_at, grains_at, 0, b'\n \r\n', 0)
    extent = extent or f'RW {sectors} SPARSE "disk.vmdk"'
    descriptor = '\n'.join((
        '# Disk DescriptorFile', 'version=1', 'CID=fffffffe', 'parentCID=ffffffff',
        f'createType="{create_type}"', '', '# Extent description', extent, '',
        '# The Disk Data Base', '#DDB', '', 'ddb.virtualHWVersion = "4"',
        'ddb.geometry.cylinders = "2"', 'ddb.geometry.heads = "16"',
        'ddb.geometry.sectors = "63"', 'ddb.adapterType = "ide"', '')).encode()
    return b''.join((
        _aligned(header, SECTOR),
        descriptor.ljust(20 * SECTOR, b'\0'),
        directory,
        bytes(tables * 4 * SECTOR),
        bytes((grains_at - tables_at - tables * 4) * SECTOR),
        footer))


def vmdk_text(extent: str = 'RW 2048 FLAT "/etc/passwd" 0', before: bytes = b'') -> bytes:
    """A VMDK that is only a descriptor, with an extent elsewhere."""
    return before + (
        '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n'
        f'createType="monolithicFlat"\n{extent}\n').encode()


def vdi(virtual_size: int = 2**20, *, image_type: int = 1) -> bytes:
    """An empty VDI disk. image_type 4 is one of differences to another."""
    block = 2**20
    blocks = -(-virtual_size // block)
    table = _aligned(b'\xff' * (4 * blocks), SECTOR)
    header = struct.pack(
        '<64sIIIII256sIIIIIIIQIIII16s16s16s16s', b'<<< QEMU VM Virtual Disk Image >>>\n',
        0xBEDA107F, 0x00010001, 0x180, image_type, 0, b'', SECTOR, SECTOR + len(table),
        0, 0, 0, SECTOR, 0, virtual_size, block, 0, blocks, 0,
        uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes, b'', b'')
    return _aligned(header, SECTOR) + table


def vhd(virtual_size: int = 2**20, *, disk_type: int = 3) -> bytes:
    """An empty VHD disk of growing size (disk_type 3) or of fixed size (2).

    disk_type 4 is one of differences to another.
    """
    cylinders = max(1, virtual_size // SECTOR // (4 * 17))
    footer = struct.pack(
        '>8sIIQI4sI4sQQHBBII16sB', b'conectix', 2, 0x10000,
        0xFFFFFFFFFFFFFFFF if disk_type == 2 else SECTOR, 0, b'win ', 0x000A0000, b'Wi2k',
        virtual_size, virtual_size, cylinders, 4, 17, disk_type, 0, uuid.UUID(int=1).bytes, 0)
    footer = _with_checksum(_aligned(footer, SECTOR), 64)
    if disk_type == 2:
        return bytes(virtual_size) + footer
    block = 2**21
    blocks = -(-virtual_size // block)
    header = struct.pack(
        '>8sQQIIII', b'cxsparse', 0xFFFFFFFFFFFFFFFF, 3 * SECTOR, 0x10000, blocks, block, 0)
    header = _with_checksum(header.ljust(1024, b'\0'), 36)
    return footer + header + _aligned(b'\xff' * (4 * blocks), SECTOR) + footer


def _with_checksum(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack('>I', ~sum(data) & 0xFFFFFFFF) + data[at + 4:]


def vhdx(virtual_size: int = 2**20) -> bytes:
    """An empty VHDX disk: 4 MiB, nearly all of it zeros."""
    mib = 2**20
    block = 32 * mib
    metadata_items = (
        ('CAA16737-FA36-4D43-B3B6-33F0AA44E76B', struct.pack('<II', block, 0), 0x4),
        ('2FA54224-CD1B-4876-B211-5DBED83BF4B8', struct.pack('<Q', virtual_size), 0x6),
        ('BECA12AB-B2E6-4523-93EF-C309E000C746', uuid.UUID(int=1).bytes_le, 0x6),
        ('8141BF1D-A96F-4709-BA47-F233A8FAAB5F', struct.pack('<I', SECTOR), 0x6),
        ('CDA348C7-445D-4471-9CC9-E9885251C556', struct.pack('<I', SECTOR), 0x6))
    table = struct.pack('<8sHH20s', b'metadata', 0, len(metadata_items), b'')
    values = b''
    for guid, value, flags in metadata_items:
        table += struct.pack(
            '<16sIIII', uuid.UUID(guid).bytes_le, 65536 + len(values), len(value), flags, 0)
        values += value
    metadata = table.ljust(65536, b'\0') + values
    regions = struct.pack('<4sIII', b'regi', 0, 2, 0)
    for guid, at in (('2DC27766-F623-4200-9D64-115E9BFD4A08', 3 * mib),
                     ('8B7CA206-4790-4B9A-B8FE-575F050F886E', 2 * mib)):
        regions += struct.pack('<16sQII', uuid.UUID(guid).bytes_le, at, mib, 1)
    regions = _with_crc32c(regions.ljust(65536, b'\0'))
    parts = [
        (0, b'vhdxfile' + 'glance'.encode('utf-16-le')),
        (192 * 1024, regions), (256 * 1024, regions), (2 * mib, metadata), (4 * mib, b'')]
    for number in (1, 2):
        header = struct.pack(
            '<4sIQ16s16s16sHHIQ', b'head', 0, number, uuid.UUID(int=number).bytes_le,
            uuid.UUID(int=3).bytes_le, b'', 0, 1, mib, mib)
        parts.append((number * 65536, _with_crc32c(header.ljust(4096, b'\0'))))
    made = b''
    for at, part in sorted(parts):
        made = made.ljust(at, b'\0') + part
    return made


def _with_crc32c(data: bytes) -> bytes:
    """Data with its checksum (Castagnoli's) at byte 4, computed as if that were zero."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return data[:4] + struct.pack('<I', crc ^ 0xFFFFFFFF) + data[8:]


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
        return (bytes((34, 0)) + both('I', 20) + both('I', block) + time + bytes((2, 0, 0))
                + both('H', 1) + bytes((1,)) + name)

    volume = b''.join((
        b'\x01CD001\x01\0', b' ' * 32, label.encode().ljust(32), bytes(8), both('I', 21),
        bytes(32), both('H', 1), both('H', 1), both('H', block), both('I', 10),
        struct.pack('<II', 18, 0), struct.pack('>II', 19, 0), entry(b'\0'),
        b' ' * (128 * 4 + 37 * 3), long_time * 4, b'\x01\0'))
    directory = entry(b'\0') + entry(b'\x01')
    path = b'\x01\0'
    return b''.join((
        mbr.ljust(16 * block, b'\0'),
        volume.ljust(block, b'\0'),
        b'\xffCD001\x01'.ljust(block, b'\0'),
        (path + struct.pack('<IH', 20, 1) + b'\0\0').ljust(block, b'\0'),
        (path + struct.pack('>IH', 20, 1) + b'\0\0').ljust(block, b'\0'),
        directory.ljust(block, b'\0')))


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
                '<8sIIIIQQQQ16sQIII', b'EFI PART', 0x10000, 92, checksum, 0, here, other,
                34, last - 33, uuid.UUID(int=1).bytes_le, entries_at, 128, 128,
                zlib.crc32(entries))

        return _aligned(packed(zlib.crc32(packed(0))), SECTOR)

    first = protective or mbr(kind=0xEE, boot=0, sectors=last)
    between = bytes((sectors - 67) * SECTOR)
    return b''.join((
        first, header(1, last, 2), entries, between, entries, header(last, 1, last - 32)))


def qed() -> bytes:
    """The head of a QED disk, a format that is never accepted."""
    return b'QED\0'.ljust(4096, b'\0')


def luks() -> bytes:
    """The head of a disk that is encrypted by LUKS, version 1."""
    return struct.pack('>6sH', b'LUKS\xba\xbe', 1).ljust(4096, b'\0')
