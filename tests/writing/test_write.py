"""What all verbs have in common: any frame and index, the report of every row, batches, keywords."""

import copy
import io
import logging
import pickle
import threading
import time
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from writing import MUTATIONS, VERBS, client_of, filled, metadata, outcomes, read, sent, stored

import pandas_kili as pk
from pandas_kili.catalog import assets as limits
from pandas_kili.sandbox import Fault
from pandas_kili.writing import delivery

TEXT = pd.ArrowDtype(pa.string())


def prepared(sandbox, rows=6):
    """Return a frame on which each verb has something to do, with its project."""
    project, ids = filled(sandbox, rows, labeled=range(rows))
    frame = pd.DataFrame(
        {
            "id": ids,
            "content": [f"https://example.com/new-{i}.png" for i in range(rows)],
            "wanted": range(1, rows + 1),
            "name": [f"new-{i}" for i in range(rows)],
            "nested": [{"a": [i]} for i in range(rows)],
        }
    )
    frame.attrs["kili"] = {"project_id": project, "api_endpoint": sandbox.api_endpoint}
    return frame, project


# --- frames ----------------------------------------------------------------------------------------------------------


INDEXES = {
    "range": pd.RangeIndex,
    "range of another start": lambda n: pd.RangeIndex(10, 10 + 2 * n, 2),
    "texts": lambda n: pd.Index([f"r{i}" for i in range(n)], name="key"),
    "dates": lambda n: pd.date_range("2024-01-01", periods=n, tz="UTC"),
    "duplicates": lambda n: pd.Index([7] * n),
    "levels": lambda n: pd.MultiIndex.from_arrays([["a", "b"] * (n // 2), range(n)], names=["x", "y"]),
    "levels that repeat": lambda n: pd.MultiIndex.from_arrays([["a"] * n, [1] * n]),
    "categories": lambda n: pd.CategoricalIndex(["a", "b"] * (n // 2)),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", INDEXES)
def test_any_index_comes_back_and_the_report_is_on_it(today, kind, verb):
    frame, project = prepared(today)
    frame.index = INDEXES[kind](len(frame))
    out = VERBS[verb](frame, client=client_of(today), project_id=project)
    pd.testing.assert_index_equal(out.index, frame.index)
    pd.testing.assert_index_equal(out.kili.report.index, frame.index)
    assert out["name"].tolist() == frame["name"].tolist()
    assert outcomes(out) == ["applied"] * len(frame)
    assert out.kili.report.columns.tolist() == ["id", "externalId", "outcome", "message"]
    assert set(out.kili.report.dtypes) == {TEXT}


@pytest.mark.parametrize("verb", VERBS)
def test_the_input_is_as_it_was(sandbox, verb):
    frame, project = prepared(sandbox)
    frame["status"], frame["externalId"], frame["priority"] = "TODO", [f"x{i}" for i in range(6)], 0
    before, attrs = copy.deepcopy(frame), copy.deepcopy(frame.attrs)
    out = VERBS[verb](frame, client=client_of(sandbox), project_id=project)
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == attrs
    assert [cell == {"a": [i]} for i, cell in enumerate(frame["nested"])] == [True] * 6
    assert out is not frame
    out.loc[out.index[0], "wanted"] = -1
    out.attrs["kili"]["project_id"] = "another"
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == attrs


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_frame_sends_nothing_and_comes_back_with_its_columns(sandbox, verb):
    frame, project = prepared(sandbox)
    none = frame.iloc[:0]
    sandbox.clear_requests()
    out = VERBS[verb](none, client=client_of(sandbox), project_id=project)
    expected = none
    if verb == "append":
        texts = {name: pd.array([], dtype=TEXT) for name in ("id", "externalId")}
        expected = none.drop(columns="id").assign(**texts)
    pd.testing.assert_frame_equal(out, expected)
    assert len(out.kili.report) == 0
    assert set(out.kili.report.dtypes) == {TEXT}
    assert sandbox.requests == []


def test_an_empty_frame_of_csv_without_columns_of_texts_is_fine(today):
    project, _ = filled(today, 0)
    frame = pd.read_csv(io.StringIO("externalId,content\n"))
    out = frame.kili.append_many_to_dataset(project, client=client_of(today))
    assert out.columns.tolist() == ["externalId", "content", "id"]


DTYPES = {
    "arrow": lambda values: pd.Series(values, dtype=pd.ArrowDtype(pa.array(values).type)),
    "object": lambda values: pd.Series(values, dtype=object),
    "inferred": pd.Series,
    "nullable": lambda values: pd.Series(values).convert_dtypes(),
    "categories": lambda values: pd.Series(values).astype("category"),
    "large text": lambda values: (
        pd.Series(values, dtype=pd.ArrowDtype(pa.large_string())) if isinstance(values[0], str) else pd.Series(values)
    ),
    "dictionary": lambda values: pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values).dictionary_encode())),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_of_any_dtype_are_written(today, dtype):
    project, ids = filled(today, 4)
    make = DTYPES[dtype]
    frame = pd.DataFrame(
        {
            "id": make(ids),
            "priority": make([1, 2, None, 4]),
            "consensusMark": make([0.0, 1.0, 0.25, None]),
            "isHoneypot": make([True, False, None, True]),
            "jsonMetadata": make(['{"k": 1}', None, '{"k": 3}', "{}"]),
        }
    )
    out = frame.kili.update_properties_in_assets(
        "priority", "consensusMark", "isHoneypot", "jsonMetadata", project_id=project, client=client_of(today)
    )
    pd.testing.assert_frame_equal(out, frame)
    assert list(stored(today, project, "priority").values()) == [1, 2, 0, 4]
    assert list(stored(today, project, "consensusMark").values()) == [0.0, 1.0, 0.25, None]
    assert list(stored(today, project, "isHoneypot").values()) == [1, 0, 0, 1]
    assert list(metadata(today, project).values()) == [{"k": 1}, {}, {"k": 3}, {}]


@pytest.mark.parametrize("dtype", DTYPES)
def test_new_assets_come_from_columns_of_any_dtype(today, dtype):
    project, _ = filled(today, 0)
    make = DTYPES[dtype]
    frame = pd.DataFrame(
        {
            "externalId": make(["a", "b", None]),
            "content": make([f"https://example.com/{i}.png" for i in range(3)]),
            "isHoneypot": make([True, None, False]),
        }
    )
    out = frame.kili.append_many_to_dataset(project, client=client_of(today))
    rows = today.assets(project)
    assert out["id"].tolist() == [row["id"] for row in rows]
    assert out["externalId"].tolist() == [row["externalId"] for row in rows]
    assert out["externalId"].tolist()[:2] == ["a", "b"]
    assert out["externalId"].notna().all()
    assert [row["isHoneypot"] for row in rows] == [1, 0, 0]


@pytest.mark.parametrize(
    ("column", "wanted", "shown"),
    [
        (pd.Series([0, 0], dtype="int64"), [0.5, 1.0], [0.5, 1.0]),
        (pd.Series([0, 0], dtype="int8"), [0.25, None], [0.25, 0]),
        (pd.Series([0.0, np.nan]), [0.5, 0.25], [0.5, 0.25]),
        (pd.Series([0, 0], dtype="Int64"), [0.5, 1.0], [0.5, 1.0]),
        (pd.Series([0.5, 0.5], dtype=pd.ArrowDtype(pa.float64())), [0.25, None], [0.25, 0.5]),
        (pd.Series(["x", "y"]), [0.25, None], [0.25, "y"]),
        (pd.Series(["x", "y"], dtype="category"), [0.25, None], [0.25, "y"]),
        (pd.Series([True, False]), [0.25, None], [0.25, False]),
    ],
)
def test_a_column_brought_up_to_date_holds_what_the_server_holds(today, column, wanted, shown):
    _, ids = filled(today, 2)
    frame = pd.DataFrame({"id": ids, "consensusMark": column, "mark": wanted})
    out = frame.kili.update_properties_in_assets(consensus_mark="mark", client=client_of(today))
    assert out["consensusMark"].tolist() == shown
    assert frame["consensusMark"].tolist() == column.tolist() or column.isna().any()


def test_a_large_priority_does_not_wrap_around_in_a_small_column(today):
    _, ids = filled(today, 1)
    frame = pd.DataFrame({"id": ids, "priority": pd.Series([1], dtype="int8"), "wanted": [2**31 - 1]})
    out = frame.kili.update_properties_in_assets(priority="wanted", client=client_of(today))
    assert out["priority"].tolist() == [2**31 - 1]


def test_the_column_that_was_sent_stays_what_it_was(today):
    project, ids = filled(today, 2)
    frame = pd.DataFrame({"id": ids, "jsonMetadata": [{"a": 1}, {"a": 2}]})
    out = frame.kili.update_properties_in_assets("jsonMetadata", client=client_of(today))
    assert out["jsonMetadata"].tolist() == [{"a": 1}, {"a": 2}]
    assert list(metadata(today, project).values()) == [{"a": 1}, {"a": 2}]


def test_a_column_that_is_there_twice_is_brought_up_to_date_twice(today):
    _, ids = filled(today, 2, labeled=[0, 1])
    frame = pd.DataFrame([[ids[0], "LABELED", "?"], [ids[1], "LABELED", "?"]], columns=["id", "status", "status"])
    out = frame.kili.add_to_review(client=client_of(today))
    assert out.to_numpy().tolist() == [[ids[0]] + ["TO_REVIEW"] * 2, [ids[1]] + ["TO_REVIEW"] * 2]
    twice = pd.DataFrame([[ids[0], "x", "y"]], columns=["id", "externalId", "externalId"])
    assert outcomes(twice.kili.delete_many_from_dataset(client=client_of(today))) == ["applied"]


def test_a_frame_that_was_read_is_written_back_without_naming_its_project(sandbox):
    project, ids = filled(sandbox, 5)
    frame = read(sandbox, project)
    frame["priority"] = frame["priority"] + 3
    out = frame.kili.update_properties_in_assets("priority", client=client_of(sandbox))
    assert outcomes(out) == ["applied"] * 5
    assert stored(sandbox, project, "priority") == dict.fromkeys(ids, 3)
    assert out.attrs == frame.attrs


def test_a_frame_of_csv_is_written_by_external_ids(sandbox):
    project, ids = filled(sandbox, 3)
    frame = pd.read_csv(io.StringIO("externalId,priority\nn2,7\nn0,5\n"))
    out = frame.kili.update_properties_in_assets("priority", project_id=project, client=client_of(sandbox))
    assert out.kili.report["id"].tolist() == [ids[2], ids[0]]
    assert out.kili.report["externalId"].tolist() == ["n2", "n0"]
    assert out.columns.tolist() == ["externalId", "priority"]
    assert list(stored(sandbox, project, "priority").values()) == [5, 0, 7]


def test_pipes_groups_and_merges(today):
    project, ids = filled(today, 6)
    client = client_of(today)
    frame = read(today, project)
    frame["half"] = [0, 1] * 3
    piped = frame.assign(priority=1).pipe(lambda df: df.kili.update_properties_in_assets("priority", client=client))
    assert outcomes(piped) == ["applied"] * 6
    one = frame.assign(priority=2).groupby("half").pipe(lambda groups: groups.get_group(1))
    one.kili.update_properties_in_assets("priority", client=client)
    assert list(stored(today, project, "priority").values()) == [1, 2] * 3

    def written(group):
        return group.assign(priority=9).kili.update_properties_in_assets("priority", client=client)

    grouped = frame.groupby("half")[["id", "externalId", "priority"]].apply(written)
    assert grouped["priority"].tolist() == [9] * 6
    assert list(stored(today, project, "priority").values()) == [9] * 6
    scores = pd.DataFrame({"externalId": [f"n{i}" for i in range(6)], "score": range(6)})
    merged = scores.merge(frame[["id", "externalId"]], on="externalId")
    merged.attrs.clear()
    out = merged.kili.update_properties_in_assets(priority="score", client=client)
    assert stored(today, project, "priority") == dict(zip(ids, range(6), strict=True))
    assert "kili" not in out.attrs


def test_calls_chain(sandbox):
    project, _ = filled(sandbox, 0)
    client = client_of(sandbox)
    frame = pd.DataFrame({"externalId": ["a", "b"], "content": ["https://x.org/a.png", "https://x.org/b.png"], "p": 1})
    out = (
        frame.kili.append_many_to_dataset(project, client=client)
        .kili.update_properties_in_assets(priority="p", client=client)
        .assign(externalId=["a2", "b2"])
        .kili.change_asset_external_ids("externalId", client=client)
        .kili.delete_many_from_dataset(client=client)
    )
    assert outcomes(out) == ["applied"] * 2
    assert out["externalId"].tolist() == ["a2", "b2"]
    assert sandbox.assets(project) == []


def test_a_chain_finds_its_assets_although_replicas_lag(sandbox, monkeypatch):
    monkeypatch.setattr(delivery, "_PATIENCE", (0.0, 0.2, 0.5, 0.5))
    project, _ = filled(sandbox, 0)
    client = client_of(sandbox)
    frame = pd.DataFrame({"externalId": ["a", "b"], "content": "https://x.org/a.png", "p": 3})
    sandbox.inject(Fault("replica_lag", seconds=0.3, times=None))
    out = frame.kili.append_many_to_dataset(project, client=client).kili.update_properties_in_assets(
        priority="p", client=client
    )
    assert outcomes(out) == ["applied"] * 2
    more = frame.assign(externalId=["c", "d"])
    more.kili.append_many_to_dataset(project, client=client)
    named = more.kili.update_properties_in_assets(priority="p", project_id=project, client=client)
    assert outcomes(named) == ["applied"] * 2


# --- the report ------------------------------------------------------------------------------------------------------


def test_the_report_belongs_to_that_very_object(today):
    frame, _ = prepared(today)
    out = frame.kili.add_to_review(client=client_of(today))
    assert outcomes(out) == ["applied"] * 6
    derived = [out.copy(), out.copy(deep=False), copy.copy(out), copy.deepcopy(out), out[:3], out[out["wanted"] > 2]]
    derived += [
        pickle.loads(pickle.dumps(out)),
        out.assign(x=1),
        out.reset_index(),
        out.head(2),
        frame,
        pd.concat([out]),
    ]
    for other in derived:
        with pytest.raises(AttributeError, match="very object"):
            _ = other.kili.report
        assert not hasattr(other.kili, "report")


def test_a_second_mutation_has_its_own_report(today):
    frame, _ = prepared(today)
    first = frame.kili.add_to_review(client=client_of(today))
    second = first.kili.send_back_to_queue(client=client_of(today), dry_run=True)
    assert outcomes(first) == ["applied"] * 6
    assert outcomes(second) == ["not_sent"] * 6


def test_a_report_does_not_follow_a_frame_that_was_changed_in_place(today):
    frame, _ = prepared(today)
    out = frame.kili.add_to_review(client=client_of(today))
    del out["nested"]
    assert outcomes(out) == ["applied"] * 6
    out.loc["more"] = out.iloc[0]
    with pytest.raises(AttributeError, match="in place"):
        _ = out.kili.report


@pytest.mark.filterwarnings("ignore:.*inplace")
def test_a_report_does_not_follow_rows_that_were_sorted_in_place(today):
    frame, _ = prepared(today)
    out = frame.reset_index(drop=True).kili.add_to_review(client=client_of(today))
    order = out["id"].tolist()
    out.sort_values("wanted", ascending=False, ignore_index=True, inplace=True)  # noqa: PD002 - what is tested
    assert out["id"].tolist() == order[::-1]
    with pytest.raises(AttributeError, match="in place"):
        _ = out.kili.report
    out.sort_values("wanted", ignore_index=True, inplace=True)  # noqa: PD002 - as above
    assert outcomes(out) == ["applied"] * 6


def test_typed_spelling_is_the_same(today):
    frame, _ = prepared(today)
    out = pk.kili(frame).add_to_review(client=client_of(today))
    assert pk.kili(out).report is out.kili.report


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("rows", [99, 100, 101, 250])
def test_batches_are_of_a_hundred_rows_and_lose_none(today, verb, rows):
    frame, project = prepared(today, rows)
    today.clear_requests()
    out = VERBS[verb](frame, project_id=project, client=client_of(today))
    assert outcomes(out) == ["applied"] * rows
    sizes = [
        len(
            variables["data"]["idArray"]
            if "data" in variables
            else variables.get("whereArray") or variables["where"]["idIn"]
        )
        for variables in sent(today)
    ]
    assert sorted(sizes, reverse=True) == [100] * (rows // 100) + ([rows % 100] if rows % 100 else [])


def test_batches_are_cut_by_bytes_too_and_a_giant_goes_alone(today):
    project, ids = filled(today, 30)
    text = ["x" * 300_000] * 29 + ["y" * 2_500_000]
    frame = pd.DataFrame({"id": ids, "meta": [{"t": one} for one in text]}).sample(frac=1, random_state=2)
    today.clear_requests()
    frame.kili.update_properties_in_assets(json_metadata="meta", client=client_of(today))
    batches = [[len(data["jsonMetadata"]) for data in variables["dataArray"]] for variables in sent(today)]
    assert sum(len(batch) for batch in batches) == 30
    assert all(sum(batch) <= limits.BATCH_BYTES or len(batch) == 1 for batch in batches)
    assert len(batches) <= 7
    assert [len(one["t"]) for one in metadata(today, project).values()] == [300_000] * 29 + [2_500_000]


@pytest.mark.parametrize("verb", ["update", "append"])
def test_no_more_requests_at_a_time_than_there_are_workers(today, verb):
    frame, project = prepared(today, 1000)
    under_way, most, lock = [0], [0], threading.Lock()
    name = MUTATIONS["current"][verb]

    def count(step, request):
        if request.operation == name:
            with lock:
                under_way[0] += step
                most[0] = max(most[0], under_way[0])
            if step > 0:
                time.sleep(0.02)

    today.before_request(partial(count, 1))
    today.after_request(partial(count, -1))
    VERBS[verb](frame, project_id=project, client=client_of(today, max_workers=3))
    assert most[0] == (1 if verb == "append" else 3)


# --- common keywords -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_checks_everything_and_sends_no_mutation(sandbox, verb):
    frame, project = prepared(sandbox)
    before = sandbox.assets(project)
    sandbox.clear_requests()
    out = VERBS[verb](frame, project_id=project, client=client_of(sandbox), dry_run=True)
    assert outcomes(out) == ["not_sent"] * 6
    assert sent(sandbox) == []
    assert not [each for each in sandbox.requests if "mutation" in (each.document or "")]
    assert sandbox.assets(project) == before
    pd.testing.assert_frame_equal(out, frame.drop(columns="id") if verb == "append" else frame)
    bad = frame.assign(wanted=0.5, name=[None] * 6, content="nonsense", id=["unknown"] * 6)
    if verb != "delete":
        with pytest.raises(pk.KiliValidationError, match="Nothing was sent"):
            VERBS[verb](bad, project_id=project, client=client_of(sandbox), dry_run=True)


def test_a_dry_run_says_what_would_become_of_each_row(sandbox):
    project, ids = filled(sandbox, 2)
    client = client_of(sandbox)
    new = pd.DataFrame({"externalId": ["n0", "new"], "content": "https://x.org/1.png"})
    out = new.kili.append_many_to_dataset(project, if_exists="skip", dry_run=True, client=client)
    assert out.kili.report["message"].tolist() == [
        "would be unchanged: the project has an asset of this external id",
        "would be sent",
    ]
    gone = pd.DataFrame({"id": [ids[0], "gone"]}).kili.delete_many_from_dataset(dry_run=True, client=client)
    assert gone.kili.report["message"].tolist() == [
        "would be sent",
        "would be unchanged: there is no such asset any more",
    ]
    assert len(sandbox.assets(project)) == 2


def test_failed_rows_are_told_by_an_error_or_by_the_report(today):
    frame, project = prepared(today, 5)
    today.before_request(partial(_delete_meanwhile, today, frame["id"][2]))
    with pytest.raises(pk.KiliMutationError) as caught:
        frame.kili.update_properties_in_assets(priority="wanted", client=client_of(today))
    error = caught.value
    message = str(error)
    assert "\n" not in message
    assert "4 applied, 0 declined, 1 failed, 0 not sent" in message
    assert "row 2: failed (" in message
    assert error.report["outcome"].tolist() == ["applied", "applied", "failed", "applied", "applied"]
    assert error.frame.kili.report is error.report
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is pk.KiliMutationError
    assert str(copied) == message
    pd.testing.assert_frame_equal(copied.report, error.report)
    pd.testing.assert_frame_equal(copied.frame, error.frame)
    frame.loc[1, "id"] = frame["id"][0]
    today.clear_hooks()
    today.before_request(partial(_delete_meanwhile, today, frame["id"][4]))
    out = frame.iloc[3:].kili.update_properties_in_assets(priority="wanted", client=client_of(today), errors="report")
    assert outcomes(out) == ["applied", "failed"]
    assert stored(today, project, "priority")[frame["id"][3]] == 4


def _delete_meanwhile(sandbox, asset_id, request):
    if request.operation == "updatePropertiesInAssets":
        sandbox.delete_assets([asset_id])


@pytest.mark.parametrize("verb", ["review", "queue", "delete"])
def test_an_asset_deleted_meanwhile_is_told_and_the_others_go_on(sandbox, verb):
    frame, project = prepared(sandbox, 120)
    name = MUTATIONS[sandbox.generation][verb]
    gone = frame["id"][50]
    sandbox.before_request(lambda request: sandbox.delete_assets([gone]) if request.operation == name else None)
    out = VERBS[verb](frame, project_id=project, client=client_of(sandbox), errors="report")
    expected = ["applied"] * 120
    if verb != "delete":
        expected[50] = "failed"
    assert outcomes(out) == expected


def test_one_line_is_logged_with_counts_and_no_data(today, caplog):
    frame, _ = prepared(today, 5)
    frame["meta"] = [{"secret": "hunter2"}] * 5
    with caplog.at_level(logging.INFO, logger="pandas_kili"):
        frame.kili.update_properties_in_assets(json_metadata="meta", client=client_of(today))
    (record,) = [one for one in caplog.records if one.name == "pandas_kili" and one.levelno == logging.INFO]
    text = record.getMessage()
    assert text.startswith("update_properties_in_assets: 5 applied, 0 declined, 0 failed, 0 not sent in ")
    assert "hunter2" not in text
    assert frame["id"][0] not in text


def test_a_progress_bar_counts_the_assets_where_it_is_asked_for(today, capsys):
    frame, _ = prepared(today, 120)
    frame.kili.update_properties_in_assets(priority="wanted", client=client_of(today), disable_tqdm=True)
    assert capsys.readouterr().err == ""
    frame.kili.update_properties_in_assets(priority="wanted", client=client_of(today), disable_tqdm=False)
    shown = capsys.readouterr().err
    assert "update_properties_in_assets" in shown
    assert "/120" in shown


def test_without_a_client_the_environment_tells_where_to(today, monkeypatch):
    frame, project = prepared(today)
    monkeypatch.setenv("KILI_API_KEY", today.api_key)
    monkeypatch.setenv("KILI_API_ENDPOINT", today.api_endpoint)
    frame.kili.update_properties_in_assets(priority="wanted")
    assert list(stored(today, project, "priority").values()) == [1, 2, 3, 4, 5, 6]


def test_the_servers_generation_is_asked_once(sandbox):
    frame, project = prepared(sandbox)
    client = client_of(sandbox)
    for verb in ("update", "review", "queue", "delete"):
        VERBS[verb](frame, project_id=project, client=client)
    asked = [each for each in sandbox.requests if "__schema" in each.operations]
    assert len(asked) == 1
    verbs = ("update", "review", "queue", "delete")
    assert {
        each.operation for each in sandbox.requests if each.operation in MUTATIONS[sandbox.generation].values()
    } == {MUTATIONS[sandbox.generation][verb] for verb in verbs}
