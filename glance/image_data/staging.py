"""placeholder by the founder of the heart, until the bytes room brings its own"""
import os, shutil
from glance import interfaces
class FolderStaging(interfaces.Staging):
    def __init__(self, root): self._r = root
    def path(self, lease):
        d = os.path.join(self._r, lease.task_id, str(lease.number)); os.makedirs(d, exist_ok=True); return d + '/image'
    def remove(self, task_id, *, number=None):
        shutil.rmtree(os.path.join(self._r, task_id) if number is None else os.path.join(self._r, task_id, str(number)), ignore_errors=True)
