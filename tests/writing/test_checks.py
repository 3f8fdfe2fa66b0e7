"""What cannot be written is one error that names the rows, and the server is as before."""

import decimal
import math
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from writing import client_of, filled, hurry, sent

import pandas_kili as pk
from pandas_kili.catalog import PROPERTIES
from pandas_kili.sandbox import Sandbox


@pytest.fixture(scope="module")
def server():
    with Sandbox(generation="current", max_calls_per_minute=None, unique_external_ids=False) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server, monkeypatch):
    hurry(monkeypatch)
    server.clear_requests()
    return server


@pytest.fixture
def refuses(sandbox):
    """Call a verb that must be refused, see that nothing was sent or changed, and return the error."""

    def call(frame, verb, *args, project=None, **kwargs):
        projects = [project] if project else []
        before = [sandbox.assets(one) for one in projects]
        with pytest.raises(pk.KiliValidationError) as caught:
            getattr(frame.kili, verb)(*args, client=client_of(sandbox), **kwargs)
        assert sent(sandbox) == []
        assert [sandbox.assets(one) for one in projects] == before
        assert "\n" not in str(caught.value)
        return caught.value

    return call


def cases(error):
    table = error.failure_cases
    return list(zip(table["index"], table["row"], table["column"], strict=True))


INF = math.inf
RECURSIVE = {}
RECURSIVE["self"] = RECURSIVE
BAD = {
    "priority": [True, np.bool_(False), 1.5, "1", 2**31, -(2**31) - 1, 10**400, INF, b"1", [1], decimal.Decimal("1.5")],
    "consensusMark": [1.01, -0.01, "0.5", True, INF, -INF, {}, 1j],
    "honeypotMark": [2, -1, np.float32(1.5), "high"],
    "isHoneypot": [1, 0, "true", 1.0, "no"],
    "isUsedForConsensus": [1, "yes", np.int64(1)],
    "jsonMetadata": [
        "not JSON", '"text"', "3", "null", '{"a": NaN}', '{"a": -Infinity}', "[1, Infinity]", 5, 1.5, True,
        {"a": math.nan}, {"a": [INF]}, {"a": np.float64("nan")}, {"a": np.array([1.0, np.nan])}, {1: "a"},
        {"a": object()},
        {"a": b"bytes"}, {"a": "\ud800"}, "{'a': 1}", '{"a": 1', RECURSIVE, {"a": {(1, 2): 3}}, b"{}", {"a": 1j},
    ],
    "toBeLabeledBy": ["ada@x.org", ["ada"], [None], [1], {"email": "ada@x.org"}, 3, [""], [["ada@x.org"]]],
    "content": [1, b"x", ["x"], "\ud800"],
    "jsonContent": [1.5, True, {"a": math.nan}],
    "status": ["DONE", "todo", 1, ["TODO"]],
}  # fmt: skip
GOOD = {
    "priority": [-(2**31), 2**31 - 1, 3.0, np.int8(4), np.float32(2.0), decimal.Decimal(5), None],
    "consensusMark": [0, 1, 0.5, np.float32(0.25), None],
    "honeypotMark": [0, 1.0, None],
    "isHoneypot": [True, np.bool_(False), None],
    "isUsedForConsensus": [False, None],
    "jsonMetadata": ["{}", {}, '{"a": null}', None, "", " "],
    "toBeLabeledBy": [[], ["ada@x.org"], ("ada@x.org",), {"ada@x.org"}, None],
    "content": ["https://x.org/y.png", None],
    "jsonContent": ["", {}, [], None],
    "status": ["TODO", "REVIEWED", None],
}


def test_every_property_has_a_keyword_and_values_to_judge():
    assert set(PROPERTIES) == pk.PropertyColumns.__optional_keys__ - pk.MutationOptions.__optional_keys__
    assert set(PROPERTIES.values()) == set(BAD) == set(GOOD)


@pytest.mark.parametrize("switch", ["PANDERA_VALIDATION_ENABLED=False", "PANDERA_VALIDATION_DEPTH=SCHEMA_ONLY"])
def test_checks_of_what_is_written_cannot_be_switched_off(switch):
    program = """
import pandas as pd, pandas_kili as pk
client = pk.Client("key", "http://127.0.0.1:9/graphql")
frame = pd.DataFrame({"id": ["a", 5], "priority": ["high", 1], "jsonMetadata": ["{}", "{bad"], "content": "https://x"})
for act in (
    lambda: frame.kili.update_properties_in_assets("priority", "jsonMetadata", client=client),
    lambda: frame.kili.delete_many_from_dataset(client=client),
):
    try:
        act()
    except pk.KiliValidationError as error:
        print(len(error.failure_cases))
"""
    name, _, value = switch.partition("=")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, name: value}, check=False
    )
    assert done.stdout.split() == ["3", "1"], done.stderr


@pytest.mark.parametrize("name", BAD)
def test_each_cell_that_does_not_fit_is_told_at_once_and_nothing_else_is(sandbox, refuses, name):
    cells = [*GOOD[name], *BAD[name], *GOOD[name]]
    project, ids = filled(sandbox, len(cells))
    labels = [f"r{i}" for i in range(len(cells))]
    frame = pd.DataFrame({"id": ids, name: pd.Series(cells, dtype=object)}).set_axis(labels)
    error = refuses(frame, "update_properties_in_assets", name, project=project)
    bad = range(len(GOOD[name]), len(GOOD[name]) + len(BAD[name]))
    assert cases(error) == [(f"r{row}", row, name) for row in bad]
    assert f"{len(BAD[name])} values do not fit" in str(error)
    assert f"r{bad[0]}" in str(error)
    good = frame.iloc[[row for row in range(len(cells)) if row not in bad]]
    if name != "status":
        out = good.kili.update_properties_in_assets(name, client=client_of(sandbox))
        assert set(out.kili.report["outcome"]) <= {"applied", "unchanged"}


def test_all_columns_and_reasons_come_in_one_error(sandbox, refuses):
    project, ids = filled(sandbox, 4)
    frame = pd.DataFrame(
        {
            "id": [ids[0], ids[0], None, "  "],
            "p": [1.5, 1, 2, 3],
            "meta": ["{", None, "{}", "{}"],
            "who": [["ada@x.org"], "ada", [], None],
        },
        index=pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 1), ("b", 2)]),
    )
    error = refuses(
        frame,
        "update_properties_in_assets",
        priority="p",
        json_metadata="meta",
        to_be_labeled_by="who",
        project=project,
    )
    assert sorted(cases(error), key=str) == sorted(
        [
            (("a", 1), 0, "p"),
            (("a", 1), 0, "meta"),
            (("a", 1), 1, "id"),
            (("a", 1), 1, "who"),
            (("b", 1), 2, "id"),
            (("b", 2), 3, "id"),
        ],
        key=str,
    )
    assert error.failure_cases["row"].is_monotonic_increasing
    assert len(str(error)) < 1000


def test_a_hundred_thousand_wrong_cells_are_one_short_message(refuses):
    frame = pd.DataFrame({"id": [f"i{i}" for i in range(20_000)], "priority": "high"})
    error = refuses(frame, "update_properties_in_assets", "priority")
    assert len(error.failure_cases) == 20_000
    assert len(str(error)) < 500
    assert "20,000 values do not fit" in str(error)


def test_a_column_that_does_not_exist_is_told_with_the_nearest(refuses):
    frame = pd.DataFrame({"id": ["a"], "priority_new": [1], "metadata": ["{}"], 5: [1]})
    message = str(refuses(frame, "update_properties_in_assets", priority="prioritynew"))
    assert "'prioritynew'" in message
    assert "did you mean 'priority_new'" in message
    assert "'priority_new'" in str(refuses(frame, "update_properties_in_assets", priority="zzz"))
    assert "externalId" in str(refuses(frame, "update_properties_in_assets", "externalId"))
    assert "change_asset_external_ids" in str(refuses(frame, "update_properties_in_assets", "externalId"))
    assert "jsonMetadata" in str(refuses(frame, "update_properties_in_assets", "metadata"))
    refuses(frame, "change_asset_external_ids", "name")
    refuses(frame, "append_many_to_dataset", "project")
    refuses(frame, "append_many_to_dataset", "project", content="url")
    twice = pd.DataFrame([["a", 1, 2]], columns=["id", "p", "p"])
    assert "2 columns" in str(refuses(twice, "update_properties_in_assets", priority="p"))
    levels = pd.DataFrame([["a", 1]], columns=pd.MultiIndex.from_tuples([("id", ""), ("p", "")]))
    refuses(levels, "update_properties_in_assets", priority=("p", ""))


def test_naming_no_property_or_one_twice_is_an_error(refuses):
    frame = pd.DataFrame({"id": ["a"], "priority": [1], "p": [2]})
    assert "at least one" in str(refuses(frame, "update_properties_in_assets"))
    assert "give one" in str(refuses(frame, "update_properties_in_assets", "priority", priority="p"))
    empty = frame.iloc[:0]
    refuses(empty, "update_properties_in_assets")
    refuses(empty, "update_properties_in_assets", priority="x")


def test_options_out_of_range_are_errors(refuses):
    frame = pd.DataFrame({"id": ["a"], "content": ["https://x.org/1.png"]})
    assert "'ignore'" in str(refuses(frame, "delete_many_from_dataset", errors="ignore"))
    assert "'replace'" in str(refuses(frame, "append_many_to_dataset", "p", if_exists="replace"))
    assert "7" in str(refuses(frame, "delete_many_from_dataset", project_id=7))
    with pytest.raises(TypeError, match="dryrun"):
        frame.kili.delete_many_from_dataset(dryrun=True)


def test_rows_need_an_identity(sandbox, refuses):
    project, ids = filled(sandbox, 2)
    frame = pd.DataFrame({"priority": [1, 2]})
    for verb in ("delete_many_from_dataset", "add_to_review", "send_back_to_queue"):
        assert "neither a column 'id' nor 'externalId'" in str(refuses(frame, verb, project=project))
    frame["id"] = [1001, 1002]
    assert "text" in str(refuses(frame, "update_properties_in_assets", "priority", project=project))
    frame["id"] = [ids[0], None]
    assert cases(refuses(frame, "update_properties_in_assets", "priority", project=project)) == [(1, 1, "id")]
    frame["externalId"] = ["n0", None]
    assert cases(refuses(frame, "delete_many_from_dataset", project=project)) == [(1, 1, "id")]


def test_external_ids_need_a_project(sandbox, refuses):
    project, ids = filled(sandbox, 2)
    frame = pd.DataFrame({"externalId": ["n0", "n1"], "priority": 1, "new": ["x", "y"]})
    assert "project_id=" in str(refuses(frame, "update_properties_in_assets", "priority", project=project))
    assert "project_id=" in str(refuses(frame, "delete_many_from_dataset", project=project))
    mixed = frame.assign(id=[ids[0], None])
    assert "project_id=" in str(refuses(mixed, "add_to_review", project=project))
    named = frame.assign(id=ids)
    assert "project_id=" in str(refuses(named, "change_asset_external_ids", "new", project=project))
    assert "project_id=" in str(refuses(pd.DataFrame({"content": ["x"]}), "append_many_to_dataset", project=project))


@pytest.mark.parametrize("verb", ["add_to_review", "send_back_to_queue", "update"])
def test_unknown_assets_are_all_named_before_anything_is_sent(sandbox, refuses, verb):
    project, ids = filled(sandbox, 250, labeled=range(250))
    frame = pd.DataFrame({"id": [*ids[:120], "nobody", *ids[120:], "nothing"], "priority": 1})
    args = ("update_properties_in_assets", "priority") if verb == "update" else (verb,)
    error = refuses(frame, *args, project=project)
    assert cases(error) == [(120, 120, "id"), (251, 251, "id")]
    assert error.failure_cases["failure_case"].tolist() == ["nobody", "nothing"]


def test_external_ids_are_exact_and_unknown_ones_are_all_named(sandbox, refuses):
    project, ids = filled(sandbox, 12)  # n1 is part of n10 and n11
    frame = pd.DataFrame({"externalId": ["n1", "N1", "n", "n99", "n1 "], "priority": 1})
    error = refuses(frame, "update_properties_in_assets", "priority", project_id=project, project=project)
    assert cases(error) == [(row, row, "externalId") for row in (1, 2, 3, 4)]
    out = frame.iloc[:1].kili.update_properties_in_assets("priority", project_id=project, client=client_of(sandbox))
    assert out.kili.report["id"].tolist() == [ids[1]]
    assert [row["priority"] for row in sandbox.assets(project)] == [0, 1] + [0] * 10


def test_an_external_id_of_several_assets_is_ambiguous(sandbox, refuses):
    project, _ = filled(sandbox, 3)
    more = sandbox.add_assets(project, [{"externalId": "n1"}, {"externalId": "n1"}])
    frame = pd.DataFrame({"externalId": ["n0", "n1"], "priority": 1})
    for verb, *args in [("update_properties_in_assets", "priority"), ("delete_many_from_dataset",)]:
        error = refuses(frame, verb, *args, project_id=project, project=project)
        assert cases(error) == [(1, 1, "externalId")]
        assert "3 assets have this external id" in str(error)
        assert "give the id" in str(error)
    one = frame.assign(id=[None, more[0]])
    one.kili.update_properties_in_assets("priority", project_id=project, client=client_of(sandbox))
    assert [row["priority"] for row in sandbox.assets(project)] == [1, 0, 0, 1, 0]


@pytest.mark.parametrize("kind", ["plain", "dates", "pairs"])
def test_failure_cases_name_rows_as_the_index_does(sandbox, refuses, kind):
    project, ids = filled(sandbox, 2)
    index = {
        "plain": pd.Index([7, 8]),
        "dates": pd.date_range("2026-01-01", periods=2),
        "pairs": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
    }[kind]
    frame = pd.DataFrame({"id": ids, "priority": [1, "high"]}, index=index)
    error = refuses(frame, "update_properties_in_assets", "priority", project_id=project, project=project)
    (named,) = error.failure_cases["index"]
    assert named == index[1]
    assert "np." not in str(error)
    assert "np." not in repr(error.failure_cases.to_dict("list"))


@pytest.mark.parametrize(
    "given", [["id", "id"], ["externalId", "externalId"], ["id", "externalId"], ["externalId", "id"]]
)
def test_an_asset_given_twice_is_an_error_for_updates_and_renaming(sandbox, refuses, given):
    project, ids = filled(sandbox, 3)
    frame = pd.DataFrame(
        {
            "id": [ids[1] if name == "id" else None for name in given] + [ids[2]],
            "externalId": ["n1" if name == "externalId" else None for name in given] + [None],
            "priority": 1,
            "new": ["x", "y", "z"],
        }
    )
    for verb, column in [("update_properties_in_assets", "priority"), ("change_asset_external_ids", "new")]:
        error = refuses(frame, verb, column, project_id=project, project=project)
        assert len(error.failure_cases) == 1
        assert "twice" in str(error)


def test_a_frame_of_another_project_is_refused(sandbox, refuses):
    one, ids = filled(sandbox, 3)
    other, _ = filled(sandbox, 3, title="Other")
    frame = pd.DataFrame({"id": ids, "externalId": ["n0", "n1", "n2"], "priority": 1, "new": ["x", "y", "z"]})
    calls = [("update_properties_in_assets", "priority"), ("change_asset_external_ids", "new"), ("add_to_review",)]
    for verb, *args in calls:
        error = refuses(frame, verb, *args, project_id=other, project=other)
        assert len(error.failure_cases) == 3
        assert other in str(error)
    new = frame.assign(content="https://x.org/1.png", externalId=["x", "y", "z"])
    error = refuses(new, "append_many_to_dataset", other, project=other)
    assert "another asset has this id" in str(error)
    assert len(sandbox.assets(one)) == 3


def test_an_asset_deleted_before_is_told(sandbox, refuses):
    project, ids = filled(sandbox, 3, labeled=[0, 1, 2])
    frame = pk.read_kili(project, fields=["id", "priority"], client=client_of(sandbox))
    sandbox.delete_assets([ids[1]])
    sandbox.clear_requests()
    assert cases(refuses(frame, "update_properties_in_assets", "priority", project=project)) == [(1, 1, "id")]
    assert cases(refuses(frame, "add_to_review", project=project)) == [(1, 1, "id")]


@pytest.mark.parametrize(
    ("new", "rows"),
    [
        (["x", "x", "y"], [1]),
        (["x", None, "y"], [1]),
        (["x", "n3", "y"], [1]),  # of an asset that is not in the frame
        (["n1", "n1", "y"], [1]),  # one would keep it
        (["x", "", "  "], [1, 2]),
        (["x", 5, "y"], [1]),
    ],
)
def test_new_external_ids_must_be_free(sandbox, refuses, new, rows):
    project, ids = filled(sandbox, 4)
    frame = pd.DataFrame({"id": ids[:3], "new": new})
    error = refuses(frame, "change_asset_external_ids", "new", project_id=project, project=project)
    assert cases(error) == [(row, row, "new") for row in rows]


def test_a_name_that_its_holder_keeps_is_taken(sandbox, refuses):
    project, ids = filled(sandbox, 3)
    frame = pd.DataFrame({"id": ids[:2], "new": ["n1", "n1b"]})
    out = frame.kili.change_asset_external_ids("new", project_id=project, client=client_of(sandbox), dry_run=True)
    assert len(out) == 2  # the holder lets go of it
    alone = frame.iloc[:1]
    error = refuses(alone, "change_asset_external_ids", "new", project_id=project, project=project)
    assert "another asset" in str(error)


def new_assets(**columns):
    return pd.DataFrame({"content": [f"https://x.org/{i}.png" for i in range(3)]} | columns)


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        ({"externalId": ["a", "n1", "b"]}, [(1, "externalId")]),
        ({"externalId": ["a", "a", "b"]}, [(1, "externalId")]),
        ({"externalId": ["a", 7, ""]}, [(1, "externalId"), (2, "externalId")]),
        ({"id": ["a", "a", "b"]}, [(1, "id")]),
        ({"content": ["https://x.org/1.png", None, ""]}, [(1, "content"), (2, "content")]),
        ({"content": ["https://x.org/1.png", "/no/such/file.png", 5]}, [(1, "content"), (2, "content")]),
        ({"jsonMetadata": [None, "{", {"a": math.nan}]}, [(1, "jsonMetadata"), (2, "jsonMetadata")]),
        ({"isHoneypot": [None, 1, "x"]}, [(1, "isHoneypot"), (2, "isHoneypot")]),
        ({"status": [None, "TODO", "DONE"]}, [(2, "status")]),
        ({"externalId": ["a", "a", "c"], "isHoneypot": [1, True, None]}, [(0, "isHoneypot"), (1, "externalId")]),
    ],
)
def test_new_assets_that_do_not_fit_are_refused_together(sandbox, refuses, columns, wrong):
    project, _ = filled(sandbox, 3)
    error = refuses(new_assets(**columns), "append_many_to_dataset", project, project=project)
    assert [(row, column) for _, row, column in cases(error)] == wrong


def test_an_unknown_project_is_not_found(sandbox):
    filled(sandbox, 1)
    with pytest.raises(pk.KiliNotFoundError):
        new_assets().kili.append_many_to_dataset("nowhere", client=client_of(sandbox))
    assert sent(sandbox) == []


def test_a_wrong_key_is_told_before_anything_is_sent(sandbox):
    _, ids = filled(sandbox, 1)
    client = pk.Client("wrong", sandbox.api_endpoint)
    with pytest.raises(pk.KiliAuthenticationError):
        pd.DataFrame({"id": ids, "priority": 1}).kili.update_properties_in_assets("priority", client=client)
    assert sent(sandbox) == []


@pytest.mark.parametrize(
    ("name", "cell", "said"),
    [
        ("id", 1001, r"it is an int: \.astype\('string'\) makes the column text"),
        ("priority", b"1", "it is a bytes"),
        ("jsonMetadata", {"seen": {"at": pd.Timedelta(1)}}, r"key 'seen\.at' holds a Timedelta"),
        ("jsonMetadata", '{"a": NaN}', "key 'a' holds NaN"),
        ("jsonMetadata", {1: 2}, "the key 1 is an int, and keys are text"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_by_key_and_type(refuses, name, cell, said):
    frame = pd.DataFrame({"id": ["a"], "priority": [1], name: pd.Series([cell], dtype=object)})
    error = refuses(frame, "update_properties_in_assets", "priority" if name == "id" else name)
    assert re.search(said, str(error))
    assert re.search(said, error.failure_cases["check"][0])


@pytest.mark.parametrize(
    ("columns", "said", "count"),
    [
        ({"externalId": [1, 2]}, "2 values do not fit", 2),
        ({"id": ["x", "x"], "externalId": ["a", "a"]}, "1 value does not fit", 1),
        ({"externalId": ["a", "a"]}, "1 value does not fit", 1),
        (
            {"id": ["unknown", None], "externalId": ["a", "b"], "priority": 1},
            "no such asset, and the row has no content",
            2,
        ),
    ],
)
def test_a_plan_counts_each_failure_once_and_names_what_is_wrong(sandbox, columns, said, count):
    project, _ = filled(sandbox, 0)
    with pytest.raises(pk.KiliValidationError, match=said) as caught:
        pd.DataFrame(columns).kili.plan(project, client=client_of(sandbox))
    assert len(caught.value.failure_cases) == count


def test_a_name_given_to_two_assets_is_refused_once(sandbox):
    project, ids = filled(sandbox, 1)
    frame = pd.DataFrame({"id": [*ids, None], "externalId": ["new", "new"], "content": "https://x.org/1.png"})
    with pytest.raises(pk.KiliValidationError, match=r"1 value does not fit.*appears twice"):
        frame.kili.plan(project, client=client_of(sandbox))


def test_half_a_surrogate_pair_is_refused_wherever_text_is_sent(sandbox):
    _, ids = filled(sandbox, 1)
    half, client = "x\ud800", client_of(sandbox)
    answers = pd.DataFrame({"id": ids, "jsonResponse": "{}"})
    for send in (
        lambda: answers.kili.append_labels("jsonResponse", label_type="PREDICTION", model_name=half, client=client),
        lambda: pk.create_project(half, "TEXT", client=client),
        lambda: pk.read_kili(half, client=client),
        lambda: answers.kili.update_properties_in_assets(content="jsonResponse", project_id=half, client=client),
    ):
        with pytest.raises(ValueError, match="Unicode"):
            send()
    assert sent(sandbox) == []
