"""Whole pipelines of the official SDK run against the sandbox, from the creation of a project to its end."""

import io
import json

import pytest
from official_sdk import GENERATION
from PIL import Image

from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.conformance

CLASSES = {
    "categories": {"CAT": {"children": [], "name": "Cat"}, "DOG": {"children": [], "name": "Dog"}},
    "input": "radio",
}
KIND = {"mlTask": "CLASSIFICATION", "required": 1, "isChild": False, "content": CLASSES, "instruction": "Which?"}
PLACE = {**KIND, "mlTask": "OBJECT_DETECTION", "tools": ["rectangle"]}
NAMES = {**KIND, "mlTask": "NAMED_ENTITIES_RECOGNITION"}
CORNERS = [{"x": 0.1, "y": 0.1}, {"x": 0.1, "y": 0.5}, {"x": 0.5, "y": 0.5}, {"x": 0.5, "y": 0.1}]
CAT = [{"name": "CAT", "confidence": 100}]
SHAPE = {
    "boundingPoly": [{"normalizedVertices": CORNERS}],
    "categories": CAT,
    "type": "rectangle",
    "mid": "m",
    "children": {},
}
PAGE = {"boundingPoly": SHAPE["boundingPoly"], "pageNumberArray": [1], "polys": SHAPE["boundingPoly"]}
SPAN = {"beginOffset": 4, "endOffset": 7, "content": "cat", "categories": CAT, "mid": "m", "children": {}}
CHOSEN = {"KIND": {"categories": CAT}}
# By input type: jobs, an answer, and the formats that the SDK exports.
RECIPES = {
    "IMAGE": (
        {"KIND": KIND, "PLACE": PLACE},
        CHOSEN | {"PLACE": {"annotations": [SHAPE]}},
        ["raw", "kili", "yolo_v5", "yolo_v8", "pascal_voc", "geojson"],
    ),
    "TEXT": ({"KIND": KIND, "NAMES": NAMES}, CHOSEN | {"NAMES": {"annotations": [SPAN]}}, ["raw", "kili"]),
    "PDF": (
        {"KIND": KIND, "PLACE": PLACE},
        CHOSEN | {"PLACE": {"annotations": [{**SHAPE, "annotations": [PAGE]}]}},
        ["raw", "kili"],
    ),
    "VIDEO": (
        {"KIND": KIND},
        {str(i): {"KIND": {"categories": CAT, "isKeyFrame": i == 0}} for i in range(2)},
        ["raw", "kili"],
    ),
}
SCRIPT = """
    import os, pathlib, tempfile, zipfile
    os.chdir(tempfile.mkdtemp())
    files, kind, answer = given["files"], given["input_type"], given["answer"]
    project_id = kili.create_project(title="Cats", input_type=kind, json_interface=given["interface"])["id"]
    kili.append_to_roles(project_id=project_id, user_email="eve@example.com", role="LABELER")
    names, metadata = ["a", "b", "c"], [{"site": "Lyon"}] * 3
    content = {"json_content_array": [files] * 3} if kind == "VIDEO" else {"content_array": files}
    kili.append_many_to_dataset(project_id, external_id_array=names, json_metadata_array=metadata, **content)
    ids = [asset["id"] for asset in kili.assets(project_id, fields=["id"])]
    kili.create_predictions(
        project_id=project_id, external_id_array=["a"], json_response_array=[answer], model_name_array=["m"]
    )
    kili.append_labels(project_id=project_id, asset_id_array=ids, json_response_array=[answer] * 3)
    labels = kili.labels(project_id, fields=["id", "jsonResponse", "labelType"])
    kili.add_to_review(asset_ids=ids[:2])
    kili.send_back_to_queue(asset_ids=ids[:1])
    kili.create_issues(project_id=project_id, label_id_array=[labels[0]["id"]], text_array=["A cat?"])
    statuses = [asset["status"] for asset in kili.assets(project_id, fields=["status"])]
    exported = {}
    for format in given["formats"]:
        kili.export_labels(project_id, filename=format + ".zip", fmt=format, layout="merged", with_assets=False)
        exported[format] = len(zipfile.ZipFile(format + ".zip").namelist())
    copied = kili.copy_project(project_id, title="Copy", copy_members=True, copy_assets=True, copy_labels=True)
    counts = [kili.count_assets(copied), kili.count_labels(copied)]
    kili.delete_many_from_dataset(asset_ids=ids[:1])
    left = kili.count_assets(project_id)
    for one in (project_id, copied):
        kili.delete_project(one)
    result = {
        "answers": [label["jsonResponse"] == labels[0]["jsonResponse"] for label in labels],
        "types": sorted(label["labelType"] for label in labels),
        "statuses": statuses,
        "exported": exported,
        "copied": counts,
        "left": [left, kili.count_projects()],
    }
"""


@pytest.fixture
def sandbox():
    with Sandbox(generation=GENERATION, max_calls_per_minute=None) as sandbox:
        yield sandbox


def files_of(input_type, folder):
    form = {"PDF": "PDF", "TEXT": None}.get(input_type, "PNG")
    paths = []
    for number in range(3):
        buffer = io.BytesIO()
        if form:
            Image.new("RGB", (100, 80), (80 * number, 0, 0)).save(buffer, form)
        path = folder / f"{number}.{(form or 'txt').lower()}"
        path.write_bytes(buffer.getvalue() or b"The cat sat.")
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("input_type", RECIPES)
def test_a_pipeline_from_a_project_to_its_export(run, tmp_path, input_type):
    jobs, answer, formats = RECIPES[input_type]
    given = {"input_type": input_type, "interface": {"jobs": jobs}, "answer": answer, "formats": formats}
    shown = run(SCRIPT, files=files_of(input_type, tmp_path), **json.loads(json.dumps(given)))
    assert all(shown["answers"])
    assert shown["types"] == ["DEFAULT"] * 3 + ["PREDICTION"]
    assert shown["statuses"] == ["ONGOING", "TO_REVIEW", "LABELED"]
    assert set(shown["exported"]) == set(formats)
    assert all(count >= 1 for count in shown["exported"].values())
    assert shown["copied"][0] == 3
    assert shown["copied"][1] >= 3
    assert shown["left"] == [2, 0]
