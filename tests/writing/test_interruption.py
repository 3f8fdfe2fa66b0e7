"""Ctrl-C, whenever it comes and however often: the error carries a true report."""

import functools
import signal
import threading
import time

import pandas as pd
import pytest
from writing import client_of, filled, hurry

from pandas_kili.sandbox import Sandbox
from pandas_kili.writing.interruption import Interruptions

ROWS = 1050


@pytest.fixture(autouse=True)
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background ignore it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def sandbox(monkeypatch):
    hurry(monkeypatch)
    with Sandbox(max_calls_per_minute=None, generation="current") as sandbox:
        yield sandbox


def striking(sandbox, nth, times):
    """Interrupt at the nth request, several times, from another thread; return it, and the requests under way."""
    arrived, busy = [], []

    def strike():
        for _ in range(times):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.005)

    def begin(request):
        arrived.append(request)
        busy.append(request)
        if len(arrived) == nth:
            striker.start()
            time.sleep(0.01)

    striker = threading.Thread(target=strike)
    sandbox.before_request(begin)
    sandbox.after_request(busy.remove)
    return striker, busy


def ended_by(call):
    """Return the error that ended a call; a strike that comes after it is none of its."""
    error = None
    try:
        try:
            call()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt as raised:
        error = raised
    while error is not None and not hasattr(error, "report"):
        error = error.__context__
    return error


@pytest.mark.once
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("verb", ["append", "update"])
def test_each_interruption_carries_a_true_report(sandbox, verb, nth, times):
    project, ids = filled(sandbox, 0 if verb == "append" else ROWS)
    names = [f"n{i}" for i in range(ROWS)]
    frame = pd.DataFrame({"externalId": names, "content": "https://x.org/1.png", "priority": 3})
    if ids:
        frame["id"] = ids
    client = client_of(sandbox, max_workers=2)
    update = functools.partial(frame.kili.update_properties_in_assets, "priority", project_id=project)
    append = functools.partial(frame.kili.append_many_to_dataset, project)
    client.names("Mutation")
    striker, busy = striking(sandbox, nth, times)
    error = ended_by(functools.partial(append if verb == "append" else update, client=client))
    striker.join()
    assert error.frame.kili.report is error.report
    while busy:  # what a second Ctrl-C did not wait for
        time.sleep(0.001)
    rows = {row["externalId"]: row for row in sandbox.assets(project)}
    held = [name in rows and (verb == "append" or rows[name]["priority"] == 3) for name in names]
    for outcome, message, is_held in zip(error.report["outcome"], error.report["message"], held, strict=True):
        assert is_held or outcome != "applied"
        assert not is_held or outcome == "applied" or "unknown" in message


def test_the_first_strike_raises_and_later_ones_do_not():
    counts = []

    def cleaned_up():
        with Interruptions() as interruptions:
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                counts.append(interruptions.count)

    with pytest.raises(KeyboardInterrupt):
        cleaned_up()
    assert counts == [2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_listener_is_told_and_nothing_is_raised():
    heard = []
    with Interruptions() as interruptions:
        interruptions.listen(lambda: heard.append(True))
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert heard == [True, True]


def test_a_handler_of_the_users_own_stays():
    def own(*_):
        raise ValueError

    before = signal.signal(signal.SIGINT, own)
    try:
        with Interruptions():
            assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_is_left_alone():
    handlers = []

    def look():
        with Interruptions():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
