"""Each filter of the sandbox selects what it says; labels are asked one by one; the search binds AND tighter."""

import contextlib
import json
import sqlite3
from importlib import resources

import pandas as pd
import pytest

from pandas_kili.sandbox import Sandbox
from pandas_kili.sandbox.category_search import category_counts, label_matches
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import as_instant, day_of
from pandas_kili.sandbox.where import asset_condition, label_condition

CAT = {"JOB": {"categories": [{"name": "CAT"}]}}
TWO = {"BOX": {"annotations": [{"mid": m, "categories": [{"name": "DOG"}]} for m in "ab"]}}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        sandbox.project = sandbox.create_project("Where", "IMAGE")
        rows = [
            {"id": "a", "externalId": "img_1", "jsonMetadata": {"k": 1, "s": "x"}, "createdAt": "2024-01-01"},
            {"id": "b", "externalId": "img_10", "jsonMetadata": {"k": 5.5, "s": "5"}, "createdAt": "2024-01-02"},
            {
                "id": "c",
                "externalId": "IMG_2",
                "jsonMetadata": {"k": "5", "f": True},
                "createdAt": "2024-01-02T12:00:00Z",
            },
            {"id": "d", "createdAt": "2024-01-03T00:00:00.001Z"},
        ]
        sandbox.add_assets(sandbox.project, rows)
        sandbox.add_labels(
            pd.DataFrame(
                {
                    "id": ["l1", "l2", "l3", "l4"],
                    "assetId": ["a", "a", "b", "c"],
                    "jsonResponse": [CAT, TWO, TWO, CAT],
                    "author": ["ada.lovelace@x.org", "bob@x.org", "ada.lovelace@x.org", "bob@x.org"],
                    "labelType": ["DEFAULT", "REVIEW", "AUTOSAVE", "PREDICTION"],
                    "createdAt": ["2024-02-01T23:59:59.999Z", "2024-02-02", "2024-02-02T05:00:00Z", "2024-02-03"],
                    "consensusMark": [0.1, 0.9, 0.5, 0.7],
                }
            )
        )
        sandbox.set_asset("a", consensusMark=0.0, skipped=1)
        sandbox.set_asset("b", consensusMark=0.5)
        sandbox.add_issue("a", "ISSUE", "SOLVED")
        sandbox.add_issue("a", "QUESTION", "OPEN")
        sandbox.add_issue("b", "ISSUE", "OPEN")
        sandbox._store.insert("assignees", [{"assetId": "a", "userId": sandbox.user_id("bob@x.org")}])
        yield sandbox


def selected(sandbox, table, condition):
    sql = f"SELECT id FROM {table} WHERE {condition.sql} ORDER BY createdAt, rank"
    return "".join(row["id"] for row in sandbox._store.rows(sql, condition.parameters)).replace("l", "")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcd"),
        ({"label": {}, "issue": {}, "metadata": {}, "idIn": None}, "abcd"),
        ({"id": "b"}, "b"),
        ({"idIn": []}, ""),
        ({"idIn": ["d", "a", "zz"]}, "ad"),
        ({"idNotIn": ["d", "a"]}, "bc"),
        ({"idNotIn": []}, "abcd"),
        ({"externalIdStrictlyIn": ["img_1", "img_2"]}, "a"),
        ({"externalIdIn": ["img_1", "%"]}, "ab"),
        ({"statusIn": ["TODO"]}, "cd"),
        ({"statusIn": ["ONGOING", "REVIEWED"]}, "ab"),
        ({"skipped": True}, "a"),
        ({"skipped": False}, "bcd"),
        ({"consensusMarkGte": 0.0}, "ab"),
        ({"consensusMarkLte": 0.0}, "a"),
        ({"metadata": {"k": "5"}}, "c"),
        ({"metadata": {"s": 5}}, "b"),
        ({"metadata": {"k": ["1", "5.5"]}}, "ab"),
        ({"metadata": {"k": [1, 5.5]}}, "ab"),
        ({"metadata": {"k": [2, 10]}}, "b"),
        ({"metadata": {"k": [1, 10], "s": "x"}}, "a"),
        ({"metadata": {"f": True}}, "c"),
        ({"metadata": {'"; DROP TABLE assets': "x"}}, ""),
        ({"createdAtGte": "2024-01-02"}, "bcd"),
        ({"createdAtLte": "2024-01-02"}, "ab"),
        ({"createdAtLte": "2024-01-02T13:00:00+01:00"}, "abc"),
        ({"createdAtGte": "2024-01-03T00:00:00.0005Z"}, "d"),
        ({"issue": {"type": "ISSUE"}}, "ab"),
        ({"issue": {"type": "ISSUE", "status": "OPEN"}}, "b"),
        ({"label": {"typeIn": ["REVIEW", "PREDICTION"]}}, "ac"),
        ({"label": {"authorIn": ["Ada"]}}, "ab"),
        ({"label": {"authorIn": ["Lovelace", "Nobody"]}}, "ab"),
        ({"label": {"authorIn": ["Ada Lovelace"]}}, "ab"),
        ({"label": {"authorIn": ["ada"]}}, ""),
        ({"label": {"createdAt": "2024-02-02"}}, "ab"),
        ({"label": {"createdAtLte": "2024-02-01"}}, ""),
        ({"label": {"consensusMarkGte": 0.5, "consensusMarkLte": 0.7}}, "bc"),
        ({"label": {"search": "JOB.CAT.count >= 1"}}, "ac"),
        ({"label": {"search": "JOB.CAT.count == 1 AND BOX.DOG.count == 2"}}, ""),
        ({"label": {"search": "BOX.DOG.count == 2", "typeIn": ["REVIEW"]}}, "a"),
        ({"label": {"search": "JOB.CAT.count == 1", "typeIn": ["REVIEW"]}}, ""),
        ({"assigneeIn": ["nobody"]}, ""),
        ({"assigneeNotIn": ["nobody"]}, "abcd"),
        ({"stepIdIn": ["x"]}, ""),
        ({"stepIdNotIn": ["x"]}, "abcd"),
        ({"groupNameIn": ["x"]}, ""),
    ],
)
def test_assets_that_a_filter_selects(sandbox, where, expected):
    assert selected(sandbox, "assets", asset_condition({"project": {"id": sandbox.project}, **where})) == expected


def test_people_are_named_by_their_ids(sandbox):
    ada, bob = sandbox.user_id("ada.lovelace@x.org"), sandbox.user_id("bob@x.org")
    for where, expected in [
        ({"assigneeIn": [bob]}, "a"),
        ({"assigneeNotIn": [bob]}, "bcd"),
        ({"label": {"labelerIn": [ada]}}, "ab"),
        ({"label": {"labelerNotIn": [ada]}}, ""),
        ({"label": {"reviewerIn": [bob]}}, "a"),
        ({"label": {"reviewerNotIn": [bob]}}, ""),
    ]:
        assert selected(sandbox, "assets", asset_condition(where)) == expected, where


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "1234"),
        ({"idIn": ["l1", "l4"]}, "14"),
        ({"asset": {"id": "a", "label": {}, "issue": {}}}, "12"),
        ({"asset": {"skipped": False}}, "34"),
        ({"asset": {"label": {"typeIn": ["REVIEW"]}}}, "12"),
        ({"typeIn": ["DEFAULT"], "search": "JOB.CAT.count > 0"}, "1"),
        ({"createdAtGte": "2024-02-02", "createdAtLte": "2024-02-02"}, "2"),
    ],
)
def test_labels_that_a_filter_selects(sandbox, where, expected):
    assert selected(sandbox, "labels", label_condition({"project": {"id": sandbox.project}, **where})) == expected


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("A.x.count == 1 OR A.x.count == 9 AND B.y.count == 9", True),
        ("(A.x.count == 1 OR A.x.count == 9) AND B.y.count == 9", False),
        ("A . x . count>=1", True),
        ("((A.x.count < 1e0))", False),
        ("A.x.count <= +1.0 AND B.y.count > -1", True),
        ("A.x*.count == 1", True),
        ("Nothing.at_all-1.count == 0", True),
    ],
)
def test_a_search_is_a_test_of_counts(search, expected):
    assert label_matches(json.dumps({"A": {"categories": [{"name": "x"}]}}), search) is expected


@pytest.mark.parametrize(
    "search",
    [
        "",
        "A.x.count",
        "A.x >= 1",
        "A.x.count >= 1 and B.y.count >= 1",
        "(A.x.count > 1",
        "A.x.count = 1",
        "A.x.count > 1 OR",
        "1A.x.count > 1",
        "A.x.count > 1 A.x.count > 2",
    ],
)
def test_what_is_no_search_is_refused(search):
    with pytest.raises(Refusal, match="Invalid category search query"):
        label_matches("{}", search)


def test_categories_are_counted_wherever_a_job_stands():
    child = {"CHILD": {"categories": [{"name": "small"}]}}
    box = {"mid": "m", "categories": [{"name": "cat"}], "children": child}
    counts = category_counts(json.dumps({"BOX": {"annotations": [box, dict(box, mid="n")]}}))
    assert counts == {("BOX", "cat"): 2, ("CHILD", "small"): 2}
    frames = category_counts(json.dumps({"0": {"BOX": {"annotations": [box]}}, "1": {"BOX": {"annotations": [box]}}}))
    assert frames[("BOX", "cat")] == 1
    assert category_counts("not JSON") == category_counts("[]") == category_counts('{"J": 1}') == {}


def test_instants_have_milliseconds_and_utc():
    assert as_instant("2024-01-02") == "2024-01-02T00:00:00.000Z"
    assert as_instant("2024-01-02T01:00:00+02:00") == "2024-01-01T23:00:00.000Z"
    assert as_instant("2024-01-02T00:00:00.0001Z", round_up=True) == "2024-01-02T00:00:00.001Z"
    assert day_of("2024-02-29") == ("2024-02-29T00:00:00.000Z", "2024-03-01T00:00:00.000Z")
    for bad in ("", "soon", "2024-13-01", "9999-12-31T23:59:59-23:00"):
        with pytest.raises(Refusal):
            as_instant(bad)


@pytest.mark.parametrize(
    ("condition_of", "where"),
    [
        (asset_condition, {"id": "a"}),
        (asset_condition, {"idIn": ["a", "b"]}),
        (asset_condition, {"externalIdStrictlyIn": ["img_1"]}),
        (label_condition, {"id": "l1"}),
        (label_condition, {"idIn": ["l1"]}),
        (label_condition, {"asset": {"idIn": ["a"]}}),
    ],
)
def test_rows_that_are_named_are_found_by_an_index_and_not_by_a_walk_through_the_project(condition_of, where):
    condition = condition_of({**where, "project": {"id": "p"}})
    table = condition_of.__name__.removesuffix("_condition") + "s"
    with contextlib.closing(sqlite3.connect(":memory:")) as store:
        store.executescript(resources.files("pandas_kili.sandbox").joinpath("tables.sql").read_text())
        sql = f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {condition.sql} ORDER BY createdAt, rank LIMIT 100"
        plan = " ".join(row[3] for row in store.execute(sql, condition.parameters))
    assert f"SEARCH {table} USING INDEX" in plan
    assert "(projectId=?)" not in plan
