"""The sandbox keeps Kili's rules: pages, batches, statuses, outcomes, both generations."""

import contextlib
import gzip
import json
import sqlite3
import time
from email.message import Message

import pandas as pd
import pytest
import requests
from graphql import get_introspection_query, get_named_type, is_leaf_type, is_list_type, is_non_null_type

from pandas_kili.sandbox import Request, Sandbox
from pandas_kili.sandbox.schema import schema_of
from pandas_kili.sandbox.server import RequestLog

ASSETS = (
    "query assets($where: AssetWhere!, $first: PageSize!, $skip: Int!) "
    "{ data: assets(where: $where, skip: $skip, first: $first) { id externalId status labels { author { email } } } }"
)
COUNT = "query countAssets($where: AssetWhere!) { data: countAssets(where: $where) }"
APPEND = (
    "mutation appendManyAssets($data: AppendManyAssetsData!, $where: ProjectWhere!) "
    "{ data: appendManyAssets(data: $data, where: $where) { id } }"
)
UPDATE = (
    "mutation($whereArray: [AssetWhere!]!, $dataArray: [AssetData!]!) "
    "{ data: updatePropertiesInAssets(where: $whereArray, data: $dataArray) { id } }"
)
LABEL = (
    "mutation appendManyLabels($data: AppendManyLabelsData!, $where: AssetWhere!) "
    "{ data: appendManyLabels(data: $data, where: $where) { id } }"
)
OUTCOMES = "succeeded { assetId externalId } declined { assetId } failed { assetId externalId details }"
ANSWER = {"JOB": {"categories": [{"name": "CAT"}]}}


def verb(name, selection=OUTCOMES):
    return f"mutation($where: AssetWhere!) {{ data: {name}(where: $where) {{ {selection} }} }}"


def post(sandbox, document, variables=None, key=None, **body):
    headers = {"Authorization": f"X-API-Key: {key or sandbox.api_key}"}
    return requests.post(
        sandbox.api_endpoint, json={"query": document, "variables": variables, **body}, headers=headers, timeout=20
    )


def ask(sandbox, document, variables=None):
    answer = post(sandbox, document, variables).json()
    assert "errors" not in answer, answer
    return answer["data"]["data"]


def refusal(sandbox, document, variables=None):
    answer = post(sandbox, document, variables).json()
    assert answer.get("data") is None
    assert isinstance(answer["errors"][0]["extensions"], dict)
    return answer["errors"][0]


def append(sandbox, project, names, **arrays):
    data = {"externalIDArray": list(names), "contentArray": ["https://example.com/x"] * len(names), **arrays}
    return [row["id"] for row in ask(sandbox, APPEND, {"data": data, "where": {"id": project}})]


def page(sandbox, project, first=100, skip=0, **where):
    return ask(sandbox, ASSETS, {"where": {"project": {"id": project}, **where}, "first": first, "skip": skip})


def label(sandbox, ids, label_type="DEFAULT", **more):
    labels = [{"assetID": asset_id, "jsonResponse": json.dumps(ANSWER), **more} for asset_id in ids]
    return ask(sandbox, LABEL, {"data": {"labelType": label_type, "labelsData": labels}, "where": {"idIn": list(ids)}})


def status(sandbox, project):
    return {row["externalId"]: row["status"] for row in sandbox.assets(project)}


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def project(sandbox):
    return sandbox.create_project("Digits", "IMAGE")


def test_assets_come_in_the_order_of_creation_page_by_page(sandbox, project):
    names = [f"n{i:03}" for i in range(150)]
    append(sandbox, project, names[:100])
    append(sandbox, project, names[100:])
    pages = [page(sandbox, project, 60, skip) for skip in (0, 60, 120)]
    assert [len(rows) for rows in pages] == [60, 60, 30]
    assert [row["externalId"] for rows in pages for row in rows] == names
    assert ask(sandbox, COUNT, {"where": {"project": {"id": project}, "label": {}, "issue": {}}}) == 150


def test_ids_given_by_the_client_are_kept_and_cannot_be_given_twice(sandbox, project):
    assert append(sandbox, project, ["a", "b"], idArray=["id-a", "id-b"]) == ["id-a", "id-b"]
    data = {"externalIDArray": ["c", "d"], "idArray": ["id-c", "id-a"]}
    refused = refusal(sandbox, APPEND, {"data": data, "where": {"id": project}})
    assert refused["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE"
    assert len(sandbox.assets(project)) == 2


@pytest.mark.parametrize("names", [["a"], ["b", "b"]])
def test_external_ids_are_unique_in_a_project(sandbox, project, names):
    append(sandbox, project, ["a"])
    refusal(sandbox, APPEND, {"data": {"externalIDArray": names}, "where": {"id": project}})
    assert len(sandbox.assets(project)) == 1
    append(sandbox, sandbox.create_project("Other", "IMAGE"), ["a"])


def test_external_ids_may_repeat_where_the_sandbox_is_told_so():
    with Sandbox(unique_external_ids=False) as sandbox:
        project = sandbox.create_project("Twins", "IMAGE")
        append(sandbox, project, ["a", "a"])
        assert [asset["externalId"] for asset in sandbox.assets(project)] == ["a", "a"]


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        (ASSETS, {"where": {}, "first": 101, "skip": 0}),
        (ASSETS, {"where": {}, "first": 1, "skip": -1}),
        (COUNT, {"where": {"idIn": ["x"] * 1001}}),
        (COUNT, {"where": {"createdAtGte": "yesterday"}}),
        (COUNT, {"where": {"label": {"search": "JOB.CAT >= 1"}}}),
        (APPEND, {"data": {"contentArray": ["x"] * 101}, "where": {"id": "p"}}),
        (APPEND, {"data": {"contentArray": ["x"], "externalIDArray": ["a", "b"]}, "where": {"id": "p"}}),
        (APPEND, {"data": {"contentArray": ["x"]}, "where": {"id": "unknown"}}),
        (verb("deleteAssets"), {"where": {"idIn": ["x"] * 101}}),
        (verb("deleteAssets"), {"where": {}}),
        (UPDATE, {"whereArray": [{"id": "x"}], "dataArray": []}),
        (UPDATE, {"whereArray": [{"id": "unknown"}], "dataArray": [{"priority": 1}]}),
        (LABEL, {"data": {"labelType": "DEFAULT", "labelsData": []}, "where": {"nope": 1}}),
        (COUNT, {"where": {"statusIn": ["DONE"]}}),
        (COUNT, {"where": {"consensusMarkGte": "high"}}),
        (COUNT, {}),
        ("query { data: assets { id } }", None),
        ("query {", None),
        ("{ nothing }", None),
    ],
)
def test_what_the_rules_forbid_is_an_error_with_a_code(sandbox, document, variables):
    assert refusal(sandbox, document, variables)["extensions"]["code"]


def test_bodies_that_are_no_operations_are_refused(sandbox):
    for body in (b"", b"[]", b"{", b'{"query": 1}', b'{"query": "{ me { id } }", "variables": []}', b"\xff\xfe"):
        assert requests.post(sandbox.api_endpoint, data=body, timeout=20).status_code == 400
    assert requests.post(sandbox.api_endpoint + "/nowhere", data=b"{}", timeout=20).status_code == 404


def test_variables_may_be_absent_and_nulls_ask_for_nothing(sandbox, project):
    append(sandbox, project, ["a"])
    assert ask(sandbox, "{ data: me { email } }") == {"email": "admin@sandbox.local"}
    where = {"id": None, "idIn": None, "label": {"typeIn": None, "search": None}, "skipped": None, "metadata": None}
    assert ask(sandbox, COUNT, {"where": {"project": {"id": project}, **where}}) == 1


def test_fragments_aliases_and_conditions_are_understood(sandbox, project):
    append(sandbox, project, ["a"])
    document = """
        query($p: ID!, $no: Boolean = false) {
            data: assets(where: {project: {id: $p}}, first: 1, skip: 0) {
                ...Names id @include(if: $no) project { id } project { title } __typename
            }
        }
        fragment Names on Asset { name: externalId ... on Asset { status @skip(if: $no) } }
    """
    expected = {"name": "a", "status": "TODO", "project": {"id": project, "title": "Digits"}, "__typename": "Asset"}
    assert ask(sandbox, document, {"p": project}) == [expected]


def test_a_wrong_key_is_401_for_the_bare_key_check_and_an_error_elsewhere(sandbox):
    for name in ("me", "viewer"):
        assert post(sandbox, f"{{ {name} {{ id email }} }}", key="wrong").status_code == 401
    ordinary = post(sandbox, "query me { data: viewer { email } }", key="wrong")
    assert ordinary.status_code == 200
    assert ordinary.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert sandbox.api_key not in ordinary.text


def test_calls_beyond_the_rate_are_429_with_a_time_to_wait():
    with Sandbox(max_calls_per_minute=3) as sandbox:
        answers = [post(sandbox, "{ me { id } }") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60


def test_answers_and_bodies_may_be_compressed(sandbox, project):
    append(sandbox, project, [f"n{i}" for i in range(100)])
    body = json.dumps({"query": ASSETS, "variables": {"where": {}, "first": 100, "skip": 0}}).encode()
    headers = {"Authorization": f"X-API-Key: {sandbox.api_key}", "Content-Encoding": "gzip"}
    answer = requests.post(sandbox.api_endpoint, data=gzip.compress(body), headers=headers, timeout=20)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.json()["data"]["data"]) == 100


@pytest.mark.parametrize(
    ("label_type", "moved_to"),
    [
        ("AUTOSAVE", "ONGOING"),
        ("DEFAULT", "LABELED"),
        ("REVIEW", "REVIEWED"),
        ("PREDICTION", "TODO"),
        ("INFERENCE", "TODO"),
    ],
)
def test_a_label_moves_its_asset(sandbox, project, label_type, moved_to):
    label(sandbox, append(sandbox, project, ["a"]), label_type)
    assert status(sandbox, project) == {"a": moved_to}


def test_consensus_keeps_an_asset_ongoing_until_enough_have_labeled_it(sandbox):
    project = sandbox.create_project("Agree", "IMAGE", min_consensus_size=2)
    (asset,) = append(sandbox, project, ["a"])
    sandbox.set_asset(asset, isUsedForConsensus=1)
    label(sandbox, [asset], authorID=sandbox.user_id("one@x.org"))
    assert status(sandbox, project) == {"a": "ONGOING"}
    label(sandbox, [asset], authorID=sandbox.user_id("two@x.org"))
    assert status(sandbox, project) == {"a": "LABELED"}


def test_each_asset_sent_to_review_and_back_stands_under_one_outcome(sandbox, project):
    labeled, bare = append(sandbox, project, ["labeled", "bare"])
    label(sandbox, [labeled])
    where = {"where": {"idIn": [labeled, bare, "unknown"]}}
    unknown = [{"assetId": "unknown", "externalId": None, "details": "not found"}]
    moved = {
        "succeeded": [{"assetId": labeled, "externalId": "labeled"}],
        "declined": [{"assetId": bare}],
        "failed": unknown,
    }
    unmoved = {"succeeded": [], "declined": [{"assetId": labeled}, {"assetId": bare}], "failed": unknown}
    assert ask(sandbox, verb("addAssetsToReview"), where) == moved
    assert status(sandbox, project) == {"labeled": "TO_REVIEW", "bare": "TODO"}
    assert ask(sandbox, verb("addAssetsToReview"), where) == unmoved
    assert ask(sandbox, verb("sendAssetsBackToQueue"), where) == moved
    assert status(sandbox, project) == {"labeled": "ONGOING", "bare": "TODO"}
    assert ask(sandbox, verb("sendAssetsBackToQueue"), where) == unmoved
    deleted = ask(sandbox, verb("deleteAssets"), where)
    assert [row["assetId"] for row in deleted["succeeded"]] == [labeled, bare]
    assert deleted["failed"] == unknown
    assert sandbox.labels(project) == []


def test_the_seed_answers_with_the_project_or_null():
    with Sandbox(generation="legacy") as sandbox:
        project = sandbox.create_project("Old", "IMAGE")
        data = {"externalIDArray": ["a", "b"], "idArray": ["id-a", "id-b"], "statusArray": ["TODO", "REVIEWED"]}
        document = (
            "mutation($data: AppendManyToDatasetData!, $where: ProjectWhere!) "
            "{ data: appendManyToDataset(data: $data, where: $where) { id } }"
        )
        assert ask(sandbox, document, {"data": data, "where": {"id": project}}) == {"id": project}
        assert status(sandbox, project) == {"a": "TODO", "b": "REVIEWED"}
        review, queue = verb("addAllLabeledAssetsToReview", "id"), verb("sendBackAssetsToQueue", "id")
        assert ask(sandbox, review, {"where": {"idIn": ["id-a", "unknown"]}}) is None
        assert ask(sandbox, queue, {"where": {"idIn": ["id-b"]}}) == {"id": project}
        assert ask(sandbox, verb("deleteManyFromDataset", "id"), {"where": {"idIn": ["id-b"]}}) == {"id": project}
        ask(sandbox, UPDATE, {"whereArray": [{"id": "id-a"}], "dataArray": [{"status": "LABELED"}]})
        assert status(sandbox, project) == {"a": "LABELED"}


@pytest.mark.parametrize(("former", "present"), [("seed", "legacy"), ("today", "current")])
def test_former_names_of_a_generation_still_work_and_warn(former, present):
    with pytest.warns(FutureWarning, match=present) as seen:
        sandbox = Sandbox(generation=former)
    assert seen[0].filename == __file__
    with sandbox:
        fields = ask(sandbox, '{ data: __type(name: "Mutation") { fields { name } } }')["fields"]
    assert ("appendManyToDataset" in {field["name"] for field in fields}) == (present == "legacy")


def test_an_unknown_generation_is_refused():
    with pytest.raises(ValueError, match="legacy, current"):
        Sandbox(generation="tomorrow")


@pytest.mark.parametrize(
    ("generation", "known", "unknown"),
    [
        ("legacy", {"appendManyToDataset", "sendBackAssetsToQueue"}, {"appendManyAssets", "deleteAssets"}),
        ("current", {"appendManyAssets", "deleteAssets"}, {"appendManyToDataset", "sendBackAssetsToQueue"}),
        ("both", {"appendManyAssets", "appendManyToDataset"}, {"nothing"}),
    ],
)
def test_a_generation_knows_its_own_operations_only(generation, known, unknown):
    schema = schema_of(generation)
    mutations = set(schema.mutation_type.fields)
    assert known <= mutations
    assert not unknown & mutations
    assert ("viewer" in schema.query_type.fields) == (generation != "legacy")
    assert ("jsonResponseUrl" in schema.type_map["Label"].fields) == (generation != "legacy")
    assert "Generation" not in schema.type_map


def test_introspection_is_answered(sandbox):
    types = post(sandbox, get_introspection_query()).json()["data"]["__schema"]["types"]
    assert {"AssetWhere", "AssetData", "PageSize", "AppendManyAssetsData"} <= {one["name"] for one in types}


def test_properties_change_one_by_one_and_nulls_leave_them(sandbox, project):
    first, second = append(sandbox, project, ["a", "b"], jsonMetadataArray=['{"k": 1}', "{}"])
    before = sandbox.assets(project)[0]["updatedAt"]
    time.sleep(0.002)
    data = [
        {"priority": 3, "jsonMetadata": None, "consensusMark": 0.5, "toBeLabeledBy": ["x@y.z", "admin@sandbox.local"]},
        {"externalId": "c", "isHoneypot": True, "toBeLabeledBy": None, "shouldResetToBeLabeledBy": False},
    ]
    where = [{"id": first}, {"id": second}]
    assert ask(sandbox, UPDATE, {"whereArray": where, "dataArray": data}) == where
    one, two = sandbox.assets(project)
    assert (one["priority"], one["jsonMetadata"], one["consensusMark"]) == (3, '{"k": 1}', 0.5)
    assert (two["externalId"], two["isHoneypot"], two["priority"]) == ("c", 1, 0)
    assert one["updatedAt"] > before
    assert sandbox.assignees(first) == ["admin@sandbox.local", "x@y.z"]
    ask(sandbox, UPDATE, {"whereArray": where[:1], "dataArray": [{"toBeLabeledBy": None}]})
    assert len(sandbox.assignees(first)) == 2
    cleared = {"toBeLabeledBy": None, "shouldResetToBeLabeledBy": True}
    ask(sandbox, UPDATE, {"whereArray": where[:1], "dataArray": [cleared]})
    assert sandbox.assignees(first) == []


@pytest.mark.parametrize("bad", [{"jsonMetadata": "{"}, {"jsonMetadata": '{"a": NaN}'}, {"externalId": "a"}])
def test_a_refused_change_leaves_the_whole_batch_undone(sandbox, project, bad):
    first, second = append(sandbox, project, ["a", "b"])
    where = [{"id": first}, {"id": second}]
    refusal(sandbox, UPDATE, {"whereArray": where, "dataArray": [{"priority": 9}, bad]})
    assert [row["priority"] for row in sandbox.assets(project)] == [0, 0]


def test_todays_servers_ignore_a_status_that_is_given():
    with Sandbox(generation="current") as sandbox:
        project = sandbox.create_project("New", "IMAGE")
        (asset,) = append(sandbox, project, ["a"])
        ask(sandbox, UPDATE, {"whereArray": [{"id": asset}], "dataArray": [{"status": "REVIEWED", "priority": 1}]})
        assert status(sandbox, project) == {"a": "TODO"}


def test_single_marks_of_an_asset(sandbox, project):
    (asset,) = append(sandbox, project, ["a"])
    skip = "mutation($reason: String!, $where: AssetWhere!) { data: skipAsset(reason: $reason, where: $where) { id } }"
    unskip = "mutation($p: ID!, $a: ID!) { data: unskipAsset(projectId: $p, assetId: $a) }"
    consensus = 'mutation($p: ID!) { data: setAssetConsensus(externalId: "a", projectId: $p, isConsensus: true) }'
    assign = (
        f"mutation($u: [String!]!, $w: AssetWhere!) {{ data: assignAssets(where: $w, userIds: $u) {{ {OUTCOMES} }} }}"
    )
    priority = f"mutation($w: AssetWhere!) {{ data: setAssetsPriority(where: $w, priority: 7) {{ {OUTCOMES} }} }}"
    assert ask(sandbox, skip, {"reason": "dark", "where": {"id": asset}}) == {"id": asset}
    assert sandbox.assets(project)[0]["skipped"] == 1
    assert ask(sandbox, unskip, {"p": project, "a": asset}) is True
    assert ask(sandbox, consensus, {"p": project}) is True
    refusal(sandbox, skip, {"reason": "dark", "where": {"id": asset}})
    user = sandbox.user_id("jane.doe@x.org")
    assert ask(sandbox, assign, {"u": [user], "w": {"idIn": [asset]}})["succeeded"]
    assert sandbox.assignees(asset) == ["jane.doe@x.org"]
    assert ask(sandbox, priority, {"w": {"id": asset}})["succeeded"]
    assert sandbox.assets(project)[0]["priority"] == 7
    refusal(sandbox, assign, {"u": ["nobody"], "w": {"idIn": [asset]}})


def test_labels_are_appended_listed_overwritten_and_deleted(sandbox, project):
    ids = append(sandbox, project, ["a", "b"])
    listing = (
        "query($w: LabelWhere!) { data: labels(where: $w, first: 100, skip: 0) { id jsonResponse labelOf { id } } }"
    )
    made = [row["id"] for row in label(sandbox, ids)]
    rows = ask(
        sandbox, listing, {"w": {"project": {"id": project}, "asset": {"project": {"id": project}, "label": {}}}}
    )
    assert [row["id"] for row in rows] == made
    assert [row["labelOf"]["id"] for row in rows] == ids
    assert json.loads(rows[0]["jsonResponse"]) == ANSWER
    data = {"labelType": "DEFAULT", "overwrite": True, "labelsData": [{"assetID": ids[0], "jsonResponse": "{}"}]}
    (replaced,) = ask(sandbox, LABEL, {"data": data, "where": {"idIn": ids[:1]}})
    assert {row["id"] for row in sandbox.labels(project)} == {made[1], replaced["id"]}
    assert ask(sandbox, "mutation($i: [ID!]!) { data: deleteLabels(ids: $i) }", {"i": [made[1], "unknown"]}) == made[1:]


def test_answers_can_be_served_behind_urls_only():
    with Sandbox(json_response_urls=True) as sandbox:
        project = sandbox.create_project("Behind", "IMAGE")
        label(sandbox, append(sandbox, project, ["a"]))
        document = "{ data: labels(where: {}, first: 1, skip: 0) { jsonResponse jsonResponseUrl } }"
        (row,) = ask(sandbox, document)
        assert row["jsonResponse"] == ""
        assert requests.get(row["jsonResponseUrl"], timeout=20).json() == ANSWER


def test_frames_of_labels_are_added_quickly_and_move_their_assets(sandbox, project):
    sandbox.add_assets(project, [{"externalId": f"n{i}"} for i in range(1000)])
    frame = pd.DataFrame(
        {
            "externalId": [f"n{i % 1000}" for i in range(10_000)],
            "jsonResponse": [ANSWER, json.dumps(ANSWER)] * 5000,
            "author.email": [f"labeler.{i % 5}@x.org" for i in range(10_000)],
            "createdAt": pd.date_range("2024-01-01", periods=10_000, freq="min", tz="UTC"),
        }
    )
    started = time.perf_counter()
    assert len(sandbox.add_labels(frame, project_id=project)) == 10_000
    assert time.perf_counter() - started < 5
    assert set(status(sandbox, project).values()) == {"LABELED"}
    assert sandbox.labels(project)[1]["createdAt"] == "2024-01-01T00:01:00.000Z"
    assert page(sandbox, project, 1)[0]["labels"][0]["author"] == {"email": "labeler.0@x.org"}
    assert len(sandbox.add_labels(frame.assign(projectId=project).head(1))) == 1


def test_null_cells_of_a_frame_of_labels_take_their_defaults(sandbox, project):
    (asset,) = append(sandbox, project, ["a"])
    frame = pd.DataFrame({"assetId": [asset] * 2, "jsonResponse": "{}", "modelName": ["m", None]})
    sandbox.add_labels(frame.assign(labelType=["PREDICTION", None], createdAt=["2020-01-01", None]))
    first, second = sandbox.labels(project)
    assert (first["labelType"], first["modelName"], first["createdAt"][:4]) == ("PREDICTION", "m", "2020")
    assert (second["labelType"], second["modelName"]) == ("DEFAULT", None)
    assert status(sandbox, project) == {"a": "LABELED"}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"assetId": ["a"]}),
        pd.DataFrame({"jsonResponse": ["{}"]}),
        pd.DataFrame({"externalId": ["unknown"], "jsonResponse": ["{}"], "projectId": ["p"]}),
    ],
)
def test_frames_of_labels_without_asset_or_answer_are_refused(sandbox, frame):
    with pytest.raises(ValueError, match=r"externalId|jsonResponse|external ids"):
        sandbox.add_labels(frame)


def test_assets_move_through_the_steps_of_a_project_that_has_some(sandbox):
    steps = [{"name": "Labeling"}, {"name": "Review"}]
    project = sandbox.create_project("Steps", "IMAGE", workflow_version="V2", steps=steps)
    (asset,) = append(sandbox, project, ["a"])
    document = "query($w: AssetWhere!) { data: assets(where: $w, first: 1, skip: 0) { currentStep { name status } } }"

    def step():
        return ask(sandbox, document, {"w": {"id": asset}})[0]["currentStep"]

    assert step() == {"name": "Labeling", "status": "TO_DO"}
    label(sandbox, [asset])
    assert step() == {"name": "Review", "status": "TO_DO"}
    ask(sandbox, verb("addAssetsToReview"), {"where": {"id": asset}})
    ask(sandbox, verb("sendAssetsBackToQueue"), {"where": {"id": asset}})
    assert step() == {"name": "Labeling", "status": "REDO"}
    label(sandbox, [asset], "REVIEW")
    assert step() == {"name": "Review", "status": "DONE"}
    ids = ask(sandbox, "{ data: projects(where: {}, first: 1, skip: 0) { steps { id name } workflowVersion } }")[0]
    assert [one["name"] for one in ids["steps"]] == ["Labeling", "Review"]
    assert len(page(sandbox, project, stepIdIn=[ids["steps"][1]["id"]], stepStatusIn=["DONE"])) == 1
    assert page(sandbox, project, stepIdAndStatusNotIn=[{"stepId": ids["steps"][1]["id"], "status": "DONE"}]) == []


def selection_of(kind, depth):
    fields = []
    for name, field in get_named_type(kind).fields.items():
        if is_leaf_type(get_named_type(field.type)):
            fields.append(name)
        elif depth:
            fields.append(f"{name} {{ {selection_of(field.type, depth - 1)} }}")
    return " ".join(fields) or "__typename"


def nulls_where_none_may_be(value, kind, path):
    if is_non_null_type(kind):
        return [path] if value is None else nulls_where_none_may_be(value, kind.of_type, path)
    if value is None or is_leaf_type(kind):
        return []
    if is_list_type(kind):
        return [bad for item in value for bad in nulls_where_none_may_be(item, kind.of_type, path)]
    fields = kind.fields
    return [bad for name in value for bad in nulls_where_none_may_be(value[name], fields[name].type, f"{path}.{name}")]


@pytest.mark.parametrize("name", ["assets", "labels", "projects", "users", "organizations", "notifications", "apiKeys"])
def test_every_field_is_answered_and_none_null_that_may_not_be(sandbox, project, name):
    (asset,) = append(sandbox, project, ["a"])
    label(sandbox, [asset])
    sandbox.add_issue(asset)
    ask(sandbox, UPDATE, {"whereArray": [{"id": asset}], "dataArray": [{"toBeLabeledBy": ["x@y.z"]}]})
    later = (
        "mutation($w: ProjectWhere!) { data: appendManyAssetsAsynchronously("
        'data: {contentArray: ["https://example.com/big.tif"], uploadType: GEO_SATELLITE}, where: $w) { id } }'
    )
    assert ask(sandbox, later, {"w": {"id": project}})["id"]
    field = schema_of("both").query_type.fields[name]
    rows = ask(sandbox, f"{{ data: {name}(where: {{}}, first: 10, skip: 0) {{ {selection_of(field.type, 2)} }} }}")
    assert rows
    assert nulls_where_none_may_be(rows, field.type, name) == []


def test_what_arrived_is_remembered(sandbox):
    post(sandbox, "query who { data: me { id } }")
    (request,) = sandbox.requests
    assert (request.method, request.operation, request.variables) == ("POST", "me", {})
    assert "query who" in request.document
    assert request.headers["authorization"].endswith(sandbox.api_key)
    sandbox.clear_requests()
    assert sandbox.requests == []


def test_hooks_are_called_around_each_request(sandbox, project):
    (asset,) = append(sandbox, project, ["a"])
    seen = []
    sandbox.before_request(lambda request: sandbox.delete_assets([asset]))
    sandbox.after_request(lambda request: seen.append(request.operation))
    assert page(sandbox, project) == []
    sandbox.clear_hooks()
    page(sandbox, project)
    assert seen == ["assets"]


def test_a_page_deep_in_a_large_project_is_quick(sandbox, project):
    sandbox.add_assets(project, [{"externalId": f"n{i}"} for i in range(60_000)])
    page(sandbox, project, 100, 50_000)
    started = time.perf_counter()
    rows = page(sandbox, project, 100, 50_000)
    assert time.perf_counter() - started < 0.5
    assert rows[0]["externalId"] == "n50000"


def test_data_and_key_stay_under_a_path_and_go_without_one(tmp_path):
    with Sandbox(tmp_path / "kept") as sandbox:
        key, project = sandbox.api_key, sandbox.create_project("Kept", "IMAGE")
        append(sandbox, project, ["a"])
    with Sandbox(tmp_path / "kept") as sandbox:
        assert sandbox.api_key == key
        assert status(sandbox, project) == {"a": "TODO"}
    with Sandbox() as sandbox:
        folder = sandbox._folder
        assert folder.exists()
    assert not folder.exists()


def test_a_sandbox_that_is_not_started_says_so():
    sandbox = Sandbox()
    assert "not started" in repr(sandbox)
    with pytest.raises(RuntimeError, match="start"):
        _ = sandbox.api_endpoint
    sandbox.stop()
    with sandbox, pytest.raises(RuntimeError, match="already"):
        sandbox.start()


def test_a_client_of_the_sandbox_is_closed_with_it():
    with Sandbox() as sandbox:
        assert sandbox.client is sandbox.client
        assert sandbox.client.execute("query me { data: me { email } }", {})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[oops"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[oops"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_pages_of_other_sites_are_refused(sandbox, method, headers):
    sandbox.clear_requests()
    answer = requests.request(
        method,
        sandbox.api_endpoint,
        data=json.dumps({"query": "{ me { id } }"}),
        headers={"Authorization": f"X-API-Key: {sandbox.api_key}", "User-Agent": "a page of another site", **headers},
        timeout=10,
    )
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    # A late request of another test may come to this port, which was that of its own server.
    assert "a page of another site" not in [request.headers["User-Agent"] for request in sandbox.requests]


@pytest.mark.parametrize("name", ["localhost:1234", "127.0.0.1", "[::1]:80"])
def test_names_of_this_machine_are_served(sandbox, name):
    headers = {"Host": name, "Origin": f"http://{name}", "Authorization": f"X-API-Key: {sandbox.api_key}"}
    answer = requests.post(sandbox.api_endpoint, json={"query": "{ me { id } }"}, headers=headers, timeout=10)
    assert answer.json()["data"]["me"]["id"] == sandbox.user_id()


def test_long_bodies_of_strangers_are_not_kept(sandbox):
    sandbox.clear_requests()
    body = {"query": "{ me { id } }", "variables": {"padding": "x" * 300_000}}
    answer = requests.post(sandbox.api_endpoint, json=body, headers={"Authorization": "X-API-Key: no"}, timeout=10)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "API key is not valid" in answer.text
    packed = gzip.compress(json.dumps(body).encode())
    headers = {"Authorization": "X-API-Key: no", "Content-Encoding": "gzip"}
    answer = requests.post(sandbox.api_endpoint, data=packed, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert sandbox.requests == []
    assert post(sandbox, document=body["query"], variables=body["variables"]).status_code == 200


def test_the_log_of_requests_is_bounded():
    log = RequestLog()
    for number in range(100):
        log.add(Request("POST", f"/{number}", Message()), 1 << 20)
    assert [request.path for request in log.entries()] == [f"/{number}" for number in range(36, 100)]
    for _ in range(20_100):
        log.add(Request("POST", "/", Message()), 0)
    assert len(log.entries()) == 20_000
    log.clear()
    log.add(Request("POST", "/long", Message()), 1 << 30)
    assert [request.path for request in log.entries()] == ["/long"]


def test_a_document_nested_without_end_is_refused(sandbox):
    answer = post(sandbox, "{ me " * 3_000)
    assert answer.status_code == 400


def test_a_file_of_an_earlier_version_gets_the_columns_that_came_later(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        project = sandbox.create_project("P", "TEXT")
        ids = sandbox.add_assets(project, [{"externalId": "a"}])
        sandbox.add_labels(pd.DataFrame({"assetId": ids, "jsonResponse": ["{}"]}))
    with contextlib.closing(sqlite3.connect(tmp_path / "sandbox.sqlite")) as file:
        file.execute("ALTER TABLE labels DROP COLUMN version")
    with Sandbox(tmp_path) as sandbox:
        assert [label["version"] for label in sandbox.labels(project)] == [0]
