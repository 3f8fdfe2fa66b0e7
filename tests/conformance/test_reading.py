"""The official SDK is the judge: it works against the sandbox, and reads the same assets as we do."""

import json

import pandas as pd
import pytest
from official_sdk import GENERATION, VERSION, newest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.conformance

ANSWERS = [
    {"JOB": {"categories": [{"name": "CAT"}]}},
    {"JOB": {"categories": [{"name": "DOG"}]}},
    {
        "BOXES": {
            "annotations": [
                {"mid": "1", "categories": [{"name": "CAT"}]},
                {"mid": "2", "categories": [{"name": "CAT"}]},
            ]
        }
    },
]
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"  # pragma: allowlist secret
)


@pytest.fixture(params=sorted({"both", GENERATION}))
def sandbox(request):
    with Sandbox(generation=request.param, max_calls_per_minute=None) as sandbox:
        yield sandbox


@newest
def test_what_the_sdk_writes_is_in_the_frame(run, sandbox):
    project = sandbox.create_project("Hosted", "IMAGE")
    ids = run(
        """
        p, names = given["project"], [f"a{i}" for i in range(120)]
        ids = kili.append_many_to_dataset(
            p, content_array=[f"https://example.com/{n}.png" for n in names],
            external_id_array=names, json_metadata_array=[{"k": i} for i in range(120)])["asset_ids"]
        kili.update_properties_in_assets(asset_ids=ids[:2], priorities=[3, 4], json_metadatas=[{"z": 1}, None])
        kili.change_asset_external_ids(new_external_ids=["renamed"], asset_ids=ids[:1])
        answer = {"JOB": {"categories": [{"name": "CAT"}]}}
        kili.append_labels(asset_id_array=ids[:6], json_response_array=[answer] * 6, project_id=p)
        kili.update_properties_in_assets(asset_ids=ids[:1], to_be_labeled_by_array=[["jane@x.org"]])
        outcomes = [kili.add_to_review(asset_ids=ids[3:8]), kili.send_back_to_queue(asset_ids=ids[5:8])]
        assert [len(o["succeeded"]) for o in outcomes] == [3, 1], outcomes
        assert [len(o["declined"]) for o in outcomes] == [2, 2], outcomes
        assert len(kili.delete_many_from_dataset(asset_ids=ids[100:])["succeeded"]) == 20
        assert kili.count_assets(p) == 100
        assert len(kili.labels(p)) == 6
        result = ids
        """,
        project=project,
    )
    fields = ["id", "externalId", "priority", "jsonMetadata", "status", "labels.author.email", "content"]
    frame = pk.read_kili(project, fields=fields, client=sandbox.client)
    assert frame["id"].tolist() == ids[:100]
    assert frame["externalId"].tolist()[:2] == ["renamed", "a1"]
    assert frame["priority"].tolist()[:3] == [3, 4, 0]
    assert [json.loads(text) for text in frame["jsonMetadata"][:3]] == [{"z": 1}, {"k": 1}, {"k": 2}]
    assert frame["status"].tolist()[:7] == ["LABELED"] * 3 + ["TO_REVIEW"] * 2 + ["ONGOING", "TODO"]
    assert [len(labels) for labels in frame["labels"][:7]] == [1] * 6 + [0]
    assert sandbox.assignees(ids[0]) == ["jane@x.org"]


def test_text_and_local_files_go_in_and_come_out(run, sandbox, tmp_path):
    texts, images = sandbox.create_project("Texts", "TEXT"), sandbox.create_project("Images", "IMAGE")
    (tmp_path / "dot.png").write_bytes(DOT)
    result = run(
        """
        folder, answers = given["folder"], {}
        kili.append_many_to_dataset(given["texts"], content_array=["héllo", "bye"], external_id_array=["t1", "t2"])
        kili.append_many_to_dataset(given["texts"], json_content_array=[[{"children": [{"id": "1", "text": "rich"}]}]],
                                    external_id_array=["rich"])
        kili.append_many_to_dataset(given["images"], content_array=[f"{folder}/dot.png"], external_id_array=["dot"])
        fields = ["externalId", "content", "jsonContent"]
        for project in (given["texts"], given["images"]):
            for asset in kili.assets(project, fields=fields, download_media=True, local_media_dir=folder + "/out"):
                path = asset["content"] or asset["jsonContent"]
                answers[asset["externalId"]] = open(path, "rb").read().hex()
        result = answers
        """,
        texts=texts,
        images=images,
        folder=str(tmp_path),
    )
    answers = {name: bytes.fromhex(content) for name, content in result.items()}
    assert answers["t1"].decode() == "héllo"
    assert json.loads(answers["rich"]) == [{"children": [{"id": "1", "text": "rich"}]}]
    assert answers["dot"] == DOT


def test_asynchronous_imports_are_waited_for(run, sandbox):
    project = sandbox.create_project("Videos", "VIDEO")
    script = """
        kili.append_many_to_dataset(
            given["project"], content_array=["https://example.com/a.mp4"], external_id_array=["a"])
        result = kili.assets(given["project"], fields=["externalId", "content"])
    """
    assert run(script, project=project) == [{"externalId": "a", "content": "https://example.com/a.mp4"}]


@pytest.mark.skipif(VERSION.startswith("2."), reason="the SDK reads no answers of LLM_STATIC before 25.2")
def test_answers_of_conversations_are_put_together_from_annotations(run, sandbox):
    interface = {"jobs": {"TOPIC": {"mlTask": "CLASSIFICATION"}, "NOTE": {"mlTask": "TRANSCRIPTION"}}}
    project = sandbox.create_project("Chats", "LLM_STATIC", interface)
    (asset,) = sandbox.add_assets(project, [{"externalId": "a"}])
    answer = {
        "TOPIC": {"categories": [{"name": "A", "children": {"WHY": {"text": "so"}}}, {"name": "B"}]},
        "NOTE": {"text": "fine"},
    }
    sandbox.add_labels(pd.DataFrame({"assetId": [asset], "jsonResponse": [json.dumps(answer)]}))
    script = """
        result = kili.assets(given["project"], fields=["id", "labels.jsonResponse"])[0]["labels"][0]["jsonResponse"]
    """
    assert run(script, project=project) == answer


def test_events_are_listed(run, sandbox):
    project = sandbox.create_project("P", "TEXT")
    ids = sandbox.add_assets(project, [{"externalId": f"a{row}"} for row in range(130)])
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:2], "jsonResponse": ["{}"] * 2}))
    script = """
        every = kili.events.list(given["project"])
        middle = every[50]["id"]
        result = {
            "every": every,
            "backwards": kili.events.list(given["project"], order="desc"),
            "labels": kili.events.list(given["project"], event="label.workflow.created.default"),
            "later": kili.events.list(given["project"], from_event_id=middle, skip=2),
        }
    """
    result = run(script, project=project)
    every = result["every"]
    assert [event["payload"]["assetId"] for event in every] == ids + ids[:2]
    assert set(every[0]) == {"createdAt", "event", "id", "organizationId", "payload", "projectId", "userId"}
    assert result["backwards"] == every[::-1]
    assert result["labels"] == every[-2:]
    assert result["later"] == every[52:]


def filters(sandbox, project):
    """Return a table of filters; the values are of the project that `filled` makes."""
    ids = [row["id"] for row in sandbox.assets(project)]
    ada, bob = sandbox.user_id("ada.lovelace@x.org"), sandbox.user_id("bob@x.org")
    return [
        {},
        {"asset_id": ids[3]},
        {"asset_id_in": [ids[7], ids[2], "unknown"]},
        {"asset_id_not_in": ids[10:]},
        {"external_id_strictly_in": ["n1", "n11", "N1"]},
        {"external_id_in": ["n1"]},
        {"status_in": ["LABELED"]},
        {"status_in": ["TODO", "REVIEWED"]},
        {"skipped": True},
        {"skipped": False},
        {"metadata_where": {"k": "3"}},
        {"metadata_where": {"k": ["3", "5"]}},
        {"metadata_where": {"k": [2, 10]}},
        {"metadata_where": {"k": [2, 10], "parity": "odd"}},
        {"consensus_mark_gte": 0.5},
        {"consensus_mark_lte": 0.5},
        {"consensus_mark_gte": 0.2, "consensus_mark_lte": 0.4},
        {"honeypot_mark_gte": 0.3},
        {"honeypot_mark_lte": 0.3},
        {"inference_mark_gte": 0.25, "inference_mark_lte": 0.75},
        {"created_at_gte": "2024-02-01"},
        {"created_at_lte": "2024-02-01"},
        {"created_at_gte": "2024-01-10", "created_at_lte": "2024-01-20"},
        {"updated_at_gte": "2024-02-01"},
        {"updated_at_lte": "2024-02-01"},
        {"label_author_in": ["Ada"]},
        {"label_author_in": ["Lovelace"]},
        {"label_author_in": ["Ada Lovelace", "Bob"]},
        {"label_type_in": ["DEFAULT"]},
        {"label_type_in": ["REVIEW", "PREDICTION"]},
        {"label_created_at": "2024-03-05"},
        {"label_created_at_gte": "2024-03-10"},
        {"label_created_at_lte": "2024-03-10"},
        {"label_consensus_mark_gte": 0.5},
        {"label_honeypot_mark_lte": 0.5},
        {"label_category_search": "JOB.CAT.count > 0"},
        {"label_category_search": "JOB.DOG.count == 1 OR BOXES.CAT.count >= 2 AND JOB.CAT.count == 1"},
        {"label_category_search": "(JOB.DOG.count == 1 OR BOXES.CAT.count >= 2) AND JOB.CAT.count == 0"},
        {"label_labeler_in": [ada]},
        {"label_labeler_not_in": [ada]},
        {"label_reviewer_in": [bob]},
        {"label_reviewer_not_in": [bob]},
        {"assignee_in": [ada, bob]},
        {"assignee_not_in": [ada]},
        {"issue_type": "QUESTION"},
        {"issue_type": "ISSUE", "issue_status": "SOLVED"},
        {"label_type_in": ["DEFAULT"], "label_author_in": ["Bob"], "label_category_search": "JOB.DOG.count >= 1"},
        {"status_in": ["LABELED"], "metadata_where": {"parity": "even"}, "consensus_mark_gte": 0.1},
    ]


def filled(sandbox):
    project = sandbox.create_project("Filters", "IMAGE")
    created = pd.date_range("2024-01-01", periods=130, freq="D", tz="UTC")
    ids = sandbox.add_assets(
        project,
        [
            {
                "externalId": f"n{i}",
                "content": "https://example.com/x.png",
                "jsonMetadata": {"k": i, "parity": ["even", "odd"][i % 2]},
                "createdAt": created[i],
            }
            for i in range(130)
        ],
    )
    sandbox.add_labels(
        pd.DataFrame(
            {
                "assetId": [ids[i % 90] for i in range(180)],
                "jsonResponse": [ANSWERS[i % 3] for i in range(180)],
                "author": [["ada.lovelace@x.org", "bob@x.org", "carl@x.org"][i // 3 % 3] for i in range(180)],
                "labelType": [["DEFAULT", "AUTOSAVE", "DEFAULT", "REVIEW", "PREDICTION"][i % 5] for i in range(180)],
                "createdAt": pd.date_range("2024-03-01", periods=180, freq="6h", tz="UTC"),
                "consensusMark": [i % 10 / 10 for i in range(180)],
                "honeypotMark": [i % 7 / 7 for i in range(180)],
            }
        )
    )
    for i in range(0, 130, 3):
        sandbox.set_asset(ids[i], consensusMark=i / 130, honeypotMark=i / 260, inferenceMark=i / 130, skipped=i % 2)
    for i in range(0, 130, 10):
        sandbox.add_issue(ids[i], ["ISSUE", "QUESTION"][i // 10 % 2], ["OPEN", "SOLVED"][i // 20 % 2])
    update = (
        "mutation($w: [AssetWhere!]!, $d: [AssetData!]!) { data: updatePropertiesInAssets(where: $w, data: $d) { id } }"
    )
    people = [["ada.lovelace@x.org"], ["bob@x.org"], ["ada.lovelace@x.org", "carl@x.org"]]
    changes = {"w": [{"id": one} for one in ids[:30]], "d": [{"toBeLabeledBy": people[i % 3]} for i in range(30)]}
    sandbox.client.execute(update, changes)
    return project


READ_ALL = """
    result = [
        [[row["id"] for row in kili.assets(given["project"], fields=["id"], **one)],
         kili.count_assets(given["project"], **one)]
        for one in given["filters"]
    ]
"""


def assert_the_same(run, sandbox, project, table):
    everything = [row["id"] for row in sandbox.assets(project)]
    for one, (ids, count) in zip(table, run(READ_ALL, project=project, filters=table), strict=True):
        frame = pk.read_kili(project, fields=["id"], client=sandbox.client, **one)
        assert frame["id"].tolist() == ids, one
        assert pk.count_assets(project, client=sandbox.client, **one) == count == len(ids), one
        assert len(ids) > 0, one
        assert not one or len(ids) < len(everything), one


def test_both_read_the_same_assets_in_the_same_order(run, sandbox):
    project = filled(sandbox)
    assert_the_same(run, sandbox, project, filters(sandbox, project))


@newest
def test_both_read_the_same_assets_of_a_project_with_steps(run, sandbox):
    steps = [{"name": "Labeling"}, {"name": "Review"}]
    project = sandbox.create_project("Steps", "IMAGE", workflow_version="V2", steps=steps)
    ids = sandbox.add_assets(project, [{"externalId": f"n{i}"} for i in range(30)])
    for kind, part in {"DEFAULT": ids[:10], "AUTOSAVE": ids[10:15], "REVIEW": ids[15:20]}.items():
        sandbox.add_labels(pd.DataFrame({"assetId": part, "jsonResponse": "{}", "labelType": kind}))
    table = [
        {"step_name_in": ["Review"]},
        {"step_name_not_in": ["Review"]},
        {"step_status_in": ["DONE", "DOING"]},
        {"step_status_not_in": ["TO_DO"]},
        {"step_name_in": ["Labeling"], "step_status_in": ["TO_DO"]},
    ]
    assert_the_same(run, sandbox, project, table)
