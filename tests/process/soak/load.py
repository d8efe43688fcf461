"""The clients of a soak: they post, watch, cancel, retry, download, compare and delete."""

import collections
import contextlib
import hashlib
import http.client
import json
import random
import threading
import time
import uuid

from .sources import Cancel

POSTERS = 3  # clients that post
PAUSE = 1.5  # seconds between two POSTs of one of them, on average
MOST = 40  # tasks that are under way at a time
POISON_PAUSE = 60.0  # seconds between two poison tasks, which the first client posts
TIMEOUT = 20.0  # seconds that a client waits for an answer
LOOK_PAUSE = 0.02  # seconds between two looks at tasks
SHARE_BAD = 0.25
SHARE_DELETED_EARLY = 0.05
SHARE_DELETED = 0.8  # of the images that were downloaded and found right
SHARE_CANCELLED = 0.2
CANCEL_PAUSE = 4.0  # most seconds from a POST to its cancel
SHARE_RETRIED = 0.4  # of the tasks that have failed; poison is not retried
REASON = 'enough of it'
ENDED = ('success', 'failure')
PIECE = 2**20


class Load:
    """Posts tasks until stop(), and follows each to its end.

    ports    on which the API answers
    sources  draws what to post
    """

    def __init__(self, ports, sources, seed):
        self._ports = ports
        self._sources = sources
        self._seed = seed
        self._chance = random.Random(f'{seed}/load')
        self._lock = threading.Lock()
        self.accepted = {}  # task id to Wanted, of each POST that was answered with 201
        self.unanswered = []  # Wanted of each other POST: its task may exist
        self.open = {}  # those of accepted that have not ended
        self.deleted = set()  # ids of images
        self.retried = {}  # task id to the id of the failed task that it repeats
        self.cancel_times = []  # seconds from the answer to a cancel to the end of its task
        self.wrong = []
        self.answers = collections.Counter()  # by status; 0: none
        self.outcomes = collections.Counter()
        self._posting = True
        self._over = threading.Event()
        self._downloads = collections.deque()
        self._retries = collections.deque()  # (task id, Wanted) of failed tasks
        self._cancels = {}  # task id to (time.monotonic() from which on to cancel it, Wanted)
        posters = [(self._post, number) for number in range(POSTERS)]
        others = [(self._watch,), (self._download,), (self._delete_early,)]
        others += [(self._cancel_all,), (self._retry_all,)]
        self._threads = [
            threading.Thread(target=self._run, args=work, daemon=True) for work in posters + others
        ]
        for thread in self._threads:
            thread.start()

    def stop_posting(self):
        self._posting = False

    @property
    def is_done(self):
        """Whether all tasks have ended, and all that is to be retried and downloaded was."""
        return not self._retries and not self.open and not self._downloads

    def close(self):
        self._posting = False
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:
            self.wrong.append(f'The test itself failed in {work.__name__}: {error!r}')
            raise

    def _post(self, number):
        chance = random.Random(f'{self._seed}/{number}')
        next_poison = time.monotonic() + POISON_PAUSE / 2
        while self._posting:
            if number == 0 and time.monotonic() >= next_poison:
                wanted = self._sources.poison(chance)
                next_poison = time.monotonic() + POISON_PAUSE
            else:
                wanted = self._draw(chance)
            status, task = self.call('POST', '/v2/tasks', wanted.body)
            if status == 201:
                self._accept(task['id'], wanted)
                if not wanted.deleted and chance.random() < SHARE_CANCELLED:
                    due = time.monotonic() + chance.uniform(0, CANCEL_PAUSE)
                    self._cancels[task['id']] = due, wanted
            else:
                self.unanswered.append(wanted)
                if status not in (0, 503):
                    self.wrong.append(f'A POST was answered with {status}: {task}')
            self._over.wait(chance.uniform(0, 2 * PAUSE))
            while self._posting and len(self.open) >= MOST:
                self._over.wait(LOOK_PAUSE)

    def _accept(self, task_id, wanted):
        with self._lock:
            self.accepted[task_id] = self.open[task_id] = wanted

    def _draw(self, chance):
        drawn = chance.random()
        if drawn < SHARE_BAD:
            return self._sources.bad(chance)
        return self._sources.healthy(chance, deleted=drawn > 1 - SHARE_DELETED_EARLY)

    def _watch(self):
        while not self._over.is_set():
            for task_id, wanted in list(self.open.items()):
                status, task = self.call('GET', f'/v2/tasks/{task_id}')
                if status == 200 and task['status'] in ENDED:
                    self._judge(task_id, wanted, task)
                elif status not in (0, 200, 503):
                    self.wrong.append(f'Task {task_id} was shown with {status}: {task}')
                self._over.wait(LOOK_PAUSE)
            self._over.wait(LOOK_PAUSE)

    def _judge(self, task_id, wanted, task):
        if wrong := wanted.wrong(task):
            self.wrong.append(f'{wanted.kind} {task_id}: {wrong}')
        name = 'poison' if wanted.kind == 'poison' else 'healthy' if wanted.is_healthy else 'bad'
        name = 'deleted meanwhile' if wanted.deleted else name
        if task.get('cancelled'):
            name = f'cancelled, {name}'
            if wanted.cancel is Cancel.NONE or task['cancel_reason'] != REASON:
                self.wrong.append(f'Task {task_id} was cancelled by nobody: {task}')
            if wanted.cancelled_at is not None:
                self.cancel_times.append(time.monotonic() - wanted.cancelled_at)
        name += ' (a retry)' if task_id in self.retried else ''
        self.outcomes[f'{name}: {task["status"]}'] += 1
        if task['status'] == 'success' and not wanted.deleted:
            self._downloads.append((task['result']['image_id'], wanted))
        retries = self._posting and wanted.kind != 'poison' and not wanted.deleted
        if retries and task['status'] == 'failure' and self._chance.random() < SHARE_RETRIED:
            self._retries.append((task_id, wanted))
        with self._lock:
            del self.open[task_id]

    def _cancel_all(self):
        """Cancel those tasks that are to be cancelled, at their times."""
        while not self._over.is_set():
            for task_id, (due, wanted) in list(self._cancels.items()):
                if time.monotonic() >= due and self._cancel(task_id, wanted):
                    del self._cancels[task_id]
            self._over.wait(LOOK_PAUSE)

    def _cancel(self, task_id, wanted):
        """Ask for a cancel; returns whether there was an answer."""
        wanted.cancel = max(wanted.cancel, Cancel.ASKED)
        status, told = self.call('POST', f'/v2/tasks/{task_id}/cancel', {'reason': REASON})
        if status == 202:
            wanted.cancelled_at = time.monotonic()
            wanted.cancel = Cancel.PROMISED
        elif status not in (0, 409, 503):
            self.wrong.append(f'The cancel of task {task_id} was answered with {status}: {told}')
        return status not in (0, 503)

    def _retry_all(self):
        while not self._over.is_set():
            if self._retries:
                self._retry(*self._retries[0])
                self._retries.popleft()
            self._over.wait(LOOK_PAUSE)

    def _retry(self, failed, wanted):
        """Retry a failed task, with a key: it is one task however often it is asked for."""
        headers = {'Idempotency-Key': str(uuid.uuid4())}
        while not self._over.is_set():
            status, task = self.call('POST', f'/v2/tasks/{failed}/retry', headers=headers)
            if status == 201:
                if task['id'] == failed or task['retry_of'] != failed:
                    self.wrong.append(f'The retry of task {failed} is {task}')
                self.retried[task['id']] = failed
                self._accept(task['id'], wanted.again())
            elif status not in (0, 503):
                self.wrong.append(f'The retry of {failed} was answered with {status}: {task}')
            if status not in (0, 503):
                return

    def _download(self):
        while not self._over.is_set():
            if not self._downloads:
                self._over.wait(LOOK_PAUSE)
                continue
            image_id, wanted = self._downloads[0]
            status, found = self.call('GET', f'/v2/images/{image_id}/file')
            if status not in (0, 200, 503):
                self.wrong.append(f'Image {image_id} was answered with {status}: {found}')
            if status in (0, 503):
                self._downloads.rotate()
                continue
            if found != (wanted.size, wanted.sha512):
                self.wrong.append(f'Image {image_id} holds other bytes than its source')
            elif self._chance.random() < SHARE_DELETED:
                self._delete(image_id)
            self._downloads.remove((image_id, wanted))

    def _delete(self, image_id):
        """Delete it, whatever happens to the service meanwhile."""
        lost = False  # an answer, or the DELETE itself
        while not self._over.is_set():
            status, told = self.call('DELETE', f'/v2/images/{image_id}')
            if status == 204 or (status == 404 and lost):
                self.deleted.add(image_id)
                return
            if status not in (0, 503):
                self.wrong.append(f'DELETE {image_id} was answered with {status}: {told}')
                return
            lost = True

    def _delete_early(self):
        """Delete those images amid their import that are to be."""
        seen = {}  # task id to image id
        done = set()
        while not self._over.is_set():
            for task_id, wanted in list(self.accepted.items()):
                if (
                    wanted.deleted
                    and task_id not in done
                    and self._delete_of(task_id, wanted, seen)
                ):
                    done.add(task_id)
            self._over.wait(0.3)

    def _delete_of(self, task_id, wanted, seen):
        """Whether the image of a task is deleted now. An import that begins again has none."""
        has_ended = task_id not in self.open
        name = wanted.body['input']['image_properties']['name']
        status, found = self.call('GET', f'/v2/images?name={name}')
        if status != 200:
            return False
        if not found['images']:
            if has_ended:  # by a DELETE whose answer got lost
                self.deleted.update(image for task, image in seen.items() if task == task_id)
            return has_ended
        image_id = seen[task_id] = found['images'][0]['id']
        status, told = self.call('DELETE', f'/v2/images/{image_id}')
        if status == 204:
            self.deleted.add(image_id)
        elif status not in (0, 404, 503):
            self.wrong.append(f'DELETE {image_id} was answered with {status}: {told}')
        return status == 204

    def call(self, method, path, body=None, headers=None):
        """(status, JSON, or size and SHA-512 of other content) of one request; 0 for no answer."""
        port = self._chance.choice(self._ports)
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=TIMEOUT)
        status, content = 0, None
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            given = {'Content-Type': 'application/json'} if body is not None else {}
            given |= headers or {}
            connection.request(method, path, None if body is None else json.dumps(body), given)
            answer = connection.getresponse()
            kind = answer.getheader('Content-Type') or ''
            if 'json' in kind:
                content = json.loads(answer.read())
            else:
                digest, size = hashlib.sha512(), 0
                while piece := answer.read(PIECE):
                    digest.update(piece)
                    size += len(piece)
                if answer.length:
                    raise http.client.IncompleteRead(b'', answer.length)
                content = size, digest.hexdigest()
            status = answer.status
        self.answers[status] += 1
        if not status:
            self._over.wait(0.05)  # a host that is down refuses at once
        return status, content
