"""Answers behind URLs are put in their place, or the read fails and says which label of which asset."""

import json
import threading
import time
from collections import Counter

import pandas as pd
import pyarrow as pa
import pytest
from scripted import Reply, ScriptedServer

from pandas_kili import Client, KiliDownloadError, read_kili
from pandas_kili.query.fields import select
from pandas_kili.reading import crawl
from pandas_kili.reading.long_answers import Source, complete_answers, wants_answers
from pandas_kili.reading.wire import read_pages
from pandas_kili.sandbox import Fault, Sandbox

ANSWERS = [json.dumps({"JOB": {"text": f"é\U0001f600 {number}"}}, ensure_ascii=False) for number in range(25)]


class Bucket(ScriptedServer):
    """Serves texts by their path, and 404 for others."""

    def __init__(self, texts):
        self.texts = texts
        super().__init__()

    def take(self, asked):
        super().take(asked)
        text = self.texts.get(asked.path)
        return Reply(text, headers={"Content-Type": "application/json"}) if text is not None else Reply(b"gone", 404)


@pytest.fixture
def bucket():
    bucket = Bucket({f"/{number}": answer.encode() for number, answer in enumerate(ANSWERS)})
    yield bucket
    bucket.close()


FIELDS = ["id", "labels.id", "labels.jsonResponse", "labels.jsonResponseUrl", "labels.author.email"]
LATEST = ["id", "latestLabel.id", "latestLabel.jsonResponse", "latestLabel.jsonResponseUrl"]


def pages_of(*pages, fields=FIELDS):
    bodies = [json.dumps({"data": {"data": page}}).encode() for page in pages]
    assets, lengths = read_pages(bodies, select(fields).wire)
    ends = [sum(lengths[: position + 1]) for position in range(len(lengths))]
    return [assets.slice(end - length, length) for end, length in zip(ends, lengths, strict=True)]


def completed(page, client):
    done = complete_answers(page, Source(client, "p1", select(FIELDS), threading.Event()))
    done.validate(full=True)
    assert done.type == page.type
    return done.to_pylist()


def label(bucket, number, inline=""):
    return {"id": f"l{number}", "jsonResponse": inline, "jsonResponseUrl": f"{bucket.origin}/{number}"}


def answers(assets):
    return [[one and one["jsonResponse"] for one in asset["labels"] or []] for asset in assets]


@pytest.fixture
def sandbox():
    with Sandbox(json_response_urls=True, max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def project(sandbox):
    """A project of 250 assets, those at every tenth place with one label, the first with two."""
    project = sandbox.create_project("Texts", "TEXT")
    sandbox.add_assets(project, [{"externalId": f"{number:03}", "content": "x"} for number in range(250)])
    places = [0, *range(0, 250, 10)]
    frame = pd.DataFrame({"externalId": [f"{place:03}" for place in places], "jsonResponse": [*ANSWERS, "{}"]})
    sandbox.add_labels(frame, project_id=project)
    return project


def test_answers_behind_urls_are_read_as_if_they_were_inline(sandbox, project):
    frame = read_kili(project, fields=["externalId", "labels.jsonResponse"], client=sandbox.client)
    assert list(frame.columns) == ["externalId", "labels"]
    assert frame["labels"].dtype == pd.ArrowDtype(pa.list_(pa.struct([("jsonResponse", pa.string())])))
    served = dict(zip(frame["externalId"], frame["labels"], strict=True))
    assert [one["jsonResponse"] for one in served["000"]] == ANSWERS[:2]
    assert [served[f"{place:03}"][0]["jsonResponse"] for place in range(10, 250, 10)] == [*ANSWERS[2:], "{}"]
    assert all(len(served[f"{place:03}"]) == 0 for place in range(250) if place % 10)


def test_the_latest_label_is_completed_too(sandbox, project):
    fields = ["externalId", "latestLabel.jsonResponse", "latestLabel.author.email"]
    frame = read_kili(project, fields=fields, client=sandbox.client).set_index("externalId")
    assert list(frame.columns) == fields[1:]
    assert frame.loc["000", "latestLabel.jsonResponse"] == ANSWERS[1]
    assert frame.loc["010", "latestLabel.jsonResponse"] == ANSWERS[2]
    assert pd.isna(frame.loc["001", "latestLabel.jsonResponse"])


def test_no_answer_is_fetched_where_none_is_asked_for(sandbox, project):
    read_kili(project, fields=["id", "labels.id", "labels.createdAt"], client=sandbox.client)
    assert not [request for request in sandbox.requests if request.method == "GET"]


def test_the_urls_themselves_can_be_read(sandbox, project):
    frame = read_kili(project, fields=["labels.jsonResponseUrl"], first=1, client=sandbox.client)
    assert frame["labels"][0][0]["jsonResponseUrl"].startswith("http://127.0.0.1")


def test_the_urls_beside_the_answers_stay_as_they_are(sandbox, project):
    fields = ["labels.jsonResponseUrl", "labels.jsonResponse"]
    frame = read_kili(project, fields=fields, first=1, client=sandbox.client)
    assert list(frame["labels"][0][0]) == ["jsonResponseUrl", "jsonResponse"]
    assert frame["labels"][0][0]["jsonResponse"] == ANSWERS[0]
    assert frame["labels"][0][0]["jsonResponseUrl"].startswith("http://127.0.0.1")


@pytest.mark.parametrize(("workers", "downloads"), [(1, 4), (3, 2)])
def test_workers_and_downloads_never_exceed_what_the_client_allows(sandbox, project, monkeypatch, workers, downloads):
    client = Client(sandbox.api_key, sandbox.api_endpoint, max_workers=workers, max_downloads=downloads)
    lock, under_way, most = threading.Lock(), Counter(), Counter()

    def counted(send):
        def counting(*args):
            method = next(each.method for each in args if hasattr(each, "method"))
            with lock:
                under_way[method] += 1
                most[method] = max(most[method], under_way[method])
            time.sleep(0.05)
            try:
                return send(*args)
            finally:
                with lock:
                    under_way[method] -= 1

        return counting

    for name in ("send", "fetch"):
        monkeypatch.setattr(client._transport, name, counted(getattr(client._transport, name)))
    monkeypatch.setattr(crawl, "_BLOCK_PAGES", range(1, 1))  # so that two blocks are fetched for side by side
    read_kili(project, fields=["labels.jsonResponse"], client=client)
    assert 1 <= most["POST"] <= workers
    assert 1 <= most["GET"] <= downloads


def test_a_server_without_urls_is_not_asked_for_them():
    with Sandbox(generation="legacy", max_calls_per_minute=None) as sandbox:
        project = sandbox.create_project("Texts", "TEXT")
        sandbox.add_assets(project, [{"externalId": "one", "content": "x"}])
        sandbox.add_labels(pd.DataFrame({"externalId": ["one"], "jsonResponse": ANSWERS[:1]}), project_id=project)
        frame = read_kili(project, fields=["labels.jsonResponse"], client=sandbox.client)
        assert frame["labels"][0][0]["jsonResponse"] == ANSWERS[0]


def test_a_passing_failure_of_one_answer_is_no_failure(sandbox, project):
    sandbox.inject(Fault("status", "GET", nth=5, status=503), Fault("reset_before", "GET", nth=9), Fault("cut", "GET"))
    frame = read_kili(project, fields=["labels.jsonResponse"], client=sandbox.client)
    assert [one["jsonResponse"] for labels in frame["labels"] for one in labels] == [*ANSWERS, "{}"]


@pytest.mark.parametrize("fault", [Fault("html", "GET", nth=7), Fault("status", "GET", nth=7, status=404)])
def test_an_answer_that_cannot_be_had_is_an_error_that_names_label_and_asset(sandbox, project, fault):
    sandbox.inject(fault)
    with pytest.raises(KiliDownloadError) as caught:
        read_kili(project, fields=["labels.jsonResponse"], client=sandbox.client)
    (failure,) = caught.value.failures
    stored = {one["id"]: one["assetId"] for one in sandbox.labels(project)}
    assert stored[failure["label_id"]] == failure["asset_id"]
    assert failure["label_id"] in str(caught.value)
    assert failure["asset_id"] in str(caught.value)
    assert failure["reason"] in str(caught.value)
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 503}, {"kind": "status", "status": 429}, {"kind": "reset_before"}, {"kind": "cut"}],
)
def test_one_fault_in_ten_changes_nothing(sandbox, project, fault):
    client = Client(sandbox.api_key, sandbox.api_endpoint)
    client._retry.jitter = lambda _, most: min(most, 0.01)
    sandbox.inject(Fault(operation="GET", times=None, probability=0.1, **fault))
    frame = read_kili(project, fields=["labels.jsonResponse"], client=client)
    assert [one["jsonResponse"] for labels in frame["labels"] for one in labels] == [*ANSWERS, "{}"]


@pytest.mark.parametrize("status", [400, 403])
def test_a_signature_that_has_expired_is_asked_for_anew(sandbox, project, status):
    sandbox.inject(Fault("status", "GET", nth=3, times=5, status=status))
    frame = read_kili(project, fields=["labels.jsonResponse"], client=sandbox.client)
    assert [one["jsonResponse"] for labels in frame["labels"] for one in labels] == [*ANSWERS, "{}"]


def test_an_answer_that_stays_forbidden_is_an_error(sandbox, project):
    sandbox.inject(Fault("status", "GET", nth=3, times=None, status=403))
    with pytest.raises(KiliDownloadError, match=r"\d+ answers? could not be fetched"):
        read_kili(project, fields=["labels.jsonResponse"], client=sandbox.client)


def test_an_iterator_of_chunks_fails_too(sandbox, project):
    sandbox.inject(Fault("status", "GET", nth=1, times=None, status=404))
    with pytest.raises(KiliDownloadError):
        list(read_kili(project, fields=["labels.jsonResponse"], chunksize=10, client=sandbox.client))


def test_inline_answers_urls_and_nulls_stand_side_by_side(client, bucket):
    page = [
        {"id": "a1", "labels": [label(bucket, 1), {"id": "inline", "jsonResponse": "{}", "jsonResponseUrl": None}]},
        {"id": "a2", "labels": None},
        {"id": "a3", "labels": []},
        {"id": "a4", "labels": [None, label(bucket, 2), {"id": "empty", "jsonResponse": "", "jsonResponseUrl": ""}]},
        {"id": "a5", "labels": [{"id": "null", "jsonResponse": None}, label(bucket, 3, inline="{}")]},
    ]
    expected = [[ANSWERS[1], "{}"], [], [], [None, ANSWERS[2], ""], [None, ANSWERS[3]]]
    for served in pages_of(page, page, page[::-1]):
        found = completed(served, client)
        assert answers(found) == (expected if found[0]["id"] == "a1" else expected[::-1])
        by_id = {asset["id"]: asset["labels"] for asset in found}
        assert by_id["a2"] is None
        assert by_id["a3"] == []
        assert by_id["a4"][0] is None


def test_a_to_one_label_is_completed_or_stays_null(client, bucket):
    page = [{"id": "a1", "latestLabel": label(bucket, 1)}, {"id": "a2", "latestLabel": None}, {"id": "a3"}]
    for served in pages_of(page, page, fields=LATEST):
        found = completed(served, client)
        assert found[0]["latestLabel"]["jsonResponse"] == ANSWERS[1]
        assert [asset["latestLabel"] for asset in found[1:]] == [None, None]


def test_labels_within_labels_are_completed(client, bucket):
    fields = ["id", *(f"labels.labelOf.latestLabel.{leaf}" for leaf in ("id", "jsonResponse", "jsonResponseUrl"))]
    page = [{"id": "a1", "labels": [{"labelOf": None}, {"labelOf": {"latestLabel": label(bucket, 4)}}]}]
    (served,) = pages_of(page, fields=fields)
    assert completed(served, client)[0]["labels"][1]["labelOf"]["latestLabel"]["jsonResponse"] == ANSWERS[4]


def test_the_answers_of_many_assets_are_under_way_together(client, bucket):
    """No answer is given before four are asked for, each of another asset."""
    together = threading.Barrier(4)
    take = bucket.take

    def waiting(asked):
        together.wait(10)
        return take(asked)

    bucket.take = waiting
    page = [{"id": f"a{number}", "labels": [label(bucket, number)]} for number in range(8)]
    (served,) = pages_of(page)
    assert answers(completed(served, client)) == [[answer] for answer in ANSWERS[:8]]


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"", b"  ", b"null", b"\xff\xfe", b'"text"'])
def test_what_is_no_answer_is_never_taken_for_one(client, bucket, body):
    bucket.texts["/1"] = body
    (served,) = pages_of([{"id": "a1", "labels": [label(bucket, 0), label(bucket, 1), label(bucket, 2)]}])
    with pytest.raises(KiliDownloadError, match="label 'l1' of asset 'a1'") as caught:
        completed(served, client)
    assert [failure["label_id"] for failure in caught.value.failures] == ["l1"]


def test_all_that_failed_is_told_and_a_few_are_shown(client, bucket):
    page = [{"id": f"a{number}", "labels": [label(bucket, 100 + number)]} for number in range(12)]
    (served,) = pages_of(page)
    with pytest.raises(KiliDownloadError, match=r"12 answers could not be fetched.*\(and 7 more\)") as caught:
        completed(served, client)
    failures = sorted(caught.value.failures, key=lambda failure: int(failure["asset_id"][1:]))
    assert [(failure["asset_id"], failure["label_id"]) for failure in failures] == [
        (f"a{number}", f"l{100 + number}") for number in range(12)
    ]
    assert all("404" in failure["reason"] for failure in failures)


def test_a_bucket_that_cannot_be_reached_is_an_error(client, bucket):
    (served,) = pages_of([{"id": "a1", "labels": [label(bucket, 1)]}])
    bucket.close()
    with pytest.raises(KiliDownloadError, match="'l1'"):
        completed(served, client)


def test_an_answer_is_kept_as_it_was_served(client, bucket):
    bucket.texts["/1"] = b'\n { "a" : 1.0,\r\n "a": "\\u00e9\\ud800" }\n'
    bucket.texts["/2"] = b'\xef\xbb\xbf{"JOB": 1}'
    (served,) = pages_of([{"id": "a1", "labels": [label(bucket, 1), label(bucket, 2)]}])
    assert answers(completed(served, client)) == [['\n { "a" : 1.0,\r\n "a": "\\u00e9\\ud800" }\n', '{"JOB": 1}']]


def test_the_key_goes_to_no_other_origin(bucket):
    class Kili(ScriptedServer):
        def take(self, asked):
            super().take(asked)
            document = asked.json["query"]
            if "__schema" in document:
                names = [{"name": name} for name in ("id", "jsonResponse", "jsonResponseUrl")]
                return Reply.of({"data": {"__schema": {"types": [{"name": "Label", "fields": names}]}}})
            asset = {"id": "a1", "createdAt": "2024-01-01T00:00:00.000Z", "labels": [label(bucket, 1)]}
            return Reply.of({"data": {"data": 1 if "countAssets" in document else [asset]}})

    kili = Kili()
    with Client("key-of-kili", kili.endpoint) as client:
        frame = read_kili("p1", fields=["labels.jsonResponse"], client=client)
    kili.close()
    assert frame["labels"][0][0]["jsonResponse"] == ANSWERS[1]
    assert all("key-of-kili" in asked.headers["Authorization"] for asked in kili.asked)
    (asked,) = bucket.asked
    assert not [header for header in asked.headers.items() if "key-of-kili" in "".join(header)]
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (FIELDS, True),
        (LATEST, True),
        (["id", "status"], False),
        (["labels.jsonResponse"], False),
        (["labels.jsonResponseUrl"], False),
    ],
)
def test_only_selections_with_a_url_are_looked_through(fields, wanted):
    assert wants_answers(select(fields).wire) is wanted
