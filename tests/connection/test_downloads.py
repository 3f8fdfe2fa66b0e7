"""Small files come side by side: each to its key, as many at a time as hosts and system take."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from scripted import Reply, ScriptedServer

from pandas_kili import Client, KiliConnectionError
from pandas_kili.connection import downloads
from pandas_kili.connection.downloads import Crew, Pace

KEY = "key-8b1f-secret"


class Bucket(ScriptedServer):
    """Gives each path as its own content, and counts how many are asked for at a time."""

    delay = 0.01

    def __init__(self):
        self.under_way = self.most = 0
        super().__init__()

    def take(self, asked):
        with self._lock:
            self.asked.append(asked)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            number = self.under_way
        time.sleep(self.delay)
        with self._lock:
            self.under_way -= 1
        return self.reply(asked, number)

    def reply(self, asked, number):
        return Reply(status=404) if "missing" in asked.path else Reply(asked.path.encode())

    def urls(self, count):
        return [(number, f"{self.origin}/{number}") for number in range(count)]


@pytest.fixture(autouse=True)
def shared():
    """The pace and the threads of a new process."""
    downloads._shared.cache_clear()
    yield downloads._shared()
    downloads._shared.cache_clear()


@pytest.fixture
def bucket():
    server = Bucket()
    yield server
    server.close()


@pytest.fixture
def client(bucket):
    with Client(KEY, bucket.endpoint) as client:
        client._retry.jitter = lambda _, most: min(most, 0.01)
        yield client


def test_each_file_comes_to_its_key(client, bucket):
    found = dict(client.get_all(bucket.urls(400)))
    assert found == {number: f"/{number}".encode() for number in range(400)}
    assert len(bucket.asked) == 400


def test_files_are_drawn_lazily(client, bucket):
    drawn = []
    files = client.get_all((drawn.append(pair) or pair) for pair in bucket.urls(1000))
    next(files)
    files.close()
    assert len(drawn) <= 2 * downloads._FIRST + 1


def test_a_file_that_cannot_be_had_is_an_error_at_its_key_and_no_other(client, bucket):
    urls = [*bucket.urls(30), ("missing", f"{bucket.origin}/missing")]
    found = dict(client.get_all(urls))
    assert isinstance(found.pop("missing"), KiliConnectionError)
    assert found == {number: f"/{number}".encode() for number in range(30)}


def test_errors_of_the_source_of_urls_come_out(client, bucket):
    def urls():
        yield from bucket.urls(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(client.get_all(urls()))


def test_a_client_may_ask_for_fewer_at_a_time(bucket):
    client = Client(KEY, bucket.endpoint, max_downloads=3)
    assert len(list(client.get_all(bucket.urls(60)))) == 60
    assert 1 <= bucket.most <= 3


def test_all_clients_of_a_process_share_one_bound(bucket, monkeypatch):
    monkeypatch.setattr(downloads, "_shared", functools.cache(lambda: (Pace(5), Crew(lambda: 5))))
    clients = [Client(f"{KEY}{number}", bucket.endpoint, max_downloads=4) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda client: len(list(client.get_all(bucket.urls(60)))), clients))
    assert found == [60] * 3
    assert 1 <= bucket.most <= 5


def test_a_bucket_that_refuses_every_third_above_fifty_gives_everything_in_the_end(client, bucket, shared):
    class Busy(Bucket):
        refused = 0

        def reply(self, asked, number):
            if number > 50 and number % 3 == 0:
                self.refused += 1
                return Reply(status=503)
            return super().reply(asked, number)

    bucket.__class__ = Busy
    bucket.delay = 0.1  # so that all that may be under way is
    shared[0].limit = 256
    found = dict(client.get_all(bucket.urls(1000)))
    assert found == {number: f"/{number}".encode() for number in range(1000)}
    assert bucket.refused
    assert shared[0].limit < 256


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(how="reset"), Reply(how="cut"), Reply(status=429)])
def test_faults_of_one_in_ten_lose_nothing(client, bucket, reply):
    class Faulty(Bucket):
        def reply(self, asked, number):
            return reply if len(self.asked) % 10 == 0 else super().reply(asked, number)

    bucket.__class__ = Faulty
    found = dict(client.get_all(bucket.urls(200)))
    assert found == {number: f"/{number}".encode() for number in range(200)}


def test_a_file_that_comes_too_late_four_times_is_asked_for_again(client, bucket):
    class Late(Bucket):
        def reply(self, asked, number):
            is_late = sum(each.path == asked.path for each in self.asked) < 5
            return Reply(status=504) if is_late else super().reply(asked, number)

    bucket.__class__ = Late
    assert dict(client.get_all(bucket.urls(3))) == {number: f"/{number}".encode() for number in range(3)}
    assert len(bucket.asked) == 15


def test_stopping_does_not_wait_for_what_is_under_way(client, bucket):
    bucket.delay = 30
    stop = threading.Event()
    files = client.get_all(bucket.urls(100), stop=stop)
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(CancelledError):
        next(files)


def test_a_fork_has_threads_of_its_own(client, bucket):
    assert len(dict(client.get_all(bucket.urls(40)))) == 40
    child = os.fork()
    if not child:
        os._exit(0 if len(dict(client.get_all(bucket.urls(40)))) == 40 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_go_when_there_is_no_work():
    crew, done = Crew(lambda: 256, idle=0.01), threading.Semaphore(0)
    for _ in range(50):
        crew.submit(done.release)
    for _ in range(50):
        assert done.acquire(timeout=10)
    while crew._threads:
        time.sleep(0.01)
    crew.submit(done.release)
    assert done.acquire(timeout=10)


def test_threads_are_as_many_as_files_may_be_under_way():
    """One more would wait for its turn, which costs a switch of threads with each file."""
    most, begun, go_on = 3, threading.Semaphore(0), threading.Semaphore(0)
    crew = Crew(lambda: most)

    def work():
        begun.release()
        go_on.acquire()

    for _ in range(20):
        crew.submit(work)
    assert all(begun.acquire(timeout=10) for _ in range(3))
    assert crew._threads == 3
    with crew.resting():  # one that waits before it asks again leaves its place to another
        assert begun.acquire(timeout=10)
        assert crew._threads == 4
    most = 1
    for _ in range(20):
        go_on.release()
    assert all(begun.acquire(timeout=10) for _ in range(16))
    while crew._threads > 1:
        time.sleep(0.01)


def test_where_no_thread_can_be_started_the_caller_works(monkeypatch, client, bucket):
    real = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: refuse() if thread.name == "pandas_kili" else real(thread),
    )

    def refuse():
        raise RuntimeError("can't start new thread")

    assert dict(client.get_all(bucket.urls(20))) == {number: f"/{number}".encode() for number in range(20)}


def script(bucket, body):
    return f"import pandas_kili as pk\nclient = pk.Client({KEY!r}, {bucket.endpoint!r})\n{body}"


@pytest.mark.parametrize("descriptors", [64, 256])
def test_a_process_with_few_descriptors_reads_all(bucket, descriptors):
    body = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))
print(len({{key for key, data in client.get_all((n, {bucket.origin!r} + f"/{{n}}") for n in range(500)) if data}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script(bucket, body)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "500"
    assert bucket.most <= descriptors // 4


def test_an_interrupt_ends_the_process_with_files_under_way(bucket):
    """No response comes within a minute, and the process ends long before."""
    bucket.delay = 60
    body = f"list(client.get_all((n, {bucket.origin!r} + f'/{{n}}') for n in range(500)))"
    process = subprocess.Popen([sys.executable, "-c", script(bucket, body)], stderr=subprocess.DEVNULL)
    while not bucket.asked:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0


# The pace, by a clock of the test


class Simulated:
    """Files that take `latency` each, and share a line that gives `most` a second."""

    def __init__(self, latency=0.1, most=1e9, limit=256):
        self.time, self.latency, self.most, self.under_way = 0.0, latency, most, 0
        self.pace = Pace(limit, lambda: self.time)

    def round(self, size=1000, trouble=0):
        """Fetch as many files as may be under way, some of which meet trouble."""
        self.fill()
        count = self.under_way
        self.time += max(self.latency, count / self.most)
        for number in range(count):
            self.pace.leave("me", size=None if number < trouble else size, trouble=number < trouble)
            self.under_way -= 1
            self.fill()
        return self.pace.limit

    def fill(self):
        while self.under_way < self.pace.limit:
            self.pace.enter("me")
            self.under_way += 1


def test_the_number_grows_while_the_rate_does():
    network = Simulated()
    assert [network.round() for _ in range(5)] == [32, 128, 256, 256, 256]


def test_the_number_goes_back_where_more_brings_nothing():
    network = Simulated(most=320)
    assert [network.round() for _ in range(8)] == [32, 128, 128, 32, 32, 32, 32, 32]


def test_a_slower_host_gets_another_try():
    network = Simulated(latency=0.01, most=3200)
    for _ in range(8):
        network.round()
    network.latency, network.most = 1.0, 1e9
    assert max(network.round() for _ in range(40)) == 256


def test_trouble_halves_the_number_once_for_all_that_were_under_way():
    network = Simulated()
    for _ in range(4):
        network.round()
    assert network.round(trouble=100) == 128
    assert network.round() == 144


def test_trouble_never_ends_everything():
    network = Simulated()
    for _ in range(20):
        network.round(trouble=network.pace.limit)
    assert network.pace.limit == 1


def test_large_files_are_fewer_at_a_time():
    network = Simulated()
    for _ in range(8):
        network.round(size=2**25)
    assert network.pace.limit == 8
