"""Whatever fails on the way, each row is written once, and the report says what became of it."""

import functools
import json
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pandas as pd
import pytest
from writing import MUTATIONS, client_of, filled, hurry, outcomes, sent, stored

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox
from pandas_kili.writing import delivery

ROWS = 250
VERBS = tuple(MUTATIONS["current"])
FAULTS = {
    "connection closed before": {"kind": "refuse"},
    "reset before": {"kind": "reset_before"},
    "reset after": {"kind": "reset_after"},
    "502 after": {"kind": "status", "status": 502, "after_work": True},
    "503 before": {"kind": "status", "status": 503},
    "no answer in time": {"kind": "timeout_after", "seconds": 0.3},
    "answer cut": {"kind": "cut"},
    "too many calls": {"kind": "status", "status": 429, "retry_after": 1},
    "passing error": {"kind": "graphql_error"},
    "passing error after": {"kind": "graphql_error", "after_work": True},
    "lasting error after": {"kind": "graphql_error", "after_work": True, "code": "BAD_USER_INPUT"},
    "error beside data": {"kind": "partial_data"},
    "page of a proxy": {"kind": "html", "after_work": True},
}


@pytest.fixture(scope="module")
def servers():
    with (
        Sandbox(generation="current", max_calls_per_minute=None) as today,
        Sandbox(generation="legacy", max_calls_per_minute=None) as seed,
    ):
        today.generation, seed.generation = "current", "legacy"
        yield {"current": today, "legacy": seed}


@pytest.fixture(autouse=True)
def renewed(servers, monkeypatch):
    hurry(monkeypatch)
    for server in servers.values():
        server.clear_faults()
        server.clear_hooks()
        server.clear_requests()


class Job:
    """One verb on the frame of a fresh project, and what the server holds of it."""

    def __init__(self, sandbox, verb, rows=ROWS, **options):
        self.sandbox, self.verb = sandbox, verb
        self.operation = MUTATIONS[sandbox.generation][verb]
        self.client = client_of(sandbox, **options)
        self.project, ids = filled(sandbox, 0 if verb == "append" else rows, labeled=self._labeled(rows))
        self.frame = pd.DataFrame(
            {
                "id": ids or [None] * rows,
                "externalId": [f"n{i}" for i in range(rows)],
                "content": [f"https://example.com/{i}.png" for i in range(rows)],
                "priority": range(1, rows + 1),
                "new": [f"new-{i}" for i in range(rows)],
            },
            index=[f"r{i}" for i in range(rows)],
        )

    def _labeled(self, rows):
        return range(rows) if self.verb in {"review", "queue"} else ()

    def run(self, frame=None, **options):
        frame, options = self.frame if frame is None else frame, {"client": self.client, **options}
        if self.verb == "append":
            return frame.kili.append_many_to_dataset(self.project, **options)
        options["project_id"] = self.project
        return {
            "update": functools.partial(frame.kili.update_properties_in_assets, "priority"),
            "rename": functools.partial(frame.kili.change_asset_external_ids, "new"),
            "delete": frame.kili.delete_many_from_dataset,
            "review": frame.kili.add_to_review,
            "queue": frame.kili.send_back_to_queue,
        }[self.verb](**options)

    def done(self):
        """Return for each row of the whole frame whether the server holds it."""
        rows = self.sandbox.assets(self.project)
        by_id = {row["id"]: row for row in rows}
        names = [row["externalId"] for row in rows]
        if self.verb == "append":
            assert len(set(names)) == len(names)
            return [name in set(names) for name in self.frame["externalId"]]
        judge = {
            "update": lambda row, wanted: row["priority"] == wanted.priority,
            "rename": lambda row, wanted: row["externalId"] == wanted.new,
            "delete": lambda row, _: row is None,
            "review": lambda row, _: row["status"] == "TO_REVIEW",
            "queue": lambda row, _: row["status"] == "ONGOING",
        }[self.verb]
        return [judge(by_id.get(wanted.id), wanted) for wanted in self.frame.itertuples()]

    def assert_complete(self):
        assert self.done() == [True] * len(self.frame)
        if self.verb == "append":
            rows = self.sandbox.assets(self.project)
            assert [row["externalId"] for row in rows] == self.frame["externalId"].tolist()
            assert [row["content"] for row in rows] == self.frame["content"].tolist()

    def assert_true(self, report):
        """Hold a report of the whole frame to what the server holds."""
        assert report.index.tolist() == self.frame.index.tolist()
        for outcome, message, held in zip(report["outcome"], report["message"], self.done(), strict=True):
            assert outcome in {"applied", "failed", "not_sent"}
            assert held or outcome != "applied", message
            assert not held or outcome != "not_sent", message
            assert not held or outcome != "failed" or "unknown" in message

    def complete(self, frame, report):
        """Send the rest again, as the guide says."""
        rest = frame[report["outcome"] != "applied"]
        assert set(outcomes(self.run(rest))) <= {"applied", "unchanged"}
        self.assert_complete()


MATRIX = [("current", verb, fault) for verb in VERBS for fault in FAULTS] + [
    ("legacy", verb, fault)
    for verb in ("append", "delete", "review", "queue")
    for fault in ("reset after", "502 after", "reset before", "passing error", "too many calls")
]


@pytest.mark.once
@pytest.mark.parametrize(("generation", "verb", "fault"), MATRIX)
def test_a_failure_on_any_batch_is_overcome_and_each_row_is_written_once(servers, monkeypatch, generation, verb, fault):
    monkeypatch.setattr(delivery, "BATCH_SIZE", 20)
    for batch in (1, 2, 3):
        timeout = (5, 0.1) if fault == "no answer in time" else (5, 10)
        job = Job(servers[generation], verb, rows=50, timeout=timeout)
        job.sandbox.clear_faults()
        job.sandbox.inject(Fault(operation=job.operation, nth=batch, **FAULTS[fault]))
        job.sandbox.clear_requests()
        out = job.run()
        assert outcomes(out) == ["applied"] * 50
        job.assert_true(out.kili.report)
        job.assert_complete()
        arrived = len(sent(job.sandbox, job.operation))
        assert arrived >= 3
        if fault == "too many calls":
            assert arrived == 4  # the one that was refused, again


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", ["reset after", "502 after", "answer cut"])
def test_what_was_done_is_not_sent_again(servers, verb, fault):
    job = Job(servers["current"], verb)
    job.sandbox.inject(Fault(operation=job.operation, times=None, **FAULTS[fault]))
    job.sandbox.clear_requests()
    out = job.run()
    assert outcomes(out) == ["applied"] * ROWS
    job.assert_complete()
    assert len(sent(job.sandbox, job.operation)) == 3


@pytest.mark.parametrize("generation", ["current", "legacy"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_key_that_is_revoked_in_the_middle_leaves_rows_that_were_not_sent(servers, generation, verb):
    job = Job(servers[generation], verb, max_workers=1)
    job.sandbox.inject(Fault("status", operation=job.operation, status=401, nth=2, times=None))
    with pytest.raises(pk.KiliMutationError) as caught:
        job.run()
    report, frame = caught.value.report, caught.value.frame
    assert report["outcome"].tolist() == ["applied"] * 100 + ["not_sent"] * 150
    assert (
        "100 applied, 0 declined, 0 failed, 150 not sent. row 'r100', 'r101', 'r102' and 147 more: not sent ("
        in str(caught.value)
    )
    assert str(caught.value).count("API key") == 1
    job.assert_true(report)
    assert job.done() == [True] * 100 + [False] * 150
    assert report["message"].str.contains("API key").tolist() == [False] * 100 + [True] * 150
    job.sandbox.clear_faults()
    job.complete(frame, report)


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_never_answers_leaves_rows_whose_fate_is_unknown(servers, verb):
    job = Job(servers["current"], verb)
    job.sandbox.inject(Fault("status", operation=job.operation, status=502, nth=2, times=None))
    out = job.run(errors="report")
    job.assert_true(out.kili.report)
    counts = out.kili.report["outcome"].value_counts().to_dict()
    assert counts == {"applied": counts["applied"], "failed": ROWS - counts["applied"]}
    assert counts["applied"] in {50, 100}
    unknown = out.kili.report.loc[out.kili.report["outcome"] == "failed", "message"]
    assert unknown.str.startswith("outcome unknown").all()
    job.sandbox.clear_faults()
    job.complete(out, out.kili.report)


@pytest.mark.once
@pytest.mark.parametrize("status", [500, 401])
@pytest.mark.parametrize("generation", ["current", "legacy"])
@pytest.mark.parametrize("verb", VERBS)
def test_rows_whose_outcome_cannot_be_read_back_are_not_called_not_sent(servers, generation, verb, status):
    """The work of the second batch is done, and from then on nothing can be asked."""
    job = Job(servers[generation], verb, max_workers=1)
    broken = threading.Event()

    def break_down(request):
        if request.operation == job.operation and len(sent(job.sandbox, job.operation)) == 2:
            broken.set()
            job.sandbox.inject(Fault("status", status=status, times=None))

    job.sandbox.clear_requests()
    job.sandbox.after_request(break_down)
    out = job.run(errors="report")
    assert broken.is_set()
    job.sandbox.clear_hooks()
    job.sandbox.clear_faults()
    job.assert_true(out.kili.report)
    assert job.done()[:200] == [True] * 200
    assert "not_sent" not in outcomes(out)[100:200]
    job.complete(out, out.kili.report)


@pytest.mark.parametrize("verb", VERBS)
def test_work_that_is_done_after_all_is_not_called_not_sent(servers, verb):
    """The second request is taken so slowly that it is given up, sent again, and refused; then its work is done."""
    job = Job(servers["current"], verb, max_workers=1, timeout=(5, 0.1))
    arrived, returned, done = [], threading.Event(), threading.Event()

    def delay(request):
        if request.operation == job.operation:
            arrived.append(request)
            if len(arrived) == 2:
                returned.wait(20)
            elif len(arrived) == 3:
                job.sandbox.inject(Fault("status", operation=job.operation, status=401))

    job.sandbox.before_request(delay)
    job.sandbox.after_request(lambda request: done.set() if len(arrived) > 1 and request is arrived[1] else None)
    out = job.run(errors="report")
    returned.set()
    assert done.wait(10)
    assert outcomes(out) == ["applied"] * 100 + ["failed"] * 100 + ["not_sent"] * 50
    assert job.done() == [True] * 200 + [False] * 50
    job.assert_true(out.kili.report)
    job.sandbox.clear_hooks()
    job.complete(out, out.kili.report)


@pytest.mark.parametrize("verb", ["append", "update", "delete"])
def test_a_server_that_is_gone_and_comes_back(tmp_path, verb):
    with Sandbox(tmp_path / "kili", generation="current", max_calls_per_minute=None) as sandbox:
        sandbox.generation = "current"
        job = Job(sandbox, verb, max_workers=1)
        stopping = []

        def stop(request):
            if request.operation == job.operation and len(sent(sandbox, job.operation)) == 2:
                stopping.append(threading.Thread(target=sandbox.stop))
                stopping[0].start()
                while not sandbox._server.stopping.is_set():
                    time.sleep(0.001)

        sandbox.before_request(stop)
        port = int(sandbox.api_endpoint.split(":")[2].split("/")[0])
        out = job.run(errors="report")
        stopping[0].join()
    with Sandbox(tmp_path / "kili", port=port, generation="current", max_calls_per_minute=None) as again:
        again.generation = "current"
        job.sandbox = again
        job.assert_true(out.kili.report)
        assert outcomes(out)[:100] == ["applied"] * 100
        assert outcomes(out)[200:] == ["not_sent"] * 50
        job.complete(out, out.kili.report)


@pytest.mark.parametrize("given", ["externalId", "mixed"])
@pytest.mark.parametrize("verb", ["delete", "rename", "update"])
def test_the_rest_is_known_again_though_it_lost_its_name(servers, verb, given):
    """A deletion or renaming that was done, but could not be read back, leaves no asset of the old external id."""
    job = Job(servers["current"], verb, rows=120, max_workers=1)
    named = (
        job.frame.drop(columns="id")
        if given == "externalId"
        else job.frame.assign(id=[*job.frame["id"][:7], *[None] * 113])
    )
    job.sandbox.inject(Fault("reset_after", operation=job.operation, nth=2))
    job.sandbox.after_request(
        lambda request: (
            job.sandbox.inject(Fault("status", operation="assets", status=500, times=None))
            if request.operation == job.operation and len(sent(job.sandbox, job.operation)) == 2
            else None
        )
    )
    job.sandbox.clear_requests()
    out = job.run(named, errors="report")
    assert outcomes(out) == ["applied"] * 100 + ["failed"] * 20
    assert out["id"].tolist() == job.frame["id"].tolist()
    job.sandbox.clear_faults()
    job.sandbox.clear_hooks()
    job.complete(out, out.kili.report)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [[0], [99], [100], [37], [5, 6, 240], [0, 50, 99]])
def test_only_the_rows_that_the_server_refuses_fail(servers, bad):
    job = Job(servers["current"], "update")
    job.frame["priority"] = [{"k": 1} if row not in bad else [1] for row in range(ROWS)]  # lists are refused
    job.sandbox.clear_requests()
    out = job.frame.kili.update_properties_in_assets(json_metadata="priority", client=job.client, errors="report")
    assert outcomes(out) == ["failed" if row in bad else "applied" for row in range(ROWS)]
    held = [json.loads(text) for text in stored(job.sandbox, job.project, "jsonMetadata").values()]
    assert held == [{} if row in bad else {"k": 1} for row in range(ROWS)]
    assert out.kili.report["message"].iloc[bad].str.contains("Not a JSON object").all()
    assert len(sent(job.sandbox)) < 3 + 16 * len(bad)


@pytest.mark.once
@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "BAD_USER_INPUT"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_row_that_the_server_stumbles_over_does_not_take_others_along(servers, verb, code):
    job = Job(servers["current"], verb, max_workers=1)
    poison = "n123" if verb == "append" else job.frame["id"].iloc[123]

    def stumble(request):
        if request.operation == job.operation and f'"{poison}"' in json.dumps(request.variables):
            job.sandbox.inject(Fault("graphql_error", operation=job.operation, code=code, message="I stumbled"))

    job.sandbox.before_request(stumble)
    out = job.run(errors="report")
    assert outcomes(out) == ["failed" if row == 123 else "applied" for row in range(ROWS)]
    assert "I stumbled" in out.kili.report["message"].iloc[123]
    job.assert_true(out.kili.report)
    job.sandbox.clear_hooks()
    job.sandbox.clear_faults()
    rest = out[out.kili.report["outcome"] != "applied"]
    assert outcomes(job.run(rest)) == ["applied"]
    assert job.done() == [True] * ROWS


@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "BAD_USER_INPUT"])
def test_a_server_that_refuses_everything_is_not_asked_for_ever(servers, code):
    job = Job(servers["current"], "update", rows=1000)
    job.sandbox.inject(Fault("graphql_error", operation=job.operation, code=code, times=None))
    job.sandbox.clear_requests()
    out = job.run(errors="report")
    assert set(outcomes(out)) == {"failed"}
    assert not any(job.done())
    assert len(sent(job.sandbox)) <= 10 * 5 + (2 * 96 + 1) * 3 + 10 * 49


def test_a_body_that_is_too_large_for_the_server_is_cut(servers):
    job = Job(servers["current"], "update", rows=100)
    job.frame["meta"] = [{"t": "x" * (90_000 if row == 40 else 100)} for row in range(100)]

    def refuse_large(request):
        if request.operation == job.operation and len(json.dumps(request.variables)) > 80_000:
            job.sandbox.inject(Fault("status", operation=job.operation, status=413))

    job.sandbox.before_request(refuse_large)
    out = job.frame.kili.update_properties_in_assets(json_metadata="meta", client=job.client, errors="report")
    assert outcomes(out) == ["failed" if row == 40 else "applied" for row in range(100)]
    assert "413" in out.kili.report["message"].iloc[40]


def test_a_lost_answer_is_settled_although_replicas_lag(servers, monkeypatch):
    monkeypatch.setattr(delivery, "_PATIENCE", (0.0, 0.2, 0.5, 0.5))
    for verb in ("append", "update", "delete"):
        job = Job(servers["current"], verb, rows=120)
        job.sandbox.clear_faults()
        job.sandbox.inject(Fault("reset_after", operation=job.operation))
        job.sandbox.inject(Fault("replica_lag", operation="assets", seconds=0.3, times=None))
        job.sandbox.clear_requests()
        out = job.run()
        assert outcomes(out) == ["applied"] * 120, verb
        job.assert_complete()
        assert len(sent(job.sandbox)) <= 5


# --- interruptions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background ignore it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("generation", "verb"), [("legacy", "append"), ("legacy", "review"), *(("current", verb) for verb in VERBS)]
)
def test_an_interrupted_call_tells_what_became_of_each_row(servers, generation, verb):
    job = Job(servers[generation], verb, rows=1250, max_workers=2)

    def interrupt(request):
        if request.operation == job.operation and len(sent(job.sandbox, job.operation)) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.1)

    job.sandbox.clear_requests()
    job.sandbox.before_request(interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        job.run()
    job.sandbox.clear_hooks()
    error = caught.value
    counts = error.report["outcome"].value_counts().to_dict()
    assert counts["applied"] >= 200
    assert counts["not_sent"] >= 700
    assert error.frame.kili.report is error.report
    assert f"{counts['applied']:,} applied" in error.__notes__[0]
    job.assert_true(error.report)
    job.complete(error.frame, error.report)


class GreedyClient(pk.Client):
    """Runs out of memory at the second mutation, before or after the server did it."""

    def run_out(self, operation, *, after):
        self.operation, self.after, self.calls = operation, after, 0
        return self

    def execute(self, document, variables=None, **options):
        if self.operation not in document:
            return super().execute(document, variables, **options)
        self.calls += 1
        if self.calls == 2:
            if self.after:
                super().execute(document, variables, **options)
            raise MemoryError("no more")
        return super().execute(document, variables, **options)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_runs_out_of_memory_tells_what_became_of_each_row(servers, verb, after):
    job = Job(servers["current"], verb, rows=450)
    greedy = GreedyClient(job.sandbox.api_key, job.sandbox.api_endpoint, max_workers=1).run_out(
        job.operation, after=after
    )
    with pytest.raises(MemoryError) as caught:
        job.run(client=greedy)
    report = caught.value.report
    assert report["outcome"].tolist() == ["applied"] * 100 + ["failed"] * 100 + ["not_sent"] * 250
    assert report["message"].iloc[150] == "outcome unknown: MemoryError: no more"
    job.assert_true(report)
    job.complete(caught.value.frame, report)


def test_an_error_that_was_raised_in_the_middle_pickles(servers):
    job = Job(servers["current"], "update", max_workers=1)
    job.sandbox.inject(Fault("status", operation=job.operation, status=401, nth=2, times=None))
    with pytest.raises(pk.KiliMutationError) as caught:
        job.run()
    copied = pickle.loads(pickle.dumps(caught.value))
    pd.testing.assert_frame_equal(copied.report, caught.value.report)
    assert job.sandbox.api_key not in repr(vars(caught.value)) + str(caught.value)


def test_a_process_that_is_killed_can_be_run_again(tmp_path):
    """Given names and `if_exists="skip"`, a script that died completes the work with nothing twice."""
    script = """
        import os, sys
        import pandas as pd, pandas_kili as pk
        endpoint, key, project = sys.argv[1:]
        frame = pd.DataFrame({"externalId": [f"a{i}" for i in range(450)], "content": "https://x.org/1.png"})
        frame.kili.append_many_to_dataset(project, if_exists="skip", client=pk.Client(key, endpoint))
    """
    with Sandbox(generation="current", max_calls_per_minute=None) as sandbox:
        project, _ = filled(sandbox, 0)
        command = [sys.executable, "-c", textwrap.dedent(script), sandbox.api_endpoint, sandbox.api_key, project]
        holding = threading.Event()

        def kill(request):
            if request.operation == "appendManyAssets" and len(sent(sandbox, "appendManyAssets")) == 3:
                started.kill()
                holding.set()

        sandbox.before_request(kill)
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        _, said = started.communicate(timeout=60)
        assert started.returncode == -signal.SIGKILL
        assert holding.is_set()
        assert not set(re.findall(r"[A-Z]\w+(?:Error|Warning)\b", said)), said
        sandbox.clear_hooks()
        assert 200 <= len(sandbox.assets(project)) <= 300
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "KiliDeclinedWarning" not in done.stderr
        names = [row["externalId"] for row in sandbox.assets(project)]
        assert names == [f"a{i}" for i in range(450)]
