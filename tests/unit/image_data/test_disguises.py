"""Images that are not what they say, each with the sentence by which it is refused."""

import json
import shutil
import struct
import subprocess

import pytest

from glance.domain import errors
from glance.image_data import formats
from glance.testing import images

PARENT = 'it has a parent image'
ELSEWHERE = 'its descriptor names something other than one plain disk'
BROKEN = 'mbr accepts it'


def put(content, at, data):
    return content[:at] + data + content[at + len(data) :]


def with_footer(footer):
    """A VMDK whose footer, which counts, is not its header."""
    marker = struct.pack('<QII', 1, 0, 3).ljust(512, b'\0')
    return images.vmdk(footer=marker + footer.ljust(512, b'\0') + bytes(512))


LOCATOR = bytes.fromhex('2d5fd3a80bb34d45abf7d3d84834ab0c')


def with_locator():
    """A VHDX in whose table of metadata the last item is a locator of its parent."""
    content = images.vhdx()
    table = 2 * 2**20
    (count,) = struct.unpack('<H', content[table + 10 : table + 12])
    return put(content, table + 32 * count, LOCATOR)


# disk_format, content, what the sentence says
DISGUISES = {
    'qcow2 as raw': ('raw', images.qcow2(), 'The content is qcow2'),
    'raw as qcow2': ('qcow2', images.raw(), 'The content is raw'),
    'vmdk as vdi': ('vdi', images.vmdk(), 'The content is vmdk'),
    'qcow2 with a backing file': (
        'qcow2',
        images.qcow2(backing_file='/etc/passwd'),
        'it has a backing file',
    ),
    'qcow2 that is half a header': ('raw', images.qcow2()[:104], 'The content is qcow2'),
    'qcow2 with a data file': ('qcow2', images.qcow2(data_file='/etc/passwd'), 'another file'),
    'qcow2 with a data file and no bit for it': (
        'qcow2',
        images.qcow2(data_file='/etc/passwd', hidden=True),
        'another file',
    ),
    'qcow2 with a data file in version 2': (
        'qcow2',
        put(images.qcow2(version=2), 72, struct.pack('>II', 0x44415441, 8) + b'/etc/pwd'),
        'not safe',
    ),
    'qcow2 whose extensions are out of sight': (
        'qcow2',
        put(images.qcow2(), 100, b'\x7f\0\0\0'),
        'features that cannot be checked',
    ),
    'qcow2 of an unknown feature': (
        'qcow2',
        images.qcow2(incompatible_features=1 << 40),
        'features that cannot be checked',
    ),
    'qcow2 that boots as an MBR': (
        'qcow2',
        put(images.qcow2(), 510, b'\x55\xaa'),
        'several formats at once: gpt, qcow2',
    ),
    'vmdk with an absolute extent': (
        'vmdk',
        images.vmdk(extent='RW 2048 FLAT "/etc/passwd" 0'),
        ELSEWHERE,
    ),
    'vmdk with the image of a neighbour as extent': (
        'vmdk',
        images.vmdk(extent='RW 2048 FLAT "0f1e2d3c.1" 0', empty=True),
        ELSEWHERE,
    ),
    'vmdk with two extents': (
        'vmdk',
        images.vmdk(extent='RW 1 SPARSE "a.vmdk"\nRW 1 SPARSE "b.vmdk"'),
        ELSEWHERE,
    ),
    'vmdk without a size': ('vmdk', images.vmdk(empty=True), ELSEWHERE),
    'vmdk with a parent': ('vmdk', images.vmdk(parent='/etc/passwd'), PARENT),
    'vmdk with another footer': ('vmdk', with_footer(b'KDMV\1\0\0\0'), 'its footer contradicts'),
    'text of a vmdk with many empty lines': ('qcow2', images.vmdk_text() + b'\n' * 2**17, 'vmdk'),
    'text of a vmdk': ('raw', images.vmdk_text(), 'vmdk'),
    'vmdk of ESX 3': ('raw', b'COWD'.ljust(4096, b'\0'), 'The content is an old kind of vmdk'),
    'parallels as raw': ('raw', b'WithouFreSpacExt'.ljust(4096), 'The content is ploop'),
    'vhd of differences': ('vhd', images.vhd(disk_type=4), PARENT),
    'vhdx of differences': ('vhdx', images.vhdx(parent=True), PARENT),
    'vhdx with a locator of its parent': ('vhdx', with_locator(), PARENT),
    'vhdx with two tables of regions': (
        'vhdx',
        put(images.vhdx(), 256 * 1024 + 40, b'\1'),
        'features that cannot be checked',
    ),
    'vdi of differences': ('vdi', images.vdi(image_type=4), PARENT),
    'vdi that links to another': ('vdi', put(images.vdi(), 424, b'\1' * 16), PARENT),
    'iso that is a bad MBR': ('iso', images.iso(mbr=images.mbr(boot=0x17)), BROKEN),
    'disk with a bad GPT': ('raw', images.gpt(protective=images.mbr(kind=0xEE, start=9)), BROKEN),
    'fixed vhd that is a bad GPT': (
        'vhd',
        put(images.vhd(2**20, disk_type=2), 0, images.mbr(boot=0x17)),
        BROKEN,
    ),
    'iso that is a qcow2': ('iso', put(images.iso(), 0, images.qcow2()[:512]), 'iso, qcow2'),
    'qed as raw': ('raw', images.qed(), 'The content is qed'),
    'luks as raw': ('raw', images.luks(), 'The content is luks'),
}


# What is unsafe is refused also where another format than declared may pass.
UNSAFE = [row for row in DISGUISES if not DISGUISES[row][2].startswith('The content is')]


@pytest.mark.parametrize(
    ('row', 'require_match'), [(row, True) for row in DISGUISES] + [(row, False) for row in UNSAFE]
)
def test_what_is_not_what_it_says_is_refused(tmp_path, row, require_match):
    disk_format, content, said = DISGUISES[row]
    path = tmp_path / 'image'
    path.write_bytes(content)
    with pytest.raises(errors.FormatMismatch) as caught:
        formats.inspect(
            str(path),
            disk_format,
            vmdk_allowed_types=['monolithicSparse', 'streamOptimized'],
            require_match=require_match,
        )
    assert said in str(caught.value)


def test_there_are_at_least_24_of_them():
    assert len(DISGUISES) >= 24


def test_the_parent_of_a_vmdk_is_one_that_qemu_would_open(tmp_path, missing):
    """The inspector of oslo.utils lets it pass, so the danger is shown to be real."""
    if shutil.which('qemu-img') is None:
        missing('No qemu-img here.')
    (tmp_path / 'precious').write_bytes(bytes(2**20))
    path = tmp_path / 'image.vmdk'
    path.write_bytes(images.vmdk(parent=str(tmp_path / 'precious')))
    said = subprocess.run(
        ['qemu-img', 'info', '-f', 'vmdk', '--output=json', path],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(said.stdout)['backing-filename'] == str(tmp_path / 'precious')
