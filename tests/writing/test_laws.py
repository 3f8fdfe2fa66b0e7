"""Laws of writing, whatever the frame and whatever fails: each row once, and the report is true."""

import contextlib
import itertools
import json
import os
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writing import MUTATIONS, client_of, hurry

import pandas_kili as pk
from pandas_kili.sandbox import Fault
from pandas_kili.writing.delivery import Target, batches

pytestmark = pytest.mark.fuzz

LAWS = settings(
    derandomize="FUZZ" not in os.environ,
    deadline=None,
    database=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.too_slow],
)
SIZES = st.sampled_from([0, 1, 2, 5, 30, 99, 100, 101, 150, 199, 200, 201, 230, 250, 299, 300, 301, 350])
KINDS = st.sampled_from(
    [
        {"kind": "refuse"},
        {"kind": "reset_before"},
        {"kind": "reset_after"},
        {"kind": "cut"},
        {"kind": "status", "status": 502, "after_work": True},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "status", "status": 401},
        {"kind": "graphql_error"},
        {"kind": "graphql_error", "after_work": True},
        {"kind": "graphql_error", "code": "BAD_USER_INPUT"},
        {"kind": "graphql_error", "code": "BAD_USER_INPUT", "after_work": True},
        {"kind": "partial_data"},
    ]
)
STRIKES = st.tuples(st.integers(1, 5), st.sampled_from([1, 1, 1, 2, 7, None]), st.integers(0, 9))
PLANS = st.lists(st.tuples(KINDS, STRIKES), max_size=4)
DTYPES = st.sampled_from(["object", "arrow", "nullable", "inferred"])


@pytest.fixture(scope="module", autouse=True)
def swift():
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        yield


@contextlib.contextmanager
def failing(sandbox, operation, plan):
    """Let a plan befall the mutation, and now and then what is read back after it."""
    begun = []

    def begin(request):
        if request.operation == operation and not begun:
            begun.append(True)
            for kind, (nth, times, chance) in plan:
                befallen = "assets" if chance == 0 else operation
                sandbox.inject(Fault(operation=befallen, nth=nth, times=times, **kind))

    sandbox.clear_faults()
    sandbox.before_request(begin)
    try:
        yield
    finally:
        sandbox.clear_hooks()
        sandbox.clear_faults()


def column(values, dtype):
    if dtype == "object" or not any(value is not None for value in values):
        return pd.Series(values, dtype=object)
    if dtype == "arrow":
        array = pa.array(values)
        return pd.Series(values, dtype=pd.ArrowDtype(array.type))
    return pd.Series(values).convert_dtypes() if dtype == "nullable" else pd.Series(values)


def some(rng, values):
    """Return the values, some of them null."""
    share = rng.choice([0.0, 0.3, 1.0])
    return [None if rng.random() < share else value for value in values]


def indexed(frame, rng):
    n = len(frame)
    indexes = [pd.RangeIndex(n), pd.Index([1] * n), pd.Index([f"r{i}" for i in range(n)])]
    indexes.append(pd.MultiIndex.from_arrays([[0] * n, range(n)]))
    return frame.set_axis(indexes[rng.integers(len(indexes))])


def assert_law(report, held):
    for outcome, message, is_held in zip(report["outcome"], report["message"], held, strict=True):
        assert is_held or outcome != "applied", message
        assert not is_held or outcome != "not_sent", message


@LAWS
@given(
    generation=st.sampled_from(["current", "legacy"]),
    size=SIZES,
    plan=PLANS,
    seed=st.integers(0, 2**32 - 1),
    dtype=DTYPES,
    given_ids=st.booleans(),
)
def test_appended_rows_are_there_once(servers, generation, size, plan, seed, dtype, given_ids):
    sandbox, rng = servers[generation], np.random.default_rng(seed)
    project = sandbox.create_project("Law", "IMAGE")
    places = [f"https://x.org/{i}.png" for i in range(size)]
    frame = pd.DataFrame(
        {
            "externalId": column(some(rng, [f"a{i}" for i in range(size)]), dtype),
            "content": column(places, dtype),
            "jsonMetadata": pd.Series(
                some(rng, [{"i": i} if i % 2 else f'{{"i": {i}}}' for i in range(size)]), dtype=object
            ),
            "isHoneypot": column(some(rng, [bool(i % 3) for i in range(size)]), dtype),
        }
    )
    if given_ids:
        frame["id"] = column(some(rng, [f"id-{project}-{i}" for i in range(size)]), dtype)
    frame = indexed(frame, rng)
    client = client_of(sandbox)

    def held():
        stored = [row["content"] for row in sandbox.assets(project)]
        assert len(set(stored)) == len(stored)
        return [place in set(stored) for place in places]

    with failing(sandbox, MUTATIONS[generation]["append"], plan):
        out = frame.kili.append_many_to_dataset(project, client=client, errors="report")
    report = out.kili.report
    pd.testing.assert_index_equal(report.index, frame.index)
    assert_law(report, held())
    rest = out[(report["outcome"] != "applied").to_numpy()]
    again = rest.kili.append_many_to_dataset(project, client=client)
    assert set(again.kili.report["outcome"]) <= {"applied", "unchanged"}
    assert all(held())
    rows = {row["content"]: row for row in sandbox.assets(project)}
    for name, meta, honeypot, place in zip(
        frame["externalId"], frame["jsonMetadata"], frame["isHoneypot"], places, strict=True
    ):
        assert pd.isna(name) or rows[place]["externalId"] == name
        expected = {} if meta is None else json.loads(meta) if isinstance(meta, str) else meta
        assert json.loads(rows[place]["jsonMetadata"]) == expected
        assert rows[place]["isHoneypot"] == (not pd.isna(honeypot) and bool(honeypot))
    if size and not rest.size:
        assert out["id"].tolist() == [rows[place]["id"] for place in places]
        assert list(rows) == places


@LAWS
@given(
    size=SIZES,
    plan=PLANS,
    seed=st.integers(0, 2**32 - 1),
    dtype=DTYPES,
    by_name=st.booleans(),
    generation=st.sampled_from(["current", "legacy"]),
)
def test_updated_rows_hold_what_was_asked_and_others_what_they_held(
    servers, size, plan, seed, dtype, by_name, generation
):
    sandbox, rng = servers[generation], np.random.default_rng(seed)
    project = sandbox.create_project("Law", "IMAGE")
    names = [f"a{i}" for i in range(size)]
    ids = sandbox.add_assets(project, [{"externalId": name} for name in names]) if size else []
    order = rng.permutation(size)
    frame = pd.DataFrame(
        {
            "externalId" if by_name else "id": column([(names if by_name else ids)[i] for i in order], dtype),
            "priority": column(some(rng, [int(i) + 1 for i in order]), dtype),
            "meta": pd.Series(some(rng, [{"i": int(i)} for i in order]), dtype=object),
            "mark": column(some(rng, [int(i) / 1000 for i in order]), dtype),
        }
    )
    frame = indexed(frame, rng)
    wanted = [
        {
            "priority": 0 if pd.isna(priority) else int(priority),
            "jsonMetadata": meta or {},
            "consensusMark": None if pd.isna(mark) else float(mark),
        }
        for priority, meta, mark in zip(frame["priority"], frame["meta"], frame["mark"], strict=True)
    ]
    untouched = {"priority": 0, "jsonMetadata": {}, "consensusMark": None}

    def shown():
        rows = {row["id"]: {**row, "jsonMetadata": json.loads(row["jsonMetadata"])} for row in sandbox.assets(project)}
        return [{name: rows[ids[i]][name] for name in untouched} for i in order]

    def run(rows):
        return rows.kili.update_properties_in_assets(
            "priority",
            json_metadata="meta",
            consensus_mark="mark",
            project_id=project,
            client=client_of(sandbox),
            errors="report",
        )

    with failing(sandbox, "updatePropertiesInAssets", plan):
        out = run(frame)
    report = out.kili.report
    for outcome, now, asked in zip(report["outcome"], shown(), wanted, strict=True):
        assert outcome in {"applied", "unchanged", "failed", "not_sent"}
        assert now in (
            [asked] if outcome == "applied" else [untouched] if outcome == "not_sent" else [asked, untouched]
        )
    again = run(out[(report["outcome"] != "applied").to_numpy()])
    assert set(again.kili.report["outcome"]) <= {"applied", "unchanged"}
    assert shown() == wanted
    pd.testing.assert_frame_equal(out[frame.columns], frame)


@LAWS
@given(
    verb=st.sampled_from(["delete", "review", "queue"]),
    generation=st.sampled_from(["current", "legacy"]),
    size=SIZES,
    plan=PLANS,
    seed=st.integers(0, 2**32 - 1),
)
def test_moved_rows_are_where_they_were_to_go(servers, verb, generation, size, plan, seed):
    sandbox, rng = servers[generation], np.random.default_rng(seed)
    project = sandbox.create_project("Law", "IMAGE")
    ids = sandbox.add_assets(project, [{"externalId": f"a{i}"} for i in range(size)]) if size else []
    share = rng.choice([0.0, 0.9, 1.0])
    labeled = {one for one in ids if rng.random() < share}
    if labeled:
        sandbox.add_labels(pd.DataFrame({"assetId": sorted(labeled), "jsonResponse": "{}"}))
    rows = [ids[i] for i in rng.integers(0, size, size)] if size else []  # some several times, some not at all
    frame = indexed(pd.DataFrame({"id": pd.Series(rows, dtype=object), "x": range(size)}), rng)
    goal = {"delete": None, "review": "TO_REVIEW", "queue": "ONGOING"}[verb]

    def held():
        now = {row["id"]: row["status"] for row in sandbox.assets(project)}
        return [now.get(one) == goal for one in rows]

    def run(frame):
        method = {"delete": "delete_many_from_dataset", "review": "add_to_review", "queue": "send_back_to_queue"}[verb]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pk.KiliDeclinedWarning)
            return getattr(frame.kili, method)(client=client_of(sandbox), errors="report")

    with failing(sandbox, MUTATIONS[generation][verb], plan):
        out = run(frame)
    report = out.kili.report
    assert_law(report, held())
    assert {one for one, outcome in zip(rows, report["outcome"], strict=True) if outcome == "declined"} <= (
        set() if verb == "delete" else set(ids) - labeled
    )
    again = run(out[(report["outcome"] != "applied").to_numpy()])
    expected = [verb == "delete" or one in labeled for one in rows]
    assert held() == expected
    assert set(again.kili.report["outcome"]) <= {"applied", "declined", "unchanged"}
    others = {row["id"]: row["status"] for row in sandbox.assets(project) if row["id"] not in rows}
    assert others == {one: "LABELED" if one in labeled else "TODO" for one in ids if one not in rows}


@settings(derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(weights=st.lists(st.one_of(st.integers(0, 100), st.integers(10_000, 3_000_000)), max_size=400))
def test_batches_are_the_rows_in_order_and_no_batch_is_too_large(weights):
    targets = [Target(f"t{i}", [i], weight=weight) for i, weight in enumerate(weights)]
    cut = list(batches(targets))
    assert [target for batch in cut for target in batch] == targets
    for batch in cut:
        assert 1 <= len(batch) <= 100
        assert len(batch) == 1 or sum(target.weight for target in batch) <= 2_000_000
    for batch, following in itertools.pairwise(cut):  # none could have taken one more
        assert len(batch) == 100 or sum(target.weight for target in [*batch, following[0]]) > 2_000_000
