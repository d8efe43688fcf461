"""The executor keeps the promises of TaskExecutor. Run it with GLANCE_THREADS=native."""

from glance import threads

threads.use(threads.NATIVE)

from glance_native_executor import NativeExecutor
from oslo_config import cfg

from glance import bootstrap, plugins
from glance.testing.contracts.executor import ExecutorContract


class TestNativeExecutor(ExecutorContract):
    interrupts = False  # a native thread cannot be interrupted from outside

    def make_executor(self, queue, flows, settings):
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        plugins.register_opts(conf, NativeExecutor.options)
        conf([], default_config_files=[])
        conf.set_override('max_threads', settings.tasks_at_once, 'native_executor')
        conf.set_override('poll_interval', settings.poll_interval, 'task')
        conf.set_override('lease_time', settings.lease_time, 'task')
        return NativeExecutor(
            conf,
            queue,
            flows,
            'this-process',
            stop_timeout=settings.stop_timeout,
            stall_timeout=settings.stall_timeout,
        )
