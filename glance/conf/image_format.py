"""[image_format]: which formats images may have, and how content is checked."""

from oslo_config import cfg

GROUP = cfg.OptGroup('image_format', title='Image formats')

OPTS = [
    cfg.ListOpt(
        'container_formats',
        default=['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'],
        help='Values accepted as container_format.',
    ),
    cfg.ListOpt(
        'disk_formats',
        default=[
            'ami',
            'ari',
            'aki',
            'vhd',
            'vhdx',
            'vmdk',
            'raw',
            'qcow2',
            'vdi',
            'iso',
            'ploop',
        ],
        help='Values accepted as disk_format.',
    ),
    cfg.ListOpt(
        'vmdk_allowed_types',
        default=['streamOptimized', 'monolithicSparse'],
        help='Accepted create types of VMDK. With an empty list, VMDK is refused.',
    ),
    cfg.BoolOpt(
        'require_image_format_match',
        default=True,
        help='Refuse an image whose content does not have the format that disk_format names.',
    ),
    cfg.ListOpt(
        'gpt_safety_checks_nonfatal',
        default=[],
        help='Safety checks of the GPT inspector that only log a failure and do not refuse the '
        'image.',
    ),
]
