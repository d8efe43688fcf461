"""The store keeps the promises of ImageStore."""

from glance_sharded_store import ShardedStore

from glance.testing.contracts.store import ImageStoreContract


class TestShardedStore(ImageStoreContract):
    def make_store(self, folder):
        return ShardedStore(str(folder))
