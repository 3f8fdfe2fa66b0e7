"""The official SDK and we do the same to twin projects, and leave them in the same state."""

import json

import pandas as pd
import pytest
from official_sdk import GENERATION, newest
from writing import client_of, filled, hurry, outcomes

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.conformance

PLACES = [f"https://example.com/{i}.png" for i in range(120)]
NAMES = [f"new-{i}" for i in range(120)]
META = [[{"i": i, "t": "é"}, {}, {"nested": {"list": [1, None]}}][i % 3] for i in range(120)]
TRAPS = [i % 2 == 0 for i in range(120)]
UPDATES = [  # the SDK looks at the first of the items only, and takes no null there
    {"priority": [3, 0, -2, 2**31 - 1, 7]},
    {"priority": [1, None, None, 5, None]},
    {"jsonMetadata": [{"a": 1, "t": "é"}, '{"b": 2}', {}, '{"c": [1, {"d": null}]}', {"e": "x"}]},
    {"jsonMetadata": [{"kept": False}, None, None, '{"f": 1}', None]},
    {"consensusMark": [0.5, 0.0, 1.0, None, 0.25], "honeypotMark": [1.0, None, 0.0, 0.125, None]},
    {"toBeLabeledBy": [["jane@x.org"], [], ["b@x.org", "a@x.org"], [], ["old@x.org"]]},
    {"content": [f"https://example.com/other-{i}.png" for i in range(5)]},
    {"isHoneypot": [True, None, False, True, None], "isUsedForConsensus": [True, None, True, False, None]},
    {"priority": [9, None, 8, None, 7], "jsonMetadata": [{"z": 1}, {"y": 2}, None, None, None]},
]
SDK_NAMES = {
    "priority": "priorities",
    "jsonMetadata": "json_metadatas",
    "consensusMark": "consensus_marks",
    "honeypotMark": "honeypot_marks",
    "toBeLabeledBy": "to_be_labeled_by_array",
    "content": "contents",
    "isHoneypot": "is_honeypot_array",
    "isUsedForConsensus": "is_used_for_consensus_array",
}


@pytest.fixture
def sandbox():
    with Sandbox(generation=GENERATION, max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def swift(monkeypatch):
    hurry(monkeypatch)


def twins(sandbox, rows, **options):
    return [filled(sandbox, rows, title=title, **options) for title in ("Ours", "Theirs")]


def state(sandbox, project):
    """Return what a project holds, in order, without what differs between twins."""
    shown = (
        "externalId", "content", "jsonContent", "status", "priority", "isHoneypot", "isUsedForConsensus",
        "consensusMark", "honeypotMark",
    )  # fmt: skip
    return [
        {name: row[name] for name in shown}
        | {"metadata": json.loads(row["jsonMetadata"]), "assignees": sandbox.assignees(row["id"])}
        for row in sandbox.assets(project)
    ]


def assign_all(sandbox, ids):
    frame = pd.DataFrame({"id": ids, "toBeLabeledBy": [["old@x.org"]] * len(ids)})
    frame.kili.update_properties_in_assets("toBeLabeledBy", client=client_of(sandbox))


def column(values):
    return pd.Series(values, dtype=object)


def test_appended_assets_are_the_same(run, sandbox):
    (ours, _), (theirs, _) = twins(sandbox, 0)
    (our_texts, _), (their_texts, _) = twins(sandbox, 0, kind="TEXT")
    run(
        """
        given_arrays = dict(content_array=given["places"], external_id_array=given["names"])
        kili.append_many_to_dataset(given["theirs"], **given_arrays, json_metadata_array=given["meta"],
                                    is_honeypot_array=given["traps"])
        kili.append_many_to_dataset(given["theirs"], content_array=given["places"][:2], external_id_array=["p", "q"])
        kili.append_many_to_dataset(given["texts"], content_array=["One.", "Two."], external_id_array=["a", "b"])
        result = None
        """,
        theirs=theirs,
        texts=their_texts,
        places=PLACES,
        names=NAMES,
        meta=META,
        traps=TRAPS,
    )
    client = client_of(sandbox)
    frame = pd.DataFrame({"content": PLACES, "externalId": NAMES, "jsonMetadata": META, "isHoneypot": TRAPS})
    frame.kili.append_many_to_dataset(ours, client=client)
    frame[["content"]].head(2).assign(externalId=["p", "q"]).kili.append_many_to_dataset(ours, client=client)
    texts = pd.DataFrame({"content": ["One.", "Two."], "externalId": ["a", "b"]})
    texts.kili.append_many_to_dataset(our_texts, client=client)
    assert state(sandbox, ours) == state(sandbox, theirs)
    assert len(state(sandbox, ours)) == 122
    shown = [
        [client.get(url) for url in pk.read_kili(one, fields=["content"], client=client)["content"]]
        for one in (our_texts, their_texts)
    ]
    assert shown[0] == shown[1] == [b"One.", b"Two."]


@newest
def test_changed_assets_are_the_same(run, sandbox):
    (ours, our_ids), (theirs, their_ids) = twins(sandbox, 40, labeled=range(0, 40, 2))
    assign_all(sandbox, our_ids + their_ids)
    said = run(
        """
        p, ids = given["theirs"], given["ids"]
        for start, update in enumerate(given["updates"]):
            which = slice(start % 4 * 5, start % 4 * 5 + 5)
            if start % 2:
                names = [f"n{i}" for i in range(40)][which]
                kili.update_properties_in_assets(external_ids=names, project_id=p, **update)
            else:
                kili.update_properties_in_assets(asset_ids=ids[which], **update)
        result = {
            "review": kili.add_to_review(asset_ids=ids[10:30]),
            "queue": kili.send_back_to_queue(asset_ids=ids[20:35]),
            "again": kili.add_to_review(external_ids=["n10", "n11", "n12"], project_id=p),
            "delete": kili.delete_many_from_dataset(asset_ids=ids[36:]),
        }
        kili.change_asset_external_ids(new_external_ids=["x", "y", "N2"], asset_ids=ids[:3])
        kili.change_asset_external_ids(new_external_ids=["z"], external_ids=["n5"], project_id=p)
        """,
        theirs=theirs,
        ids=their_ids,
        updates=[{SDK_NAMES[name]: values for name, values in update.items()} for update in UPDATES],
    )
    client = client_of(sandbox)
    frame = pk.read_kili(ours, fields=["id", "externalId"], client=client)
    for start, update in enumerate(UPDATES):
        part = frame.iloc[start % 4 * 5 : start % 4 * 5 + 5]
        part = part.drop(columns="id" if start % 2 else "externalId").assign(
            **{name: column(values).array for name, values in update.items()}
        )
        part.kili.update_properties_in_assets(*update, project_id=ours, client=client)
    with pytest.warns(pk.KiliDeclinedWarning):
        moved = {
            "review": frame[10:30].kili.add_to_review(client=client),
            "queue": frame[20:35].kili.send_back_to_queue(client=client),
            "again": frame[10:13][["externalId"]].kili.add_to_review(project_id=ours, client=client),
            "delete": frame[36:].kili.delete_many_from_dataset(client=client),
        }
    frame[:3].assign(new=["x", "y", "N2"]).kili.change_asset_external_ids("new", client=client)
    frame[5:6].assign(new=["z"]).kili.change_asset_external_ids("new", client=client)
    assert state(sandbox, ours) == state(sandbox, theirs)
    assert len(state(sandbox, ours)) == 36
    for verb, out in moved.items():
        assert not said[verb]["failed"]
        named = {"applied": said[verb]["succeeded"], "declined": said[verb]["declined"]}
        report = out.kili.report.set_index("externalId")["outcome"]
        if verb == "queue":  # what never left the queue is declined by the server, and unchanged for us
            report = report.replace("unchanged", "declined")
        for outcome, assets in named.items():
            mine = {name for name, one in report.items() if one == outcome}
            theirs_said = {asset["externalId"] for asset in assets}
            # What is where it was to go is declined by the server, and applied for us.
            if verb == "again":
                assert mine == ({"n10", "n12"} if outcome == "applied" else {"n11"})
                assert theirs_said == (set() if outcome == "applied" else {"n10", "n11", "n12"})
            elif verb == "queue":
                assert theirs_said == {f"n{i}" for i in range(20, 35) if (i % 2 == 0) == (outcome == "applied")}
                assert mine == theirs_said
            else:
                assert mine == theirs_said


@newest
def test_where_the_sdk_goes_wrong_each_row_gets_what_it_says(run, sandbox):
    (ours, our_ids), (theirs, their_ids) = twins(sandbox, 6)
    assign_all(sandbox, our_ids + their_ids)
    said = run(
        """
        p, ids = given["theirs"], given["ids"]
        def attempt(**update):
            try:
                kili.update_properties_in_assets(**update)
            except Exception as error:
                return type(error).__name__

        result = [
            attempt(asset_ids=ids[:2], to_be_labeled_by_array=[None, ["new@x.org"]]),
            attempt(asset_ids=ids[5:], status_array=["REVIEWED"]),
        ]
        kili.add_metadata(json_metadata=[{"of": 4}, {"of": 3}], project_id=p, asset_ids=[ids[4], ids[3]])
        kili.append_many_to_dataset(p, content_array=["https://x.org/1.png"] * 3, external_id_array=["a", "a", "b"])
        """,
        theirs=theirs,
        ids=their_ids,
    )
    client = client_of(sandbox)
    frame = pd.DataFrame({"id": our_ids, "who": column([None, ["new@x.org"]] * 3), "status": "REVIEWED"})
    frame[:2].kili.update_properties_in_assets(to_be_labeled_by="who", client=client)
    meta = pd.DataFrame({"id": [our_ids[4], our_ids[3]], "jsonMetadata": [{"of": 4}, {"of": 3}]})
    meta.kili.update_properties_in_assets("jsonMetadata", client=client)
    with pytest.warns(UserWarning, match="status"):
        told = frame[5:].kili.update_properties_in_assets("status", client=client)
    new = pd.DataFrame({"content": ["https://x.org/1.png"] * 3, "externalId": ["a", "a", "b"]})
    appended = new.kili.append_many_to_dataset(ours, if_exists="skip", client=client)
    right, wrong = state(sandbox, ours), state(sandbox, theirs)
    assert None not in said
    # A null among assignments leaves that one as it is; the SDK takes none.
    assert [row["assignees"] for row in right[:2]] == [["old@x.org"], ["new@x.org"]]
    assert [row["assignees"] for row in wrong[:2]] == [["old@x.org"], ["old@x.org"]]
    # Metadata belong to the row that says them; the SDK pairs them with assets in the server's order.
    assert [row["metadata"] for row in right[3:5]] == [{"of": 3}, {"of": 4}]
    assert [row["metadata"] for row in wrong[3:5]] == [{"of": 4}, {"of": 3}]
    # A status alone is nothing to send; the SDK sends assets without changes.
    assert outcomes(told) == ["declined"]
    assert right[5] == wrong[5]
    # Of rows with one external id the first is taken; the SDK drops them all.
    assert outcomes(appended) == ["applied", "unchanged", "applied"]
    assert [row["externalId"] for row in right[6:]] == ["a", "b"]
    assert [row["externalId"] for row in wrong[6:]] == ["b"]
