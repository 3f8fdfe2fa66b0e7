"""df.kili.append_labels: each row's asset gets its label, once, whatever happens on the way."""

import json
import threading

import pandas as pd
import pytest
from writing import client_of, hurry

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox
from pandas_kili.writing import delivery


@pytest.fixture(params=["current", "legacy"])
def box(request, monkeypatch):
    hurry(monkeypatch)
    with Sandbox(max_calls_per_minute=None, generation=request.param) as box:
        yield box


@pytest.fixture
def project(box):
    project = box.create_project("a project", "TEXT")
    box.add_assets(project, [{"externalId": f"e{number}"} for number in range(250)])
    return project


def answer(name):
    return {"JOB_0": {"categories": [{"name": name}]}}


def frame_of(project, client, rows=250):
    df = pk.read_kili(project, client=client, fields=["id", "externalId"], first=rows)
    df["answer"] = [answer(name) for name in df["externalId"]]
    return df


def stored(box, project):
    names = {asset["id"]: asset["externalId"] for asset in box.assets(project)}
    return sorted(
        (names[label["assetId"]], json.loads(label["jsonResponse"])["JOB_0"]["categories"][0]["name"])
        for label in box.labels(project)
    )


def test_each_asset_gets_its_own_label_in_whatever_order(box, project):
    client = client_of(box)
    df = frame_of(project, client).sample(frac=1, random_state=1)
    out = df.kili.append_labels("answer", client=client)
    assert stored(box, project) == sorted((f"e{number}", f"e{number}") for number in range(250))
    assert set(out.kili.report["outcome"]) == {"applied"}
    assert {label["labelType"] for label in box.labels(project)} == {"DEFAULT"}
    assert set(pk.read_kili(project, client=client, fields=["status"])["status"]) == {"LABELED"}


def test_predictions_carry_their_model_and_seconds(box, project):
    client = client_of(box)
    df = frame_of(project, client, 3).assign(took=[1, 2.5, None])
    df.kili.append_labels("answer", "PREDICTION", "model-1", seconds_to_label="took", client=client)
    labels = box.labels(project)
    assert {label["labelType"] for label in labels} == {"PREDICTION"}
    assert {label["modelName"] for label in labels} == {"model-1"}
    assert [label["secondsToLabel"] for label in labels][:2] == [1, 2.5]


def test_a_second_run_finds_the_labels_and_changes_nothing(box, project):
    client = client_of(box)
    df = frame_of(project, client)
    df.kili.append_labels("answer", client=client)
    before = stored(box, project)
    again = df.assign(answer=df["answer"].map(json.dumps)).kili.append_labels("answer", client=client)
    assert set(again.kili.report["outcome"]) == {"unchanged"}
    assert stored(box, project) == before
    df.kili.append_labels("answer", "PREDICTION", "another kind", client=client)
    assert len(stored(box, project)) == 500


def test_an_asset_may_get_several_labels_but_not_the_same_twice(box, project):
    client = client_of(box)
    df = frame_of(project, client, 2)
    twice = pd.concat([df, df.assign(answer=[answer("x"), answer("y")])])
    out = twice.kili.append_labels("answer", client=client)
    assert out.kili.report["outcome"].tolist() == ["applied"] * 4
    assert stored(box, project) == [("e0", "e0"), ("e0", "x"), ("e1", "e1"), ("e1", "y")]
    same = pd.concat([df, df]).assign(answer=[answer("z")] * 4)
    with pytest.raises(pk.KiliValidationError, match="earlier row gives this asset the same label"):
        same.kili.append_labels("answer", client=client)


@pytest.mark.once
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset_before"},
        {"kind": "reset_after"},
        {"kind": "status", "status": 502, "after_work": True},
        {"kind": "status", "status": 429, "retry_after": 0},
        {"kind": "cut"},
        {"kind": "graphql_error", "code": "INTERNAL_SERVER_ERROR"},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}",
)
def test_a_failure_on_any_batch_leaves_each_label_once(box, project, fault, nth):
    client = client_of(box)
    df = frame_of(project, client)
    box.inject(Fault(operation="appendManyLabels", nth=nth, **fault))
    out = df.kili.append_labels("answer", client=client)
    assert set(out.kili.report["outcome"]) == {"applied"}
    assert stored(box, project) == sorted((f"e{number}", f"e{number}") for number in range(250))


def test_answers_and_types_are_checked_before_anything_is_sent(box, project):
    client = client_of(box)
    df = frame_of(project, client, 4)
    df["answer"] = pd.Series([answer("a"), None, "[1]", {"x": float("nan")}], dtype=object)
    with pytest.raises(pk.KiliValidationError, match="expected an answer") as caught:
        df.kili.append_labels("answer", client=client)
    assert caught.value.failure_cases["row"].tolist() == [1, 2, 3]
    with pytest.raises(pk.KiliValidationError, match="label_type is one of"):
        df.kili.append_labels("answer", "GUESS", client=client)
    with pytest.raises(pk.KiliValidationError, match="needs model_name"):
        df.kili.append_labels("answer", "PREDICTION", client=client)
    with pytest.raises(pk.KiliValidationError, match="no column 'anwser'; did you mean 'answer'"):
        df.kili.append_labels("anwser", client=client)
    assert stored(box, project) == []


def test_answers_behind_urls_are_known_again(monkeypatch):
    hurry(monkeypatch)
    with Sandbox(max_calls_per_minute=None, json_response_urls=True) as box:
        project = box.create_project("a project", "TEXT")
        box.add_assets(project, [{"externalId": "e0"}])
        client = client_of(box)
        df = frame_of(project, client)
        df.kili.append_labels("answer", client=client)
        again = df.kili.append_labels("answer", client=client)
        assert again.kili.report["outcome"].tolist() == ["unchanged"]
        assert len(box.labels(project)) == 1


def test_a_label_is_written_once_although_the_server_works_longer_than_the_client_waits(box, project, monkeypatch):
    """The client gives up, and the work is done while it looks."""
    monkeypatch.setattr(delivery, "_LIFE", (0.0, 0.05, 0.1, 0.2, 0.4, 0.8))
    client = client_of(box, timeout=(5, 0.1))
    df = frame_of(project, client_of(box), 3)
    held = threading.Event()
    box.before_request(lambda request: held.wait(0.5) if request.operation == "appendManyLabels" else None)
    out = df.kili.append_labels("answer", client=client)
    assert set(out.kili.report["outcome"]) == {"applied"}
    assert stored(box, project) == [(f"e{number}", f"e{number}") for number in range(3)]


def test_a_label_whose_request_may_live_still_is_not_sent_again(box, project):
    client = client_of(box, timeout=(5, 0.1))
    df = frame_of(project, client_of(box), 3)
    released, arrived, done = threading.Event(), [], threading.Event()

    def hold(request):
        if request.operation == "appendManyLabels":
            arrived.append(request)
            released.wait(20)

    box.before_request(hold)
    box.after_request(lambda request: done.set() if request.operation == "appendManyLabels" else None)
    out = df.kili.append_labels("answer", client=client, errors="report")
    released.set()
    assert done.wait(10)
    assert len(arrived) == 1
    assert set(out.kili.report["outcome"]) == {"failed"}
    assert out.kili.report["message"].str.startswith("outcome unknown").all()
    box.clear_hooks()
    rest = out[out.kili.report["outcome"] != "applied"]
    again = rest.kili.append_labels("answer", client=client_of(box))
    assert set(again.kili.report["outcome"]) == {"unchanged"}
    assert stored(box, project) == [(f"e{number}", f"e{number}") for number in range(3)]


def complete(box, *labels):
    """Complete stored answers as some servers do."""
    store = box._store
    for label in labels:
        answer = json.loads(label["jsonResponse"])
        for job in answer.values():
            for category in job.get("categories", ()):
                category.setdefault("confidence", 100)
        store.change("UPDATE labels SET jsonResponse = ? WHERE id = ?", (json.dumps(answer), label["id"]))


@pytest.mark.parametrize("fault", [None, "reset_after"])
def test_an_answer_that_the_server_completes_is_known_again(box, project, fault):
    client = client_of(box)
    df = frame_of(project, client, 3)

    def after(request):
        if request.operation == "appendManyLabels":
            complete(box, *box.labels(project))

    box.after_request(after)
    if fault:
        box.inject(Fault(fault, operation="appendManyLabels"))
    assert set(df.kili.append_labels("answer", client=client).kili.report["outcome"]) == {"applied"}
    assert set(df.kili.append_labels("answer", client=client).kili.report["outcome"]) == {"unchanged"}
    assert len(box.labels(project)) == 3
    assert all('"confidence": 100' in label["jsonResponse"] for label in box.labels(project))


def test_an_answer_that_says_less_than_one_that_is_there_is_another_label(box, project):
    client = client_of(box)
    df = frame_of(project, client, 1)
    full = {"JOB_0": {"categories": [{"name": "A"}]}, "JOB_1": {"categories": [{"name": "B"}]}}
    df.assign(answer=[full]).kili.append_labels("answer", client=client)
    less = df.assign(answer=[{"JOB_0": full["JOB_0"]}]).kili.append_labels("answer", client=client)
    assert less.kili.report["outcome"].tolist() == ["applied"]
    assert len(box.labels(project)) == 2


KINDS = {"CAT": {"name": "Cat"}, "DOG": {"name": "Dog"}}
QUESTIONS = {
    "jobs": {
        "KIND": {"mlTask": "CLASSIFICATION", "required": 1, "content": {"input": "radio", "categories": KINDS}},
        "NER": {"mlTask": "NAMED_ENTITIES_RECOGNITION", "content": {"categories": {"ORG": {"name": "Org"}}}},
    }
}


@pytest.fixture
def asking(box):
    project = box.create_project("a project with questions", "TEXT", QUESTIONS)
    box.add_assets(project, [{"externalId": f"e{number}", "content": "Kili 😀"} for number in range(3)])
    return project


def refused(df, client, *answers, **options):
    with pytest.raises(pk.KiliValidationError, match="Nothing was sent") as caught:
        df.assign(answer=list(answers)).kili.append_labels("answer", client=client, **options)
    return [(case.row, case.column, case.check) for case in caught.value.failure_cases.itertuples()]


class TestTheProjectsQuestions:
    def kind(self, name, **more):
        return {"KIND": {"categories": [{"name": name, **more}]}}

    def test_all_that_they_do_not_allow_is_refused_at_once_before_anything_is_sent(self, box, asking):
        client = client_of(box)
        df = pk.read_kili(asking, client=client, fields=["id"])
        found = refused(df, client, self.kind("CATT"), {"KINDD": {"text": "x"}}, self.kind("DOG", confidence=900))
        assert [(row, column) for row, column, _ in found] == [
            (0, "answer"),
            (1, "answer"),
            (1, "answer"),
            (2, "answer"),
        ]
        texts = [check for _, _, check in found]
        assert "did you mean 'CAT'" in texts[0]
        assert "(KIND.categories[0].name)" in texts[0]
        assert "did you mean 'KIND'" in texts[1]
        assert "requires one" in texts[2]
        assert "from 0 to 100" in texts[3]
        assert box.labels(asking) == []

    def test_models_may_leave_required_jobs_open(self, box, asking):
        client = client_of(box)
        df = pk.read_kili(asking, client=client, fields=["id"], first=1)
        span = {"NER": {"annotations": [{"beginOffset": 0, "endOffset": 4, "categories": [{"name": "ORG"}]}]}}
        assert len(refused(df, client, span)) == 1
        df.assign(answer=[span]).kili.append_labels("answer", "PREDICTION", "m", client=client)
        assert len(box.labels(asking)) == 1

    def test_offsets_lie_within_the_text_where_the_frame_holds_it(self, box, asking):
        client = client_of(box)
        df = pk.read_kili(asking, client=client, fields=["id", "content"], first=1).assign(content="Kili 😀")
        answers = [
            {"NER": {"annotations": [{"beginOffset": 0, "endOffset": end, "categories": [{"name": "ORG"}]}]}}
            for end in (8, 7)
        ]
        found = refused(df, client, answers[0], label_type="PREDICTION", model_name="m")
        assert "within the text, of 7 UTF-16 units" in found[0][2]
        df.assign(answer=[answers[1]]).kili.append_labels("answer", "PREDICTION", "m", client=client)

    def test_a_downloaded_text_is_not_taken_for_the_path_of_its_file(self, box, asking, tmp_path):
        client = client_of(box)
        file = tmp_path / "e0.txt"
        file.write_text("a" * 5000, encoding="utf-8")
        df = pk.read_kili(asking, client=client, fields=["id"], first=2).assign(content=[str(file), "a" * 5000])
        far = {"NER": {"annotations": [{"beginOffset": 0, "endOffset": 999, "categories": [{"name": "ORG"}]}]}}
        done = df.assign(answer=[far] * 2).kili.append_labels("answer", "PREDICTION", "m", client=client)
        assert done.kili.report["outcome"].tolist() == ["applied", "applied"]

    def test_names_are_left_alone_by_shape_and_shapes_too_by_false(self, box, asking):
        client = client_of(box)
        df = pk.read_kili(asking, client=client, fields=["id"], first=1)
        assert len(refused(df, client, self.kind("CATT", confidence=900), check="shape")) == 1
        df.assign(answer=[self.kind("CATT")]).kili.append_labels("answer", client=client, check="shape")
        df.assign(answer=[self.kind("CATT", confidence=900)]).kili.append_labels("answer", client=client, check=False)
        assert len(box.labels(asking)) == 2
        for wrong in ("all", True, None, 0, []):
            with pytest.raises(pk.KiliValidationError, match="check is"):
                df.assign(answer=[self.kind("CAT")]).kili.append_labels("answer", client=client, check=wrong)


def test_a_request_that_lands_after_all_is_told(box, project):
    """The first request was cut off, and its work is done after that of the second one."""
    client = client_of(box)
    df = frame_of(project, client, 2)
    box.inject(Fault("reset_before", operation="appendManyLabels"))
    arrived = []

    def land(request):
        if request.operation == "appendManyLabels":
            arrived.append(request)
            labels = box.labels(project)[:1]
            box.add_labels(pd.DataFrame({name: [one[name] for one in labels] for name in ("assetId", "jsonResponse")}))

    box.after_request(land)
    out = df.kili.append_labels("answer", client=client)
    assert out.kili.report["outcome"].tolist() == ["applied", "applied"]
    assert out.kili.report["message"].tolist() == [
        "a request that was given up came through later, so the label is there 2 times",
        "",
    ]
    assert len(arrived) == 1
    assert len(box.labels(project)) == 3
