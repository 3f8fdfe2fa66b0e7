"""Pages of documents and frames of videos are pictures of their own."""

import json
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Image as ImageFeature
from datasets import load_from_disk
from moving import gray, pdf, video
from PIL import Image
from training import assets, label, objects, rectangle, shape

import pandas_kili as pk
from pandas_kili.errors import KiliValidationError

WIDE = b"/MediaBox[0 0 200 100]"  # points
CORNER = b"1 0 0 rg 0 75 50 25 re f"  # red in the top left of a wide page


def area(*pages, mid="m"):
    drawn = rectangle(0, 0, 0.25, 0.25)
    areas = [{"boundingPoly": drawn, "polys": drawn, "pageNumberArray": [page]} for page in pages]
    return {"mid": mid, "type": "rectangle", "categories": [{"name": "A"}], "annotations": areas}


@pytest.fixture
def document(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf((WIDE, b""), (WIDE, CORNER)))
    labels = [label(objects(area(2), area(1, mid="n")))]
    return pd.DataFrame({"externalId": ["a.pdf"], "content": [str(tmp_path / "a.pdf")], "labels": [labels]})


def test_pages_are_drawn_and_their_shapes_lie_on_them(document, tmp_path):
    data_set = document.kili.to_coco(tmp_path / "coco", media="copy")
    images = [(each["file_name"], each["page"], each["width"], each["height"]) for each in data_set["images"]]
    assert images == [("data/a_1.png", 1, 400, 200), ("data/a_2.png", 2, 400, 200)]
    assert [(each["image_id"], each["bbox"]) for each in data_set["annotations"]] == [
        (1, [0, 0, 100, 50]),
        (2, [0, 0, 100, 50]),
    ]
    with Image.open(tmp_path / "coco/data/a_2.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape == (200, 400, 3)
    assert (pixels[1:49, 1:99] == [255, 0, 0]).all()
    assert (pixels[52:, 102:] == 255).all()
    assert pk.read_coco(tmp_path / "coco")["externalId"].tolist() == ["a_1.png", "a_2.png"]


@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_pages_go_into_every_format_and_come_back_as_pictures(document, tmp_path, name):
    getattr(document.kili, f"to_{name}")(tmp_path / "set", media="link")
    found = getattr(pk, f"read_{name}")(tmp_path / "set")
    assert found["externalId"].tolist() == ["a_1.png", "a_2.png"]
    assert found["resolution.width"].tolist() == [400, 400]


def test_sizes_of_pages_are_those_of_the_server_where_it_says_them(document, tmp_path):
    resolutions = [{"pageNumber": number, "width": 100.0, "height": 50.0} for number in (1, 2)]
    frame = document.assign(pageResolutions=[resolutions])
    data_set = frame.kili.to_coco(tmp_path / "coco", media="copy")
    assert [each["bbox"] for each in data_set["annotations"]] == [[0, 0, 25, 12.5]] * 2
    with Image.open(tmp_path / "coco/data/a_1.png") as image:
        assert image.size == (100, 50)
    assert len(frame.assign(content="https://h.invalid/a.pdf").kili.to_coco()["images"]) == 2
    with pytest.raises(KiliValidationError, match=r"no known size.*pageResolutions"):
        document.assign(content="https://h.invalid/a.pdf").kili.to_coco()


def test_pages_that_cannot_be_drawn_leave_nothing(document, tmp_path):
    frame = document.assign(labels=[[label(objects(area(7)))]])
    resolutions = [{"pageNumber": 7, "width": 100.0, "height": 50.0}]
    with pytest.raises(KiliValidationError, match=r"page 7 of 'a\.pdf' \(.*a\.pdf\): the document has 2 pages"):
        frame.assign(pageResolutions=[resolutions]).kili.to_yolo(tmp_path / "set", media="copy")
    assert not (tmp_path / "set").exists()


def test_further_areas_of_a_shape_are_counted(document):
    frame = document.assign(labels=[[label(objects(area(1, 2)))]])
    with pytest.warns(UserWarning, match=r"further areas of a shape in a document \(1\)"):
        data_set = frame.kili.to_coco()
    assert [each["page"] for each in data_set["images"]] == [1]


def test_frames_that_are_local_files_are_pictures(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(path)
    answer = {str(number): objects(shape("CAT", rectangle(0, 0, 0.5, 0.5))) for number in (0, 2)}
    frame = assets({"v": answer}).drop(columns=["resolution.width", "resolution.height"])
    frame = frame.assign(jsonContent=[json.dumps(paths)])
    data_set = frame.kili.to_coco(tmp_path / "coco", media="copy")
    assert [(each["file_name"], each["frame"], each["width"]) for each in data_set["images"]] == [
        ("data/v_1.png", 0, 64),
        ("data/v_3.png", 2, 64),
    ]
    with Image.open(tmp_path / "coco/data/v_3.png") as image:
        assert image.getpixel((0, 0)) == (2, 0, 0)
    frame.kili.to_hf().save_to_disk(tmp_path / "hf")
    rows = load_from_disk(tmp_path / "hf")
    assert rows["part"] == [0, 2]
    assert rows[1]["image"].getpixel((0, 0)) == (2, 0, 0)


@pytest.fixture
def film(tmp_path):
    answer = {str(number): objects(shape("CAT", rectangle(0, 0, 0.5, 0.5))) for number in (0, 2)}
    size = {"resolution.width": 32, "resolution.height": 24}
    return assets({"v": answer}).assign(content=video(tmp_path / "v.mp4", frames=6), **size)


@pytest.mark.parametrize(
    ("metadata", "shown"), [("{}", 2), ('{"processingParameters": {"framesPlayedPerSecond": 12.5}}', 4)]
)
def test_frames_of_a_video_are_drawn_as_kili_numbers_them(film, tmp_path, metadata, shown):
    film.assign(jsonMetadata=metadata).kili.to_yolo(tmp_path / "yolo", media="copy")
    for name, number in (("v_1.jpg", 0), ("v_3.jpg", shown)):
        with Image.open(tmp_path / "yolo/images" / name) as image:
            assert image.size == (32, 24)
            assert np.abs(np.asarray(image).astype(int) - gray(number)).max() < 6
    assert pk.read_yolo(tmp_path / "yolo")["externalId"].tolist() == ["v_1.jpg", "v_3.jpg"]


def test_what_is_drawn_goes_into_a_hugging_face_data_set(film, document):
    size = {"resolution.width": None, "resolution.height": None}
    rows = pd.concat([film, document.assign(**size)], ignore_index=True).kili.to_hf()
    assert [row["part"] for row in rows] == [0, 2, 1, 2]
    assert [row["image"].size for row in rows] == [(32, 24)] * 2 + [(400, 200)] * 2
    assert rows[3]["image"].convert("RGB").getpixel((10, 10)) == (255, 0, 0)


def test_what_draws_ends_with_an_export_that_fails(film, tmp_path, monkeypatch):
    def full(self, target, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left") as caught:
        film.kili.to_yolo(tmp_path / "set", media="copy")
    assert threading.active_count() == before, "while the error is kept, which keeps the variables of all callers"
    assert caught.value.errno == 28
    assert not (tmp_path / "set").exists()


def test_what_is_drawn_is_on_disk_and_written_with_the_data_set(film, tmp_path):
    film.kili.to_hf().save_to_disk(tmp_path / "hf")
    drawn, written = (
        [row["image"] for row in rows.cast_column("image", ImageFeature(decode=False))]
        for rows in (film.kili.to_hf(), load_from_disk(tmp_path / "hf"))
    )
    assert [(Path(image["path"]).suffix, image["bytes"]) for image in drawn] == [(".jpg", None)] * 2
    assert [image["bytes"] for image in written] == [Path(image["path"]).read_bytes() for image in drawn]


def test_a_frame_without_a_local_video_is_refused(film, tmp_path):
    with pytest.raises(
        KiliValidationError, match=r"1 asset has no local picture: run df = df\.kili\.download_media\(\) first"
    ):
        film.assign(content="https://h.invalid/v.mp4").kili.to_yolo(tmp_path / "set", media="copy")


def test_all_frames_that_are_not_drawn_are_named(film, tmp_path):
    cat = objects(shape("CAT", rectangle(0, 0, 0.5, 0.5)))
    beyond = film.assign(labels=[[label(dict.fromkeys(("1", "9", "12"), cat))]])
    told = (
        r"2 pictures are not drawn: frame 9 of 'v' \(.*v\.mp4\): the video ends before frame 9; "
        r"frame 12 of 'v' \(.*v\.mp4\): the video ends before frame 12\."
    )
    with pytest.raises(KiliValidationError, match=told):
        beyond.kili.to_yolo(tmp_path / "set", media="copy")
    with pytest.raises(KiliValidationError, match=told):
        beyond.kili.to_hf()
    assert not (tmp_path / "set").exists()
