"""Does each queue keep the promises of TaskQueue?"""

import pytest
import sqlalchemy as sa

from glance.domain.events import Kind
from glance.domain.lease import Progress
from glance.domain.steps import RunReport
from glance.testing.contracts.queue import TaskQueueContract
from glance.testing.fakes.queue import FakeQueue

from .sql_queue import SqlQueue


class TestFakeQueue(TaskQueueContract):
    def make_queue(self):
        return FakeQueue()


class TestSqlQueue(TaskQueueContract):
    @pytest.fixture(autouse=True)
    def _url(self, database):
        self.url = database

    def make_queue(self):
        return SqlQueue(self.url)

    @pytest.fixture(autouse=True)
    def _close(self, _url, _set_up):
        yield
        self.queue.database.close()

    def test_a_renewal_passes_over_what_is_locked_and_its_events_wait(self):
        database = self.queue.database
        if database.dialect == 'sqlite':
            pytest.skip('SQLite locks no rows')
        for task_id in ('t1', 't2'):
            self.queue.add(task_id)
        leases = {claim.lease.task_id: claim.lease for claim in self._claim('a')}
        leases['t1'].events.tell(Kind.STEP_DONE, 'one')
        report = RunReport(Progress(1), 30)
        with database.engine.begin() as connection:
            connection.execute(
                sa.text("SELECT task_id FROM task_queue WHERE task_id = 't1' FOR UPDATE")
            ).all()
            self.queue.renew('a', {leases['t1']: None, leases['t2']: report}, seconds=30)
        assert self.queue.progress_of('t2')[0] == 30
        assert self._kinds() == [Kind.ACCEPTED, Kind.CLAIMED]
        self.queue.renew('a', {leases['t1']: None}, seconds=30)
        assert self._kinds() == [Kind.ACCEPTED, Kind.CLAIMED, Kind.STEP_DONE]
