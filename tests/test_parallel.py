"""Work side by side ends whole, also where no thread can be started."""

import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import Future
from queue import SimpleQueue

import pytest

from pandas_kili.messages import warn
from pandas_kili.parallel import Workers, in_order, next_of, result_of


def test_work_goes_on_while_the_interpreter_shuts_down():
    program = """
import atexit
from pandas_kili.parallel import in_order
@atexit.register
def late():
    print([result for _, result in in_order(str, range(9), workers=3)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [str([str(number) for number in range(9)])]


def test_each_task_is_done_once_where_threads_cannot_be_started(monkeypatch):
    started, start = [], threading.Thread.start

    def start_two(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    done = []
    results = dict(in_order(lambda task: done.append(task) or task, range(100), workers=8))
    assert results == {task: task for task in range(100)}
    assert sorted(done) == list(range(100))


def test_errors_come_out_where_no_thread_can_be_started(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ZeroDivisionError):
        Workers(2).submit(lambda: 1 / 0).result()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("wait", [lambda _, queue: next_of(queue), lambda future, _: result_of(future)])
def test_ctrl_c_ends_a_wait_though_another_thread_gets_the_signal(wait):
    future, queue, is_over = Future(), SimpleQueue(), threading.Event()

    def strike():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        if not is_over.wait(20):  # so that a failure is no wait without end
            future.set_result(None)
            queue.put(None)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background ignore it
    timer = threading.Timer(0.1, strike)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            wait(future, queue)
    finally:
        is_over.set()
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_a_closed_pool_takes_no_work():
    workers = Workers(2)
    workers.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        workers.submit(str)


def test_what_threads_warn_of_points_at_the_line_that_takes_the_results():
    with pytest.warns(UserWarning, match="odd") as caught:
        results = list(in_order(warn, ["odd", "odd too"], workers=2))
    assert [result for _, result in results] == [None, None]
    assert {warning.filename for warning in caught} == {__file__}


def test_a_warning_that_is_an_error_is_raised_where_the_results_are_taken():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="odd"):
            list(in_order(warn, ["odd"], workers=2))
