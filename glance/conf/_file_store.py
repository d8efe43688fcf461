"""The options of a store of the kind "file", in its own section or in [glance_store]."""

from oslo_config import cfg

from glance.conf import _types

OPTS = [
    cfg.Opt(
        'filesystem_store_datadir',
        type=_types.Path(),
        sample_default='$state_path/images',
        help='Directory of the images in the store.',
    ),
    cfg.IntOpt(
        'filesystem_store_file_perm',
        default=0,
        min=0,
        help='Permissions of stored files as a decimal number, as in other services (416 is '
        '0640). With 0, only the service can read and write them.',
    ),
]
