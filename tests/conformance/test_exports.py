"""The official SDK's exports of a project say what ours say, within a pixel."""

import json
import zipfile
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.conformance

SIZE = (200, 100)
EDGES = ("xmin", "ymin", "xmax", "ymax")
FIELDS = ["id", "externalId", "content", "resolution.width", "resolution.height", "labels.labelType"]
SHAPED = pytest.mark.filterwarnings("ignore:Not in the .* export. no shape")  # the class that is no shape
JOBS = {"THINGS": ["CAT", "DOG"], "OTHERS": ["TREE"]}
EXPORT = """
for name, format in given["exports"].items():
    kili.export_labels(
        project_id=given["project"], filename=name, fmt=format, layout="merged", with_assets=False, disable_tqdm=True
    )
result = None
"""


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def shape(category, corners, tool="rectangle"):
    ring = {"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}
    return {"mid": category, "type": tool, "categories": [{"name": category}], "boundingPoly": [ring]}


BOX = shape("CAT", [(0.2, 0.3), (0.2, 0.1), (0.4, 0.1), (0.4, 0.3)])
NESTED = {**BOX, "mid": "n", "children": {"KIND": {"categories": [{"name": "BLACK"}]}}}
TURNED = shape("DOG", [(0.5, 0.2), (0.8, 0.5), (0.5, 0.8), (0.2, 0.5)])
OUTLINE = shape("TREE", [(0.6, 0.6), (0.9, 0.7), (0.7, 0.95)], tool="polygon")
ANSWERS = {
    "plain.png": {"THINGS": {"annotations": [BOX, TURNED]}},
    "several.png": {"THINGS": {"annotations": [BOX]}, "OTHERS": {"annotations": [OUTLINE]}},
    "nested.png": {"THINGS": {"annotations": [NESTED, TURNED]}, "KIND": {"categories": [{"name": "BLACK"}]}},
    "empty.png": {"THINGS": {"annotations": []}},
    **{
        f"turned-{by}.png": {"THINGS": {"annotations": [BOX, TURNED]}, "ROTATION_JOB": {"rotation": by}}
        for by in (90, 180, 270)
    },
}


@pytest.fixture
def exported(sandbox, run, tmp_path):
    """Return the project as a frame, its interface, and the texts of the SDK's exports by format and name."""
    interface = {
        "jobs": {
            job: {
                "mlTask": "OBJECT_DETECTION",
                "tools": ["rectangle"] if job == "THINGS" else ["polygon", "semantic"],
                "required": 0,
                "isChild": False,
                "content": {"input": "radio", "categories": {name: {"name": name, "children": []} for name in names}},
            }
            for job, names in JOBS.items()
        }
    }
    kinds = {"input": "radio", "categories": {"BLACK": {"name": "Black", "children": []}}}
    interface["jobs"]["KIND"] = {"mlTask": "CLASSIFICATION", "required": 0, "isChild": True, "content": kinds}
    interface["jobs"]["THINGS"]["content"]["categories"]["CAT"]["children"] = ["KIND"]
    project = sandbox.create_project("Things", "IMAGE", interface)
    for name in ANSWERS:
        Image.new("RGB", SIZE).save(tmp_path / name)
    files = pd.DataFrame({"externalId": list(ANSWERS), "content": [str(tmp_path / name) for name in ANSWERS]})
    files.kili.append_many_to_dataset(project, client=sandbox.client)
    answers = [{"externalId": name, "author": "ada@example.com", "jsonResponse": a} for name, a in ANSWERS.items()]
    sandbox.add_labels(pd.DataFrame(answers), project_id=project)
    exports = {str(tmp_path / f"{name}.zip"): name for name in ("coco", "yolo_v5", "yolo_v8", "pascal_voc")}
    run(EXPORT, project=project, exports=exports)
    texts = {}
    for path, name in exports.items():
        with zipfile.ZipFile(path) as archive:
            texts[name] = {
                member.rpartition("/")[2].rpartition(".")[0].removesuffix(".png"): archive.read(member).decode()
                for member in archive.namelist()
                if member.endswith((".txt", ".xml")) and "/labels/" in f"/{member}"
            }
            if name == "coco":
                texts[name]["labels"] = archive.read("labels.json").decode()
    frame = pk.read_kili(project, fields=[*FIELDS, "labels.jsonResponse"], client=sandbox.client)
    return frame, interface, texts


@SHAPED
def test_lines_of_yolo_are_equal(exported, tmp_path):
    frame, interface, texts = exported
    frame.kili.to_yolo(tmp_path / "detect", json_interface=interface)
    frame.kili.to_yolo(tmp_path / "segment", json_interface=interface, task="segment")
    for version in ("yolo_v5", "yolo_v8"):
        assert texts[version].keys() == {name.removesuffix(".png") for name in ANSWERS}
        for stem, text in texts[version].items():
            theirs = [list(map(float, line.split())) for line in text.splitlines()]
            ours = {
                task: [
                    list(map(float, line.split()))
                    for line in (tmp_path / task / "labels" / f"{stem}.txt").read_text().splitlines()
                ]
                for task in ("detect", "segment")
            }
            assert len(ours["detect"]) == len(ours["segment"]) == len(theirs)
            for line in theirs:  # boxes of rectangles and outlines of polygons, the jobs in any order
                same = [one for one in ours["detect" if len(line) == 5 else "segment"] if len(one) == len(line)]
                assert any(np.allclose(one, line, atol=1e-6) for one in same)


@SHAPED
def test_boxes_of_voc_are_equal_to_a_pixel(exported, tmp_path):
    frame, _, texts = exported
    frame.kili.to_voc(tmp_path / "voc", job="THINGS")  # the SDK leaves jobs with polygons out
    assert texts["pascal_voc"].keys() == {name.removesuffix(".png") for name in ANSWERS}
    for stem, text in texts["pascal_voc"].items():
        both = ET.parse(tmp_path / "voc" / "Annotations" / f"{stem}.xml").getroot(), ET.fromstring(text)
        ours, theirs = (
            [
                (
                    found.findtext("name"),
                    *(int(found.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")),
                )
                for found in tree.iterfind("object")
            ]
            for tree in both
        )
        assert [one[0] for one in ours] == [one[0] for one in theirs]
        assert not ours or np.abs(np.array([one[1:] for one in ours]) - [one[1:] for one in theirs]).max() <= 1


@SHAPED
def test_objects_of_coco_are_equal_to_a_pixel(exported):
    frame, interface, texts = exported
    both = frame.kili.to_coco(json_interface=interface), json.loads(texts["coco"]["labels"])
    ours, theirs = ({image["file_name"]: [] for image in each["images"]} for each in both)
    for found, data_set in zip((ours, theirs), both, strict=True):
        files = {image["id"]: image["file_name"] for image in data_set["images"]}
        sizes = {(image["width"], image["height"]) for image in data_set["images"]}
        names = {each["id"]: (each["supercategory"], each["name"]) for each in data_set["categories"]}
        assert sizes == {SIZE}
        for each in data_set["annotations"]:
            job, name = names[each["category_id"]]
            corners = sorted(np.reshape(each["segmentation"][0], (-1, 2)).round(6).tolist())
            found[files[each["image_id"]]].append((job, name.removeprefix(f"{job}/"), each, corners))
    assert ours.keys() == theirs.keys()
    for file in ours:
        assert [one[:2] for one in ours[file]] == [one[:2] for one in theirs[file]]
        for (*_, one, corners), (*_, other, expected) in zip(ours[file], theirs[file], strict=True):
            assert np.abs(np.array(one["bbox"]) - other["bbox"]).max() <= 1  # theirs are whole pixels
            assert np.allclose(corners, expected, atol=1e-3)
            assert one["area"] == pytest.approx(other["area"], abs=1)
