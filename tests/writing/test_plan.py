"""The frame is the desired state: what a plan says, and that applying it makes the project so, once."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import client_of, hurry, outcomes, sent

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

GENERATIONS = ["current", "legacy"]
URL = "https://example.com/{}.png"


@pytest.fixture(scope="module", params=GENERATIONS)
def server(request):
    with Sandbox(generation=request.param, max_calls_per_minute=None, unique_external_ids=True) as sandbox:
        yield sandbox


@pytest.fixture
def box(server, monkeypatch):
    hurry(monkeypatch)
    server.clear_requests()
    server.user = client_of(server)
    return server


def project_of(box, rows=5):
    project = box.create_project("Project", "IMAGE")
    metadata = [{"n": n, "site": "Lyon"} for n in range(rows)]
    box.add_assets(
        project,
        [
            {"externalId": f"n{n}", "content": URL.format(n), "jsonMetadata": json.dumps(metadata[n])}
            for n in range(rows)
        ],
    )
    return project


def read(box, project, **filters):
    fields = ["id", "externalId", "priority", "jsonMetadata", "isHoneypot"]
    return pk.read_kili(project, fields=fields, client=box.user, **filters)


def state(box, project):
    """Return what a project holds, by id."""
    return {
        row["id"]: (row["externalId"], row["priority"], json.loads(row["jsonMetadata"] or "{}"), row["content"])
        for row in box.assets(project)
    }


def mutations(box):
    return [request.operation for request in box.requests if request.document.lstrip().startswith("mutation")]


def test_a_frame_that_equals_the_project_is_an_empty_plan(box):
    project = project_of(box)
    df = read(box, project)
    df["jsonMetadata"] = [json.dumps(json.loads(text), indent=2, sort_keys=True) for text in df["jsonMetadata"]]
    plan = df.kili.plan(client=box.user)
    assert (bool(plan), len(plan), plan.summary) == (
        False,
        0,
        dict.fromkeys(["append", "update", "rename", "delete"], 0),
    )
    assert "nothing to do" in repr(plan)
    out = plan.apply()
    assert outcomes(out) == ["unchanged"] * 5
    assert mutations(box) == []


def test_a_table_without_ids_appends_changes_and_deletes(box):
    """The rows also hold metadata, in a column of their key."""
    project = project_of(box)
    table = pd.DataFrame(
        {
            "externalId": ["n0", "n1", "n2", "new"],
            "content": [URL.format(n) for n in (0, 1, 2, "new")],
            "site": ["Lyon", "Brest", None, "Paris"],
            "priority": [0, 4, 0, 7],
        },
        index=list("abcd"),
    )
    plan = table.kili.plan(project, metadata=["site"], missing="delete", client=box.user)
    changes = plan.changes
    assert changes.columns.tolist() == ["operation", "id", "externalId", "property", "before", "after", "row"]
    told = changes.loc[changes["operation"] == "update", ["externalId", "property", "before", "after", "row"]]
    assert told.to_numpy().tolist() == [
        ["new", "priority", 0, 7, "d"],
        ["n1", "priority", 0, 4, "b"],
        ["n1", "jsonMetadata.site", "Lyon", "Brest", "b"],
    ]
    assert plan.summary == {"append": 1, "update": 3, "rename": 0, "delete": 2}
    assert mutations(box) == []
    with pytest.raises(pk.KiliValidationError, match=r"deletes 2 assets: apply\(delete=True\)"):
        plan.apply()
    with pytest.raises(pk.KiliValidationError, match="deletes 2 assets, but delete=3"):
        plan.apply(delete=3)
    with pytest.raises(pk.KiliValidationError, match="or how many assets may go; got 'all'"):
        plan.apply(delete="all")
    assert mutations(box) == []
    out = plan.apply(delete=2)
    assert outcomes(out) == ["unchanged", "applied", "unchanged", "applied"]
    assert out.index.tolist() == list("abcd")
    assert {row[0]: row[2] for row in state(box, project).values()} == {
        "n0": {"n": 0, "site": "Lyon"},
        "n1": {"n": 1, "site": "Brest"},
        "n2": {"n": 2, "site": "Lyon"},
        "new": {"site": "Paris"},
    }
    assert not table.kili.plan(project, metadata=["site"], missing="delete", client=box.user)
    assert not out.kili.plan(project, metadata=["site"], missing="delete", client=box.user)


@pytest.mark.parametrize(
    "new", [["n1", "n0"], ["n1", "n2", "n0"], ["n3", "n0", "n1", "x"], ["n1", "n0", "n3", "n4", "y"]]
)
def test_names_are_freed_before_they_are_taken_and_rings_too(box, new):
    project = project_of(box)
    df = read(box, project).iloc[: len(new)].assign(externalId=new)
    out = df.kili.plan(client=box.user).apply()
    assert set(outcomes(out)) == {"applied"}
    assert [row[0] for row in state(box, project).values()][: len(new)] == new
    assert not df.kili.plan(client=box.user)


def test_a_name_of_an_asset_that_is_deleted_can_be_taken(box):
    project = project_of(box, 3)
    df = read(box, project).iloc[:2].assign(externalId=["n2", "n1"])
    plan = df.kili.plan(missing="delete", client=box.user)
    plan.apply(delete=True)
    assert sorted(row[0] for row in state(box, project).values()) == ["n1", "n2"]
    before = state(box, project)
    inverse = plan.inverse()
    inverse.apply(delete=True)
    assert sorted(row[0] for row in state(box, project).values()) == ["n0", "n1", "n2"]
    assert before.keys() < state(box, project).keys()


def test_new_rows_are_refused_or_left_out(box):
    project = project_of(box, 2)
    table = pd.DataFrame({"externalId": ["n0", "n9"], "priority": [3, 3]})
    with pytest.raises(pk.KiliValidationError, match="no such asset") as caught:
        table.kili.plan(project, new="refuse", client=box.user)
    assert caught.value.failure_cases["row"].tolist() == [1]
    plan = table.kili.plan(project, new="skip", client=box.user)
    out = plan.apply()
    assert outcomes(out) == ["applied", "unchanged"]
    assert "skip" in out.kili.report["message"][1]
    with pytest.raises(pk.KiliValidationError, match="content"):  # an asset needs one
        table.kili.plan(project, client=box.user)


def test_only_what_matches_within_is_deleted(box):
    project = project_of(box, 4)
    df = read(box, project)
    df.assign(priority=[1, 1, 2, 2]).kili.update_properties_in_assets("priority", client=box.user)
    ids = df["id"].tolist()
    table = pd.DataFrame({"id": [ids[0], ids[3]], "priority": [1, 5]})
    plan = table.kili.plan(project, missing="delete", within={"asset_id_in": ids[:2]}, client=box.user)
    assert plan.changes["operation"].tolist() == ["update", "delete"]
    plan.apply(delete=1)
    assert state(box, project).keys() == {ids[0], ids[2], ids[3]}


def test_what_others_changed_is_declined_with_both_values_and_force_overwrites(box):
    project = project_of(box, 4)
    df = read(box, project)
    ids = df["id"].tolist()
    plan = df.assign(priority=[5, 6, 7, 8]).kili.plan(client=box.user)
    box.set_asset(ids[0], priority=9)
    box.set_asset(ids[1], priority=6)
    box.delete_assets([ids[2]])
    with pytest.warns(pk.KiliDeclinedWarning, match="2 of 4 rows declined"):
        out = plan.apply()
    assert outcomes(out) == ["declined", "unchanged", "declined", "applied"]
    assert "priority was 0, is 9, was to become 5" in out.kili.report["message"][0]
    assert "not there any more" in out.kili.report["message"][2]
    assert state(box, project)[ids[0]][1] == 9
    with pytest.warns(pk.KiliDeclinedWarning, match="1 of 4"):
        out = plan.apply(force=True)
    assert outcomes(out) == ["applied", "unchanged", "declined", "unchanged"]
    assert state(box, project)[ids[0]][1] == 5


def test_an_asset_that_was_labeled_since_is_not_deleted(box):
    project = project_of(box, 3)
    ids = [row["id"] for row in box.assets(project)]
    plan = pd.DataFrame({"id": ids[:1]}).kili.plan(project, missing="delete", client=box.user)
    box.add_labels(pd.DataFrame({"assetId": [ids[1]], "jsonResponse": "{}"}))
    with pytest.warns(pk.KiliDeclinedWarning, match=r"1 of 2 deletions declined.*latestLabel\.id"):
        plan.apply(delete=True)
    assert state(box, project).keys() == {ids[0], ids[1]}
    told = plan.outcomes.set_index("id")["outcome"].to_dict()
    assert told == {ids[1]: "declined", ids[2]: "applied"}
    again = pd.DataFrame({"id": ids[:1]}).kili.plan(project, missing="delete", client=box.user)
    assert "Labels are lost for good" in repr(again)
    assert again.notes


def test_keys_of_others_are_kept_and_a_key_can_be_removed(box):
    project = project_of(box, 2)
    df = read(box, project)
    plan = df.assign(site=[pk.REMOVE, "Brest"], n=[0.0, np.nan]).kili.plan(metadata=["site", "n"], client=box.user)
    assert plan.changes[["property", "before", "after"]].to_numpy().tolist() == [
        ["jsonMetadata.site", "Lyon", None],
        ["jsonMetadata.site", "Lyon", "Brest"],
    ]
    box.set_asset(df["id"][1], jsonMetadata='{"site": "Lyon", "other": 1}')
    out = plan.apply()
    assert [row[2] for row in state(box, project).values()] == [{"n": 0}, {"site": "Brest", "other": 1}]
    assert [json.loads(text) for text in out["jsonMetadata"]] == [{"n": 0}, {"site": "Brest", "other": 1}]
    assert not out.kili.plan(client=box.user)
    plan.inverse().apply()
    assert [row[2] for row in state(box, project).values()] == [{"n": 0, "site": "Lyon"}, {"site": "Lyon", "other": 1}]


def test_a_plan_is_saved_read_applied_and_applied_again(box, tmp_path):
    project = project_of(box, 5)
    df = read(box, project)
    want = pd.concat(
        [
            df.assign(externalId=["n1", "n0", "n2", "n3", "n4"], priority=[0, 0, 5, 0, 0], content=None).iloc[:4],
            pd.DataFrame({"externalId": ["new"], "content": [URL.format("new")], "priority": [2]}),
        ],
        ignore_index=True,
    )
    plan = want.kili.plan(project, missing="delete", client=box.user)
    path = tmp_path / "plan.parquet"
    plan.save(path)
    assert box.api_key not in path.read_bytes().decode("latin-1")
    assert pd.read_parquet(path)["operation"].tolist() == plan.changes["operation"].tolist()
    read_back = pk.read_plan(path)
    assert (repr(read_back), read_back.created, read_back.version) == (repr(plan), plan.created, plan.version)
    pd.testing.assert_frame_equal(read_back.changes, plan.changes)
    out = read_back.apply(delete=True, client=box.user)
    assert set(outcomes(out)) == {"applied"}
    there = state(box, project)
    assert sorted(row[0] for row in there.values()) == ["n0", "n1", "n2", "n3", "new"]
    box.clear_requests()
    again = pk.read_plan(path).apply(delete=True, client=box.user)
    assert set(outcomes(again)) == {"unchanged"}
    assert mutations(box) == []
    assert state(box, project) == there


def test_a_plan_that_was_applied_in_part_takes_that_part_back(box):
    project = project_of(box, 4)
    df = read(box, project)
    before = state(box, project)
    plan = df.assign(priority=[1, 2, 3, 4]).kili.plan(client=box.user)
    box.set_asset(df["id"][3], priority=9)
    with pytest.warns(pk.KiliDeclinedWarning):
        plan.apply()
    inverse = plan.inverse()
    assert inverse.changes["id"].tolist() == df["id"].tolist()[:3]
    inverse.apply()
    box.set_asset(df["id"][3], priority=0)
    assert state(box, project) == before


def test_a_dry_run_sends_nothing(box):
    project = project_of(box, 2)
    plan = read(box, project).assign(priority=3).kili.plan(client=box.user)
    out = plan.apply(dry_run=True)
    assert outcomes(out) == ["not_sent", "not_sent"]
    assert mutations(box) == []
    assert plan.apply(errors="report").kili.report["outcome"].tolist() == ["applied", "applied"]


def test_wrong_keywords_of_upsert_are_refused_before_anything_is_read(box):
    project = project_of(box, 1)
    box.clear_requests()
    table = pd.DataFrame({"externalId": ["n0"], "priority": [1]})
    with pytest.raises(TypeError, match=r"upsert\(\) got an unexpected keyword argument 'error'; did you mean errors="):
        table.kili.upsert(project, client=box.user, error="report")
    assert box.requests == []


def test_upsert_plans_and_applies(box):
    project = project_of(box, 2)
    table = pd.DataFrame({"externalId": ["n0", "x"], "content": [URL.format(0), URL.format("x")], "priority": [4, 5]})
    out = table.kili.upsert(project, missing="delete", delete=1, client=box.user)
    assert outcomes(out) == ["applied", "applied"]
    assert {(row[0], row[1]) for row in state(box, project).values()} == {("n0", 4), ("x", 5)}
    assert outcomes(table.kili.upsert(project, missing="delete", client=box.user)) == ["unchanged", "unchanged"]


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(box, match, frame, *args, **options):
    with pytest.raises(pk.KiliValidationError, match=match) as caught:
        frame.kili.plan(*args, client=box.user, **options)
    assert mutations(box) == []
    return caught.value


def test_bad_frames_are_clear_errors(box):
    project = project_of(box, 3)
    df = read(box, project)
    refused(box, "neither a column 'id' nor 'externalId'", pd.DataFrame({"priority": [1]}), project)
    twice = pd.DataFrame({"id": [df["id"][0], None], "externalId": [None, "n0"], "priority": 1})
    assert refused(box, "in the frame twice", twice, project).failure_cases["row"].tolist() == [1]
    taken = df.assign(externalId=["n2", "n1", None])
    assert refused(box, "another asset of the project has it", taken).failure_cases["row"].tolist() == [0]
    same = df.assign(externalId=["a", "a", "b"])
    refused(box, "appears twice", same)
    both = df.assign(priority=["high", 1, 2], isHoneypot=["no", False, False])
    assert len(refused(box, "2 values do not fit", both).failure_cases) == 2
    refused(box, "did you mean 'priority'", df, properties=["prioritie"])
    refused(box, "compute the status", df.assign(status="TODO"), properties=["status"])
    refused(box, "give one", df.assign(site="x"), properties=["jsonMetadata"], metadata=["site"])
    refused(box, "list of columns", df, properties="priority")
    refused(box, "within= narrows", df, within={"status_in": ["TODO"]})
    refused(box, "within= is a mapping", df, missing="delete", within="TODO")
    refused(box, "missing is one of", df, missing="drop")
    refused(box, "would delete every asset", df.iloc[:0], missing="delete")
    other = project_of(box, 1)
    refused(box, "not of project", df, other)
    with pytest.raises(pk.KiliFilterError, match="no_such: no such filter"):
        df.kili.plan(missing="delete", within={"no_such": 1}, client=box.user)


def test_text_that_looks_like_a_file_says_how_to_append_it(box):
    project = box.create_project("Texts", "TEXT")
    new = pd.DataFrame({"externalId": ["new"], "content": ["notes.txt"]})
    refused(box, "append such rows first, by append_many_to_dataset", new, project)


def test_an_empty_frame_deletes_only_by_number(box):
    project = project_of(box, 3)
    ids = [row["id"] for row in box.assets(project)]
    empty = read(box, project).iloc[:0]
    assert not empty.kili.plan(client=box.user)
    plan = empty.kili.plan(missing="delete", within={"asset_id_in": ids[:2]}, client=box.user)
    with pytest.raises(pk.KiliValidationError, match="delete=2 says"):
        plan.apply(delete=True)
    assert mutations(box) == []
    plan.apply(delete=2)
    assert state(box, project).keys() == {ids[2]}


def test_names_that_two_assets_share_are_refused(monkeypatch):
    hurry(monkeypatch)
    with Sandbox(unique_external_ids=False, max_calls_per_minute=None) as box:
        box.user = client_of(box)
        project = project_of(box, 2)
        more = box.add_assets(project, [{"externalId": "n0", "content": URL.format("b")}])
        table = pd.DataFrame({"externalId": ["n0", "n1"], "priority": 1})
        assert "2 assets have this external id" in str(refused(box, "give the id", table, project))
        named = pd.DataFrame({"id": [more[0], None], "externalId": ["n0", "n1"], "priority": 1})
        assert named.kili.plan(project, client=box.user).summary["update"] == 2
        swap = read(box, project).iloc[:2].assign(externalId=["n1", "n0"])
        refused(box, "another asset of the project has it", swap)  # of the twin


def test_a_plan_belongs_to_its_server(box, tmp_path):
    project = project_of(box, 2)
    plan = read(box, project).assign(priority=3).kili.plan(client=box.user)
    path = tmp_path / "plan.parquet"
    plan.save(path)
    with Sandbox(max_calls_per_minute=None) as other, pytest.raises(pk.KiliValidationError, match="This is a plan for"):
        pk.read_plan(path).apply(client=other.client)
    with pytest.raises(pk.KiliValidationError, match=f"plan for project '{project}', not for 'other'"):
        pk.read_plan(path).apply(project_id="other", client=box.user)
    assert mutations(box) == []
    assert set(outcomes(pk.read_plan(path).apply(project_id=project, client=box.user))) == {"applied"}
    with pytest.raises(pk.KiliValidationError, match="There is no file"):
        pk.read_plan(tmp_path / "nothing.parquet")
    (tmp_path / "text").write_text("no plan")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "frame.parquet")
    for name, why in {
        "text": "(smaller than|Could not read)",
        "frame.parquet": "a Parquet file of something else",
    }.items():
        with pytest.raises(pk.KiliValidationError, match=f"is no plan.*{why}"):
            pk.read_plan(tmp_path / name)


def test_a_plan_of_a_later_version_is_refused(box, tmp_path, monkeypatch):
    plan = read(box, project_of(box, 1)).assign(priority=3).kili.plan(client=box.user)
    monkeypatch.setattr("pandas_kili.writing.plan_file._FORMAT", 2)
    plan.save(tmp_path / "later.parquet")
    monkeypatch.undo()
    with pytest.raises(pk.KiliValidationError, match="later than this"):
        pk.read_plan(tmp_path / "later.parquet")


def test_a_plan_reads_as_a_diff_and_its_page_cannot_be_broken(box):
    project = project_of(box, 30)
    hostile = '<script>alert("x")</script>'
    df = read(box, project).assign(priority=[*range(1, 31)], site=hostile)
    plan = df.kili.plan(metadata=["site"], client=box.user)
    text = repr(plan)
    assert text.splitlines()[0] == f"Plan for project {project!r}: 60 to update (30 assets)."
    assert "~ n0  priority: 0 → 1" in text
    assert "… and 40 more, all in .changes" in text
    page = plan._repr_html_()
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page
    assert "~ update" in page


# --- laws -------------------------------------------------------------------------------------------------------------

CELLS = st.fixed_dictionaries(
    {
        "name": st.none() | st.sampled_from([f"n{n}" for n in range(6)] + ["x", "y"]),
        "priority": st.none() | st.integers(0, 2),
        "site": st.none() | st.sampled_from(["Lyon", "Brest", 3, 2.5, True]),
    }
)


@pytest.fixture(scope="module")
def laws():
    with Sandbox(max_calls_per_minute=None) as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        hurry(monkeypatch)
        sandbox.user = client_of(sandbox)
        yield sandbox


@settings(max_examples=30, deadline=None)
@given(
    kept=st.lists(CELLS, max_size=6),
    fresh=st.lists(CELLS, max_size=2),
    missing=st.sampled_from(["keep", "delete"]),
    by_id=st.booleans(),
)
def test_after_a_plan_the_project_is_what_the_frame_says_and_back(laws, kept, fresh, missing, by_id):
    project = project_of(laws, 6)
    ids = [row["id"] for row in laws.assets(project)]
    before = state(laws, project)
    rows = [
        {"id": ids[n] if by_id else None, "externalId": cells["name"] if by_id else f"n{n}", **cells}
        for n, cells in enumerate(kept)
    ]
    rows += [{"id": None, "externalId": f"new{n}", **cells} for n, cells in enumerate(fresh)]
    if not rows:
        return
    frame = pd.DataFrame(rows).assign(content=URL.format("new"))
    frame["site"] = pd.Series([cells["site"] for cells in [*kept, *fresh]], dtype=object)
    frame["priority"] = pd.Series([cells["priority"] for cells in [*kept, *fresh]], dtype="Int64")
    options = {"metadata": ["site"], "missing": missing, "client": laws.user}
    try:
        plan = frame.kili.plan(project, **options)
    except pk.KiliValidationError:
        assert state(laws, project) == before
        return
    laws.clear_requests()
    plan.apply(delete=True)
    touched = {where["id"] for call in sent(laws, "updatePropertiesInAssets") for where in call["whereArray"]}
    assert touched <= set(plan.changes["id"])
    there = {row[0]: row for row in state(laws, project).values()}
    by_asset = state(laws, project)
    for row in rows:
        held = by_asset[row["id"]] if row["id"] else there[row["externalId"]]
        assert row["priority"] is None or held[1] == row["priority"]
        site = row["site"]
        assert site is None or (held[2]["site"] == site and isinstance(held[2]["site"], bool) == isinstance(site, bool))
        assert row["externalId"] in {None, held[0]}
    assert missing == "keep" or len(by_asset) == len(frame)
    assert not frame.kili.plan(project, **options) or (by_id and missing == "keep")
    inverse = plan.inverse()
    inverse.apply(delete=True)
    assert state(laws, project) == before


CHANGES_OF_OTHERS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([{"priority": 9}, {"priority": 1}, {"jsonMetadata": '{"n": 0, "site": "Nice"}'}, {}]),
    ),
    max_size=4,
)


@settings(max_examples=20, deadline=None)
@given(theirs=CHANGES_OF_OTHERS, force=st.booleans())
def test_what_others_changed_since_the_plan_is_kept_and_told_with_both_values(laws, theirs, force):
    project = project_of(laws, 6)
    ids = [row["id"] for row in laws.assets(project)]
    frame = pd.DataFrame({"id": ids, "priority": [1] * 6, "site": ["Brest"] * 3 + [None] * 3})
    plan = frame.kili.plan(project, metadata=["site"], client=laws.user)
    for place, change in theirs:
        if change and ids[place] in state(laws, project):
            laws.set_asset(ids[place], **change)
        elif not change:
            laws.delete_assets([ids[place]])
    before = state(laws, project)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pk.KiliDeclinedWarning)
        report = plan.apply(force=force).kili.report.set_index("id")
    after = state(laws, project)
    assert after.keys() == before.keys()
    for place, asset_id in enumerate(ids):
        outcome, message = report.loc[asset_id, ["outcome", "message"]]
        if asset_id not in before:
            assert (outcome, "not there any more" in message) == ("declined", True)
            continue
        _, priority, metadata, _ = before[asset_id]
        is_theirs = priority == 9 or (place < 3 and metadata["site"] == "Nice")
        if is_theirs and not force:
            assert outcome == "declined"
            assert after[asset_id] == before[asset_id]
            assert priority != 9 or "priority was 0, is 9, was to become 1" in message
            assert priority == 9 or "jsonMetadata.site was 'Lyon', is 'Nice', was to become 'Brest'" in message
        else:
            assert outcome in {"applied", "unchanged"}
            assert (after[asset_id][1], after[asset_id][2]["site"]) == (1, "Brest" if place < 3 else metadata["site"])


def test_calls_are_those_of_the_look_up_and_two_a_hundred_changes(box):
    project = project_of(box, 450)
    df = read(box, project)
    box.clear_requests()
    plan = df.assign(priority=[1] * 150 + [0] * 300).kili.plan(client=box.user)
    assert len(box.requests) <= 6
    box.clear_requests()
    plan.apply()
    assert len(box.requests) <= 5
    assert len(mutations(box)) == 2
