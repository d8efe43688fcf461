"""placeholder by the founder of the heart, until the bytes room brings its own"""
import os
from glance import interfaces
class FilesystemStore(interfaces.ImageStore):
    def __init__(self, datadir, file_perm=0): self._d = datadir
    def location_of(self, image_id, number): return f'file://{self._d}/{image_id}.{number}'
    def add(self, url, path): os.link(path, url[7:])
    def open(self, url): return open(url[7:], 'rb')
    def delete(self, url):
        try: os.unlink(url[7:])
        except FileNotFoundError: pass
