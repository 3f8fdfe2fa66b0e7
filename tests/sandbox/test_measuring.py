"""Uploads are measured as Kili measures them."""

import pandas as pd
import pytest
from PIL import Image

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox
from pandas_kili.sandbox.measuring import measured


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def test_an_uploaded_image_has_its_resolution_and_one_behind_a_url_has_none(sandbox, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    project_id = sandbox.create_project("Cats", "IMAGE")
    content = [str(tmp_path / "a.png"), "https://example.com/b.png"]
    pd.DataFrame({"content": content}).kili.append_many_to_dataset(project_id, client=sandbox.client)
    df = pk.read_kili(project_id, fields=["resolution.width", "resolution.height"], client=sandbox.client)
    assert df["resolution.width"].tolist() == [40.0, pd.NA]
    assert df["resolution.height"].tolist() == [30.0, pd.NA]


def test_pages_of_a_document_have_theirs(sandbox, tmp_path):
    pages = [Image.new("RGB", size) for size in ((100, 50), (50, 100))]
    pages[0].save(tmp_path / "a.pdf", save_all=True, append_images=pages[1:], resolution=72)
    project_id = sandbox.create_project("Papers", "PDF")
    frame = pd.DataFrame({"content": [str(tmp_path / "a.pdf")]})
    frame.kili.append_many_to_dataset(project_id, client=sandbox.client)
    fields = [f"pageResolutions.{name}" for name in ("pageNumber", "width", "height")]
    (pages,) = pk.read_kili(project_id, fields=fields, client=sandbox.client)["pageResolutions"]
    assert [(page["pageNumber"], page["width"], page["height"]) for page in pages] == [(1, 100, 50), (2, 50, 100)]


@pytest.mark.parametrize("input_type", ["IMAGE", "PDF", "VIDEO", "TEXT"])
def test_a_file_that_cannot_be_read_is_not_measured(tmp_path, input_type):
    (tmp_path / "a").write_bytes(b"no picture")
    assert measured(input_type, tmp_path / "a") == {}
