"""Threads, forks, event loops, readers who lose interest, Ctrl-C: nothing hangs, and nothing is left behind."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from waiting import eventually, own_threads
from writing import SwiftClock, client_of, filled

import pandas_kili as pk
from pandas_kili.connection.rate_limit import RateLimit
from pandas_kili.sandbox import Fault, Sandbox

PAGES = 30


@pytest.fixture(scope="module")
def running():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        sandbox.large = filled(sandbox, 100 * PAGES)[0]
        yield sandbox


@pytest.fixture
def sandbox(running):
    running.clear_faults()
    running.clear_hooks()
    running.clear_requests()
    return running


def script(text, *arguments, **options):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(text), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def told(sandbox):
    return sandbox.api_endpoint, sandbox.api_key, sandbox.large


def test_one_client_serves_sixteen_threads_that_read_and_write(sandbox):
    client = client_of(sandbox)

    def work(number):
        project, _ = filled(sandbox, 230)
        frame = pk.read_kili(project, fields=["id", "externalId"], client=client)
        frame["priority"] = number
        frame.kili.update_properties_in_assets("priority", client=client)
        again = pk.read_kili(project, fields=["externalId", "priority"], client=client)
        return again["externalId"].tolist(), set(again["priority"])

    with ThreadPoolExecutor(16) as executor:
        found = list(executor.map(work, range(16)))
    assert found == [([f"n{i}" for i in range(230)], {number}) for number in range(16)]
    assert eventually(lambda: not own_threads())


def test_two_clients_in_many_threads_spend_one_budget(sandbox):
    clock, budget, calls = SwiftClock(), 20, 80
    patient = {"timeout": 10_000}  # a pause that one thread skips is time that an answer to another seems to take
    clients = [client_of(sandbox, max_calls_per_minute=budget, **patient) for _ in range(2)]
    for client in clients:
        client._use_clock(clock)
        client._retry.deadline = client._retry.first_contact = patient["timeout"]
    start = clock.now()
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda number: clients[number % 2].execute("{ me { id } }"), range(calls)))
    # A full budget passes at once, and one more in each minute; with a budget each, half the time would do.
    assert clock.now() - start >= (calls / budget - 1) * RateLimit.WINDOW
    assert len(sandbox.requests) == calls


FORKS = """
    import os, sys
    import pandas_kili as pk
    os.environ["KILI_API_ENDPOINT"], os.environ["KILI_API_KEY"], project = sys.argv[1:]

    def read():
        assert len(pk.read_kili(project, fields=["id"], first=450, disable_tqdm=False)) == 450

    def forked():
        process = os.fork()
        if not process:
            try:
                read()
                os._exit(0)
            finally:
                os._exit(1)
        return process

    processes = [forked()]                       # after import
    read()
    processes += [forked() for _ in range(2)]    # after use
    statuses = [os.waitpid(process, 0)[1] for process in processes]
    print("statuses", statuses)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks_after_import_and_after_use_read_on_their_own(sandbox):
    # While threads are at work, a fork may copy the locks of C libraries as they are held: no library can mend that.
    with script(FORKS, *told(sandbox)) as process:
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert f"statuses {[0] * 3}" in said


def test_a_running_event_loop_is_neither_needed_nor_in_the_way(sandbox):
    client = client_of(sandbox)

    async def read_in_the_loop():
        here = pk.read_kili(sandbox.large, fields=["id"], first=250, client=client)
        beside = await asyncio.gather(
            *(asyncio.to_thread(pk.count_assets, sandbox.large, client=client) for _ in range(4))
        )
        return len(here), beside

    assert asyncio.run(read_in_the_loop()) == (250, [100 * PAGES] * 4)


def chunks(client, project):
    return pk.read_kili(project, fields=["id"], chunksize=100, client=client)


def batches(client, project):
    return pk.scan_batches(project, fields=["id"], batch_size=100, client=client)


@pytest.mark.parametrize("leave", ["closed", "forgotten"])
@pytest.mark.parametrize("read", [chunks, batches])
def test_a_reader_who_loses_interest_leaves_no_thread_and_no_request(sandbox, read, leave):
    sandbox.inject(Fault("latency", operation="assets", seconds=0.05, times=None))
    reader = iter(read(client_of(sandbox), sandbox.large))
    assert len(next(reader)) == 100
    if leave == "closed" and hasattr(reader, "close"):
        reader.close()
    del reader
    gc.collect()
    assert eventually(lambda: not own_threads())
    asked = len(sandbox.requests)
    assert asked < PAGES
    time.sleep(0.2)
    assert len(sandbox.requests) == asked


def test_a_process_ends_although_a_reader_is_left_half_way(sandbox):
    text = """
        import sys, pandas_kili as pk
        endpoint, key, project = sys.argv[1:]
        chunks = pk.read_kili(project, fields=["id"], chunksize=100, client=pk.Client(key, endpoint))
        print(len(next(chunks)))
    """
    sandbox.inject(Fault("latency", operation="assets", seconds=0.1, times=None))
    process = script(text, *told(sandbox))
    try:
        assert process.communicate(timeout=30)[0] == "100\n"
    finally:
        process.kill()
    assert process.returncode == 0


INTERRUPTED = """
    import signal, sys, threading, time
    import pandas_kili as pk
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may ignore it
    endpoint, key, project = sys.argv[1:]
    client = pk.Client(key, endpoint)
    try:
        pk.read_kili(project, fields=["id"], client=client, disable_tqdm=True)
    except KeyboardInterrupt:
        print("interrupted")
    until = time.monotonic() + 20
    while time.monotonic() < until and any(each.name.startswith("pandas_kili") for each in threading.enumerate()):
        time.sleep(0.01)
    print([each.name for each in threading.enumerate() if each.name.startswith("pandas_kili")])
    print(pk.count_assets(project, client=client))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("pages", [0, 1, 5, 12])
def test_ctrl_c_ends_a_read_and_the_client_can_be_used_again(sandbox, pages):
    """At the count, at the first page, in the middle."""
    reached = threading.Event()

    def note(request):
        asked = sum(each.operation == "assets" for each in sandbox.requests)
        if request.operation in {"assets", "countAssets"} and asked >= pages:
            reached.set()

    sandbox.before_request(note)
    for operation in ("assets", "countAssets"):
        sandbox.inject(Fault("latency", operation=operation, seconds=0.3, times=None))
    process = script(INTERRUPTED, *told(sandbox))
    try:
        assert reached.wait(30)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert said.split("\n") == ["interrupted", "[]", str(100 * PAGES), ""]
    assert sum(each.operation == "assets" for each in sandbox.requests) < PAGES


BUSY = """
    import signal, sys, tempfile
    import pandas as pd
    import pandas_kili as pk
    from pandas_kili.connection.downloads import current_pace
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may ignore it
    endpoint, key, project, work = sys.argv[1:]
    client = pk.Client(key, endpoint, timeout=300)
    current_pace().limit = 200
    folder = tempfile.TemporaryDirectory()
    names = [f"new-{number}" for number in range(300)]
    try:
        if work == "answers":
            pk.read_kili(project, client=client)
        elif work == "media":
            pk.read_kili(project, download_media=True, local_media_dir=folder.name, fields=["content"], client=client)
        else:
            pd.DataFrame({"content": names, "externalId": names}).kili.append_many_to_dataset(project, client=client)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.fixture(scope="module")
def stocked():
    """A project of texts in the bucket, each with an answer behind a URL."""
    with Sandbox(max_calls_per_minute=None, json_response_urls=True) as sandbox:
        project = sandbox.create_project("Texts", "TEXT")
        names = [f"text {number}" for number in range(120)]
        frame = pd.DataFrame({"content": names, "externalId": names})
        assets = frame.kili.append_many_to_dataset(project, client=client_of(sandbox))
        sandbox.add_labels(pd.DataFrame({"assetId": assets["id"], "jsonResponse": "{}"}))
        yield sandbox, project


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("work", ["answers", "media", "upload"])
def test_ctrl_c_ends_the_process_while_a_hundred_files_are_under_way(stocked, work):
    """The server holds all of them back until the process has ended."""
    sandbox, project = stocked
    has_ended, under_way = threading.Event(), threading.Semaphore(0)

    def hold(request):
        if request.method in {"GET", "PUT"}:
            under_way.release()
            has_ended.wait(60)

    sandbox.clear_hooks()
    sandbox.before_request(hold)
    process = script(BUSY, sandbox.api_endpoint, sandbox.api_key, project, work)
    try:
        assert all(under_way.acquire(timeout=30) for _ in range(100))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=40)
    finally:
        process.kill()
        has_ended.set()
    assert said.strip().endswith("interrupted")


def test_answers_behind_urls_are_fetched_inside_a_running_event_loop(stocked):
    sandbox, project = stocked
    sandbox.clear_hooks()
    client = client_of(sandbox)

    def read():
        labels = pk.read_kili(project, fields=["id", "labels.jsonResponse"], client=client)["labels"]
        return [label["jsonResponse"] for row in labels for label in row]

    async def read_in_the_loop():
        return [read(), *await asyncio.gather(*(asyncio.to_thread(read) for _ in range(3)))]

    assert asyncio.run(read_in_the_loop()) == [["{}"] * 120] * 4
