"""The part of glance/testing/images.py that makes VHD and VHDX."""

import struct
import uuid

SECTOR = 512


def aligned(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def vhd(virtual_size: int = 2**20, *, disk_type: int = 3) -> bytes:
    """An empty VHD disk of growing size (disk_type 3) or of fixed size (2).

    disk_type 4 is one of differences to another.
    """
    cylinders = max(1, virtual_size // SECTOR // (4 * 17))
    footer = struct.pack(
        '>8sIIQI4sI4sQQHBBII16sB',
        b'conectix',
        2,
        0x10000,
        0xFFFFFFFFFFFFFFFF if disk_type == 2 else SECTOR,
        0,
        b'win ',
        0x000A0000,
        b'Wi2k',
        virtual_size,
        virtual_size,
        cylinders,
        4,
        17,
        disk_type,
        0,
        uuid.UUID(int=1).bytes,
        0,
    )
    footer = _with_checksum(aligned(footer, SECTOR), 64)
    if disk_type == 2:
        return bytes(virtual_size) + footer
    block = 2**21
    blocks = -(-virtual_size // block)
    header = struct.pack(
        '>8sQQIIII', b'cxsparse', 0xFFFFFFFFFFFFFFFF, 3 * SECTOR, 0x10000, blocks, block, 0
    )
    header = _with_checksum(header.ljust(1024, b'\0'), 36)
    return footer + header + aligned(b'\xff' * (4 * blocks), SECTOR) + footer


def _with_checksum(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack('>I', ~sum(data) & 0xFFFFFFFF) + data[at + 4 :]


def vhdx(virtual_size: int = 2**20, *, parent: bool = False) -> bytes:
    """An empty VHDX disk: 4 MiB, nearly all of it zeros.

    parent  it says that it is one of differences to another
    """
    mib = 2**20
    block = 32 * mib
    metadata_items = (
        (
            'CAA16737-FA36-4D43-B3B6-33F0AA44E76B',
            struct.pack('<II', block, 2 if parent else 0),
            0x4,
        ),
        ('2FA54224-CD1B-4876-B211-5DBED83BF4B8', struct.pack('<Q', virtual_size), 0x6),
        ('BECA12AB-B2E6-4523-93EF-C309E000C746', uuid.UUID(int=1).bytes_le, 0x6),
        ('8141BF1D-A96F-4709-BA47-F233A8FAAB5F', struct.pack('<I', SECTOR), 0x6),
        ('CDA348C7-445D-4471-9CC9-E9885251C556', struct.pack('<I', SECTOR), 0x6),
    )
    table = struct.pack('<8sHH20s', b'metadata', 0, len(metadata_items), b'')
    values = b''
    for guid, value, flags in metadata_items:
        table += struct.pack(
            '<16sIIII', uuid.UUID(guid).bytes_le, 65536 + len(values), len(value), flags, 0
        )
        values += value
    metadata = table.ljust(65536, b'\0') + values
    regions = struct.pack('<4sIII', b'regi', 0, 2, 0)
    for guid, at in (
        ('2DC27766-F623-4200-9D64-115E9BFD4A08', 3 * mib),
        ('8B7CA206-4790-4B9A-B8FE-575F050F886E', 2 * mib),
    ):
        regions += struct.pack('<16sQII', uuid.UUID(guid).bytes_le, at, mib, 1)
    regions = _with_crc32c(regions.ljust(65536, b'\0'))
    parts = [
        (0, b'vhdxfile' + 'glance'.encode('utf-16-le')),
        (192 * 1024, regions),
        (256 * 1024, regions),
        (2 * mib, metadata),
        (4 * mib, b''),
    ]
    for number in (1, 2):
        header = struct.pack(
            '<4sIQ16s16s16sHHIQ',
            b'head',
            0,
            number,
            uuid.UUID(int=number).bytes_le,
            uuid.UUID(int=3).bytes_le,
            b'',
            0,
            1,
            mib,
            mib,
        )
        parts.append((number * 65536, _with_crc32c(header.ljust(4096, b'\0'))))
    made = b''
    for at, part in sorted(parts):
        made = made.ljust(at, b'\0') + part
    return made


def _crc32c_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC32C = [_crc32c_of(byte) for byte in range(256)]


def _with_crc32c(data: bytes) -> bytes:
    """Data with its checksum (Castagnoli's) at byte 4, computed as if that were zero."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[crc & 0xFF ^ byte]
    return data[:4] + struct.pack('<I', crc ^ 0xFFFFFFFF) + data[8:]
