"""[glance_store]: where image bytes end up."""

from oslo_config import cfg

GROUP = cfg.OptGroup('glance_store', title='Stores')

OPTS = [
    cfg.StrOpt(
        'filesystem_store_datadir',
        sample_default='$state_path/images',
        help='Directory in which the filesystem store keeps images.',
    ),
    cfg.IntOpt(
        'filesystem_store_file_perm',
        default=0,
        min=0,
        help='Permissions of stored files, as a decimal number as in other services '
        '(416 is 0640); 0 leaves them readable and writable by the service only.',
    ),
]
