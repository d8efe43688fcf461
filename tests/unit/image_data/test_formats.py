import os
import shutil
import struct
import subprocess
import time

import pytest

from glance.domain import errors
from glance.image_data import formats
from glance.testing import images

TYPES = ['streamOptimized', 'monolithicSparse']

GOOD = {
    'qcow2': images.qcow2(2**24),
    'vmdk': images.vmdk(2**24),
    'vdi': images.vdi(2**24),
    'vhd': images.vhd(2**24),
    'vhdx': images.vhdx(2**24),
    'iso': images.iso(),
}


@pytest.fixture
def inspect(tmp_path):
    def inspected(content, disk_format, **options):
        path = tmp_path / 'image'
        path.write_bytes(content)
        options = {'vmdk_allowed_types': TYPES} | options
        return formats.inspect(str(path), disk_format, **options)

    def refused(content, disk_format, **options):
        with pytest.raises(errors.FormatMismatch) as caught:
            inspected(content, disk_format, **options)
        return str(caught.value)

    inspected.refused = refused
    return inspected


@pytest.mark.parametrize('disk_format', GOOD)
def test_the_virtual_size_is_what_the_format_says(inspect, disk_format):
    size = inspect(GOOD[disk_format], disk_format).virtual_size
    assert size == (len(GOOD['iso']) if disk_format == 'iso' else 2**24)


@pytest.mark.parametrize('disk_format', formats.PLAIN)
@pytest.mark.parametrize(
    'content',
    [
        b'x',
        images.raw(),
        images.raw(3 * 2**20),
        bytes(512),
        b'text\n' * 1000,
        images.gpt(),
        images.mbr().ljust(2**16, b'\0'),
    ],
)
def test_what_is_of_no_format_is_a_plain_disk_with_or_without_partitions(
    inspect, disk_format, content
):
    # A ploop says its size in its head.
    size = None if disk_format == 'ploop' else len(content)
    assert inspect(content, disk_format).virtual_size == size


def ploop(magic, sectors, version=2):
    return struct.pack('<16sI16xQ', magic, version, sectors).ljust(4096, b'\0')


@pytest.mark.parametrize(
    ('content', 'size'),
    [
        (ploop(b'WithouFreSpacExt', 2**40), 2**49),
        (ploop(b'WithoutFreeSpace', 2**40 + 9), 9 * 512),  # the upper half is of no meaning
        (ploop(b'WithouFreSpacExt', 9)[:44], 9 * 512),
        (ploop(b'WithouFreSpacExt', 9)[:43], None),
        (ploop(b'WithouFreSpacExt', 9, version=3), None),
        (ploop(b'WithouFreSpacEx\0', 9), None),
    ],
)
def test_the_size_of_a_ploop_is_that_in_its_head_or_unknown(inspect, content, size):
    assert inspect(content, 'ploop').virtual_size == size


def test_an_impossible_size_of_a_ploop_is_refused(inspect):
    content = ploop(b'WithouFreSpacExt', 2**63)
    assert 'claims an impossible size' in inspect.refused(content, 'ploop')


def test_qemu_and_we_agree_on_the_size_of_a_ploop(inspect, tmp_path, missing):
    if shutil.which('qemu-img') is None:
        missing('No qemu-img here.')
    made = tmp_path / 'made'
    subprocess.run(
        ['qemu-img', 'create', '-q', '-f', 'parallels', str(made), '24M'], check=True, timeout=60
    )
    assert inspect(made.read_bytes(), 'ploop').virtual_size == 24 * 2**20


@pytest.mark.parametrize('declared', [*GOOD, 'raw', 'ami', 'ari', 'aki', 'ploop'])
@pytest.mark.parametrize('content', GOOD)
def test_content_of_another_format_is_refused(inspect, declared, content):
    if declared == content:
        return
    assert inspect.refused(GOOD[content], declared) == (
        f'The content is {content}, but disk_format says {declared}.'
    )


@pytest.mark.parametrize('declared', GOOD)
def test_a_plain_disk_is_no_other_format(inspect, declared):
    for content in (images.raw(), images.gpt(), b'x'):
        assert inspect.refused(content, declared) == (
            f'The content is raw, but disk_format says {declared}.'
        )


@pytest.mark.parametrize(
    ('content', 'fact'),
    [
        (images.qcow2(backing_file='/etc/passwd'), 'it has a backing file'),
        (images.qcow2(backing_file='/etc/passwd', version=2), 'it has a backing file'),
        (images.qcow2(data_file='/etc/passwd'), 'it keeps its data in another file'),
        (images.qcow2(incompatible_features=1 << 2), 'it keeps its data in another file'),
        (
            images.qcow2(incompatible_features=1 << 7 | 1 << 40),
            'it uses features that cannot be checked (bits 7, 40)',
        ),
        *(
            (
                images.qcow2(version=version),
                f'it is version {version} of its format; only the versions 2 and 3 can be checked',
            )
            for version in (1, 7)
        ),
    ],
)
@pytest.mark.parametrize('require_match', [True, False])
def test_an_unsafe_qcow2_is_refused(inspect, content, fact, require_match):
    assert inspect.refused(content, 'qcow2', require_match=require_match) == (
        f'The qcow2 image is not safe: {fact}.'
    )


@pytest.mark.parametrize(
    'extent', ['RW 2048 FLAT "/etc/passwd" 0', 'RW 1 VMFSRAW "/dev/sda"', 'what is this']
)
def test_a_vmdk_that_names_other_files_is_refused(inspect, extent):
    assert 'its descriptor names something other than one plain disk' in inspect.refused(
        images.vmdk(extent=extent), 'vmdk'
    )


def test_only_listed_types_of_vmdk_pass(inspect):
    sparse, stream = images.vmdk(), images.vmdk(create_type='streamOptimized')
    assert inspect(sparse, 'vmdk').virtual_size == inspect(stream, 'vmdk').virtual_size == 2**20
    assert inspect.refused(sparse, 'vmdk', vmdk_allowed_types=['streamOptimized']) == (
        'The vmdk image is of the type monolithicsparse, which [image_format] '
        'vmdk_allowed_types does not accept.'
    )
    assert 'does not accept' in inspect.refused(stream, 'vmdk', vmdk_allowed_types=[])
    assert 'is not safe' in inspect.refused(
        images.vmdk(create_type='monolithicFlat'), 'vmdk', vmdk_allowed_types=['monolithicFlat']
    )


def test_the_end_of_a_vmdk_is_looked_at_when_its_header_says_so(inspect):
    header = images.vmdk()[:512]
    footer = (
        struct.pack('<QII', 1, 0, 3).ljust(512, b'\0')
        + header[:56]
        + struct.pack('<Q', 21)
        + header[64:]
        + bytes(512)
    )
    for padding in (b'', bytes(2**20), bytes(2**20 - 65536 - 700)):
        assert inspect(images.vmdk(footer=padding + footer), 'vmdk').virtual_size == 2**20
        assert 'its footer contradicts its header' in inspect.refused(
            images.vmdk(footer=padding + footer.replace(b'KDMV', b'kdmv')), 'vmdk'
        )


@pytest.mark.parametrize(
    'content',
    [
        images.vmdk_text(),
        images.vmdk_text(before=b'\n'),
        images.vmdk_text(before=b'# \xff\xfe not ASCII\n' * 3),
        images.vmdk_text(before=b'# a long comment ' * 400 + b'\n'),
        b'version=1\ncreateType="x"\nRW 1 FLAT "/etc/passwd" 0',
    ],
)
@pytest.mark.parametrize('declared', ['raw', 'vmdk'])
def test_the_text_of_a_vmdk_is_never_a_disk(inspect, content, declared):
    inspect.refused(content, declared)
    inspect.refused(content, declared, require_match=False)


@pytest.mark.parametrize(
    'content',
    [
        images.qcow2(backing_file='/etc/passwd')[:120],
        GOOD['qcow2'][:104],
        GOOD['vmdk'][:80],
        GOOD['vdi'][:400],
        GOOD['vhd'][:60],
        GOOD['vhdx'][:9],
        images.qed()[:4],
        images.luks()[:8],
    ],
)
def test_half_a_header_is_not_a_plain_disk(inspect, content):
    inspect.refused(content, 'raw')


@pytest.mark.parametrize('declared', ['raw', 'qcow2'])
def test_formats_nobody_may_declare_are_recognized(inspect, declared):
    assert inspect.refused(images.luks(), declared) == (
        f'The content is luks, but disk_format says {declared}.'
    )
    assert 'The content is qed' in inspect.refused(images.qed(), declared)
    assert 'this format is not accepted' in inspect.refused(
        images.qed(), declared, require_match=False
    )


def test_a_disk_of_fixed_size_is_a_vhd_and_a_plain_disk(inspect):
    content = images.vhd(2**20, disk_type=2)
    assert inspect(content, 'vhd').virtual_size == 2**20
    assert inspect(content, 'raw').virtual_size == len(content)


@pytest.mark.parametrize(
    ('disk_format', 'content'),
    [('vhd', images.vhd(disk_type=4)), ('vdi', images.vdi(image_type=4))],
)
def test_differences_to_another_disk_are_refused(inspect, disk_format, content):
    assert inspect.refused(content, disk_format) == (
        f'The {disk_format} image is not safe: it has a parent image.'
    )


def test_a_broken_partition_table_is_refused_unless_the_operator_passes_over_it(inspect):
    broken = images.gpt(protective=images.mbr(boot=0x17))
    assert inspect.refused(broken, 'raw') == (
        'The gpt image is not safe: partition 1 of its MBR has the invalid boot flag 0x17; '
        '[image_format] gpt_safety_checks_nonfatal = mbr accepts it.'
    )
    assert inspect(broken, 'raw', gpt_safety_checks_nonfatal=['mbr']).virtual_size == len(broken)


@pytest.mark.parametrize('disk_format', ['aki', 'ari'])
def test_a_kernel_may_look_like_a_broken_partition_table(inspect, disk_format):
    kernel = images.mbr(boot=0x17).ljust(8192, b'k')
    assert inspect(kernel, disk_format).virtual_size == 8192
    inspect.refused(kernel, 'ami')


def test_an_iso_may_boot_from_disk_too_if_its_partition_table_is_sound(inspect):
    assert inspect(images.iso(mbr=images.mbr()), 'iso').virtual_size > 0
    assert 'invalid boot flag' in inspect.refused(images.iso(mbr=images.mbr(boot=0x17)), 'iso')


def test_two_formats_in_one_are_refused(inspect):
    qcow2 = bytearray(images.qcow2(2**24, bytes(65536)))
    qcow2[32769:32774] = b'CD001'
    for declared in ('qcow2', 'iso', 'raw'):
        assert inspect.refused(bytes(qcow2), declared) == (
            'The content looks like several formats at once: iso, qcow2.'
        )
    with_mbr = bytearray(images.qcow2())
    with_mbr[510:512] = b'\x55\xaa'
    assert 'several formats' in inspect.refused(bytes(with_mbr), 'qcow2')


def test_an_impossible_size_is_refused(inspect):
    huge = bytearray(images.qcow2())
    huge[24:32] = b'\xff' * 8
    assert inspect.refused(bytes(huge), 'qcow2') == ('The qcow2 image claims an impossible size.')


def test_a_vhdx_may_have_its_parts_anywhere(inspect):
    content = bytearray(images.vhdx(2**24))
    metadata = content[2 * 2**20 : 3 * 2**20]
    content[2 * 2**20 : 3 * 2**20] = bytes(2**20)
    at = content.index(struct.pack('<Q', 2 * 2**20), 192 * 1024)
    for table in (at, at + 64 * 1024):
        content[table : table + 8] = struct.pack('<Q', 40 * 2**20)
    far = bytes(content).ljust(40 * 2**20, b'\0') + bytes(metadata)
    assert inspect(far, 'vhdx').virtual_size == 2**24


@pytest.mark.parametrize('offset', [2**62, 2**63 + 5, 2**64 - 1])
def test_a_vhdx_that_names_an_impossible_place_is_malformed(inspect, offset):
    content = bytearray(images.vhdx())
    at = content.index(struct.pack('<Q', 2 * 2**20), 192 * 1024)
    for table in (at, at + 64 * 1024):
        content[table : table + 8] = struct.pack('<Q', offset)
    assert inspect.refused(bytes(content), 'vhdx') == (
        f'The vhdx image is malformed: there can be nothing at byte {offset}.'
    )


@pytest.mark.parametrize(
    ('cut', 'fact'),
    [
        (100_000, 'it has no region table'),
        (192 * 1024 + 16, 'its region table names no metadata'),
        (300_000, 'there is no metadata at byte 2097152'),
        (2 * 2**20 + 32, 'its metadata has no size of the disk'),
    ],
)
def test_a_vhdx_that_does_not_say_its_size_is_refused_with_what_is_missing(inspect, cut, fact):
    content = images.vhdx()[:cut]
    assert inspect.refused(content, 'vhdx') == f'The vhdx image is malformed: {fact}.'


def test_the_size_of_what_is_encrypted_is_that_behind_the_header(inspect):
    content = images.luks(payload=8) + bytes(1000 * 512)
    assert inspect(content, 'luks').virtual_size == 1000 * 512
    assert inspect(content, 'luks').virtual_size == len(content) - 8 * 512
    for outside in (0, 1, 8, 9, 2**32 - 1):  # of a detached header, or one that is cut off
        assert inspect(images.luks(payload=outside), 'luks').virtual_size is None
    assert 'only version 1 of LUKS' in inspect.refused(images.luks(2), 'luks')


def test_partitions_behind_an_iso_belong_to_its_size(inspect):
    content = images.iso() + bytes(2**20)
    assert inspect(content, 'iso').virtual_size == len(content)


def test_a_feature_of_qcow2_that_moves_no_data_passes(inspect):
    for bit in (0, 1, 3, 4):  # dirty, corrupt, compression type, extended L2
        content = images.qcow2(incompatible_features=1 << bit)
        assert inspect(content, 'qcow2').virtual_size == 2**20


def boot_sector(begin=b'', code=b''):
    """A boot sector; code is what stands where a partition table would be."""
    return begin.ljust(446, b'\x90') + code.ljust(64, b'\0') + b'\x55\xaa'


NTFS = bytes.fromhex('eb5290') + b'NTFS    ' + struct.pack('<HB', 512, 8)
FAT = bytes.fromhex('eb3c90') + b'MSDOS5.0' + struct.pack('<HB', 512, 1)
EXFAT = bytes.fromhex('eb7690') + b'EXFAT   '
TEXT = b'Press any key to restart'
CODE = bytes(range(1, 65))


@pytest.mark.parametrize(
    'content',
    [
        *(boot_sector(begin, code) for begin in (NTFS, FAT, EXFAT) for code in (b'', TEXT, CODE)),
        boot_sector(),  # a disk without partitions
        boot_sector(code=CODE),  # the boot sector of a loader
        boot_sector(code=bytes.fromhex('00000000830000000000000000000000')),
    ],
)
@pytest.mark.parametrize('declared', ['raw', 'ami'])
def test_a_boot_signature_is_no_partition_table(inspect, content, declared):
    content += bytes(8192)
    assert inspect(content, declared).virtual_size == len(content)


@pytest.mark.parametrize(
    ('protective', 'fact'),
    [
        (images.mbr(kind=0xEE, start=9), 'does not begin where it must'),
        (
            images.mbr(kind=0xEE, boot=0)[:462]
            + images.mbr(boot=0)[446:462]
            + bytes(32)
            + b'U\xaa',
            'has further partitions',
        ),
        (boot_sector(), 'not protected by an MBR'),
        (boot_sector(FAT, CODE), 'partition 1 of its MBR has the invalid boot flag 0x01'),
    ],
)
def test_a_gpt_is_checked_whatever_its_boot_sector_looks_like(inspect, protective, fact):
    for content in (images.gpt(protective=protective), four_kib(protective)):
        sentence = inspect.refused(content, 'raw')
        assert fact in sentence
        assert '[image_format] gpt_safety_checks_nonfatal = mbr accepts it' in sentence


def four_kib(protective):
    """The begin of a disk with sectors of 4 KiB, so that its GPT begins there."""
    return protective.ljust(4096, b'\0') + b'EFI PART' + bytes(8192)


def test_a_disk_with_partitions_may_be_declared_as_such(inspect):
    for content in (images.gpt(), images.gpt() + bytes(2**21)):
        assert inspect(content, 'gpt').virtual_size == len(content)
    assert inspect.refused(images.raw(), 'gpt') == 'The content is raw, but disk_format says gpt.'


def test_another_format_passes_when_it_need_not_match(inspect):
    assert inspect(GOOD['qcow2'], 'raw', require_match=False).virtual_size == 2**24
    assert inspect(images.raw(), 'qcow2', require_match=False).virtual_size == 1024


@pytest.mark.parametrize('container_format', formats.WRAPPING)
def test_a_container_may_hide_a_disk_but_not_be_another(inspect, container_format):
    options = {'container_format': container_format}
    assert inspect(images.raw(), 'vmdk', **options).virtual_size is None
    assert inspect(GOOD['vmdk'], 'vmdk', **options).virtual_size == 2**24
    assert 'The content is qcow2' in inspect.refused(GOOD['qcow2'], 'vmdk', **options)
    assert 'backing file' in inspect.refused(images.qcow2(backing_file='x'), 'qcow2', **options)


def test_a_small_plain_image_costs_little(tmp_path):
    path = tmp_path / 'image'
    path.write_bytes(images.raw())
    formats.inspect(str(path), 'raw', vmdk_allowed_types=TYPES)
    costs = []
    for _ in range(50):
        begun = time.perf_counter()
        formats.inspect(str(path), 'raw', vmdk_allowed_types=TYPES)
        costs.append(time.perf_counter() - begun)
    assert min(costs) < 0.001  # seconds; 0.2 ms where it was measured


@pytest.mark.parametrize(
    ('content', 'qemu_format'),
    [
        (images.qcow2(), 'qcow2'),
        (images.qcow2(2**30, os.urandom(10**6)), 'qcow2'),
        (images.qcow2(2**24, bytes(10**7)), 'qcow2'),
        (images.qcow2(version=2, data=b'bits'), 'qcow2'),
        (images.vmdk(), 'vmdk'),
        (images.vmdk(2**32), 'vmdk'),
        (images.vdi(), 'vdi'),
        (images.vhd(), 'vpc'),
        (images.vhd(disk_type=2), 'vpc'),
        (images.vhdx(), 'vhdx'),
    ],
)
def test_the_images_of_the_tests_are_real(tmp_path, missing, content, qemu_format):
    if shutil.which('qemu-img') is None:
        missing('No qemu-img here.')
    path = tmp_path / 'image'
    path.write_bytes(content)
    if qemu_format != 'vpc':
        subprocess.run(['qemu-img', 'check', '-q', '-f', qemu_format, path], check=True)
    subprocess.run(
        ['qemu-img', 'convert', '-f', qemu_format, '-O', 'raw', path, tmp_path / 'raw'], check=True
    )
    disk_format = 'vhd' if qemu_format == 'vpc' else qemu_format
    inspected = formats.inspect(str(path), disk_format, vmdk_allowed_types=TYPES)
    assert inspected.virtual_size == (tmp_path / 'raw').stat().st_size


@pytest.mark.parametrize(
    ('disk_format', 'arguments'),
    [
        ('qcow2', ['-O', 'qcow2']),
        ('qcow2', ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd']),
        ('qcow2', ['-O', 'qcow2', '-o', 'compat=0.10']),
        ('vmdk', ['-O', 'vmdk']),
        ('vmdk', ['-O', 'vmdk', '-o', 'subformat=streamOptimized']),
        ('vdi', ['-O', 'vdi']),
        ('vdi', ['-O', 'vdi', '-o', 'static=on']),
        ('vhd', ['-O', 'vpc', '-o', 'force_size=on']),
        ('vhd', ['-O', 'vpc', '-o', 'force_size=on,subformat=fixed']),
        ('vhdx', ['-O', 'vhdx']),
        ('vhdx', ['-O', 'vhdx', '-o', 'subformat=fixed']),
        ('raw', ['-O', 'raw']),
    ],
)
def test_what_qemu_makes_passes(tmp_path, missing, disk_format, arguments):
    if shutil.which('qemu-img') is None:
        missing('No qemu-img here.')
    (tmp_path / 'raw').write_bytes(images.gpt(8192).ljust(2**22, b'\0')[:-1] + os.urandom(1))
    path = tmp_path / 'image'
    subprocess.run(
        ['qemu-img', 'convert', '-f', 'raw', *arguments, tmp_path / 'raw', path], check=True
    )
    inspected = formats.inspect(str(path), disk_format, vmdk_allowed_types=TYPES)
    assert inspected.virtual_size == 2**22
