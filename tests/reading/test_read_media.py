"""read_kili(download_media=True): media on disk, and their paths in the frame."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

TEXTS = {f"text {number}": f"The text of number {number}, with an é." for number in range(7)}


@pytest.fixture(scope="module")
def project():
    with Sandbox(max_calls_per_minute=None) as box:
        project = box.create_project("texts", "TEXT")
        frame = pd.DataFrame({"externalId": list(TEXTS), "content": list(TEXTS.values())})
        frame.kili.append_many_to_dataset(project, client=box.client)
        yield project, box.client


def read(project, **options):
    project_id, client = project
    return pk.read_kili(project_id, client=client, download_media=True, **options)


def test_content_holds_the_paths_of_files_with_the_content(project, tmp_path):
    frame = read(project, local_media_dir=tmp_path)
    assert frame["content"].dtype == pd.ArrowDtype(pa.string())
    for name, path in zip(frame["externalId"], frame["content"], strict=True):
        assert Path(path).is_relative_to(tmp_path)
        assert Path(path).read_text(encoding="utf-8") == TEXTS[name]


def test_what_names_the_files_need_not_be_among_the_fields(project, tmp_path):
    frame = read(project, fields=["content"], local_media_dir=tmp_path)
    assert frame.columns.tolist() == ["content"]
    assert sorted(Path(path).read_text(encoding="utf-8") for path in frame["content"]) == sorted(TEXTS.values())


def test_chunks_are_downloaded_one_by_one(project, tmp_path):
    chunks = read(project, chunksize=3, local_media_dir=tmp_path)
    assert len(next(chunks)) == 3
    assert len(list(tmp_path.rglob("*.txt"))) == 3
    assert [len(chunk) for chunk in chunks] == [3, 1]
    assert len(list(tmp_path.rglob("*.txt"))) == 7


def test_content_must_be_among_the_fields(project):
    with pytest.raises(pk.KiliFieldError, match="'content' among the fields"):
        read(project, fields=["id"])


def test_the_accessor_downloads_too_and_needs_to_know_the_project(project, tmp_path):
    project_id, client = project
    frame = pk.read_kili(project_id, client=client, fields=["id", "content"])
    local = frame.kili.download_media(tmp_path, client=client)
    assert all(Path(path).is_file() for path in local["content"])
    assert frame["content"].str.startswith("http").all()
    frame.attrs.clear()
    with pytest.raises(pk.KiliValidationError, match="project_id= is needed"):
        frame.kili.download_media(tmp_path, client=client)
