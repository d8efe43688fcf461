from glance.stores.memory import MemoryStore


def test_what_it_holds_can_be_looked_at(tmp_path):
    (tmp_path / 'staged').write_bytes(b'bits')
    store = MemoryStore()
    store.add('memory://x.1', str(tmp_path / 'staged'))
    assert store.data == {'memory://x.1': b'bits'}
