"""[glance_store]: where images are stored."""

from oslo_config import cfg

from glance.conf import _file_store

GROUP = cfg.OptGroup('glance_store', title='Stores')

OPTS = [
    cfg.StrOpt(
        'default_backend',
        help='Store for new images: one of the names in [DEFAULT] enabled_backends, which '
        'needs this option. Without enabled_backends there is one store for files, and the '
        'other options of this section are those of that store.',
    ),
    *_file_store.OPTS,
]

# What each section of a store has, besides the options of its kind.
EACH_STORE = [
    cfg.StrOpt('store_description', help='What the store is, for people.'),
    cfg.IntOpt(
        'weight',
        default=0,
        help='If an image is in several stores, it is read from the one with the highest weight.',
    ),
]
