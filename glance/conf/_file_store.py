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
    cfg.Opt(
        'filesystem_store_file_perm',
        type=_types.Permissions(),
        default=0,
        help='Permissions of stored files: 0640 or 0o640 is octal, and a number without a '
        'leading 0 is decimal, as in other services (416 is 0640). With 0, only the service can '
        'read and write them.',
    ),
]
