"""Files through `append_many_to_dataset` and back: whole, in order, and nothing sent where a row does not fit."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from writing import hurry

import pandas_kili as pk
from pandas_kili.errors import KiliAuthenticationError, KiliMutationError, KiliValidationError
from pandas_kili.media import download_media
from pandas_kili.sandbox import Fault, Sandbox

EXAMPLES = Path(pk.__file__).parent.parent / "examples"


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None, import_delay=0.05) as sandbox:
        sandbox.client._retry.jitter = lambda _, most: 0.0
        yield sandbox


def picture(form="PNG", size=(5, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (1, 2, 3)).save(buffer, form)
    return buffer.getvalue()


def append(sandbox, project_id, rows, **options):
    return pd.DataFrame(rows).kili.append_many_to_dataset(project_id, client=sandbox.client, **options)


def operations(sandbox):
    return [request.operation for request in sandbox.requests]


def test_one_frame_may_hold_hosted_local_and_large_images(sandbox, tmp_path):
    (tmp_path / "small ü.png").write_bytes(picture())
    (tmp_path / "big.tif").write_bytes(picture("TIFF"))
    project_id = sandbox.create_project("Mixed", "IMAGE")
    rows = [
        {"externalId": "hosted", "content": "https://example.com/a.png"},
        {"externalId": "big", "content": str(tmp_path / "big.tif")},
        {"externalId": "small", "content": (tmp_path / "small ü.png").as_uri()},
        {"externalId": "path", "content": tmp_path / "small ü.png"},
    ]
    out = append(sandbox, project_id, rows)
    assert out["externalId"].tolist() == ["hosted", "big", "small", "path"]
    assert out.kili.report["outcome"].tolist() == ["applied"] * 4
    served = {asset["id"]: asset for asset in sandbox.assets(project_id)}
    assert [served[id_]["externalId"] for id_ in out["id"]] == ["hosted", "big", "small", "path"]
    assert served[out["id"][0]]["content"] == "https://example.com/a.png"
    frame = pk.read_kili(project_id, fields=["id", "externalId", "content"], client=sandbox.client)
    local = download_media(
        frame[frame["externalId"] != "hosted"], project_id, local_media_dir=tmp_path / "out", client=sandbox.client
    )
    found = dict(zip(local["externalId"], map(Path, local["content"]), strict=True))
    assert found["big"].read_bytes() == picture("TIFF")
    assert found["small"].read_bytes() == found["path"].read_bytes() == picture()


def test_an_image_of_layers_beside_one_of_a_single_file(sandbox, tmp_path):
    (tmp_path / "a.tif").write_bytes(picture("TIFF"))
    project_id = sandbox.create_project("Maps", "GEOSPATIAL")
    layers = [{"path": str(tmp_path / "a.tif"), "name": "low"}]
    rows = [{"externalId": "one", "content": str(tmp_path / "a.tif")}, {"externalId": "many", "content": layers}]
    out = append(sandbox, project_id, rows)
    assert out.kili.report["outcome"].tolist() == ["applied", "applied"]
    assert sorted(asset["externalId"] for asset in sandbox.assets(project_id)) == ["many", "one"]


def test_every_kind_of_text_in_one_frame(sandbox, tmp_path):
    (tmp_path / "a.txt").write_text("from a file")
    project_id = sandbox.create_project("Texts", "TEXT")
    rich = [{"children": [{"id": "1", "text": "rich"}]}]
    rows = {
        "externalId": ["file", "raw", "rich", "hosted"],
        "content": [str(tmp_path / "a.txt"), "raw text", None, "https://example.com/a.txt"],
        "jsonContent": [None, None, rich, None],
    }
    append(sandbox, project_id, rows)
    frame = pk.read_kili(project_id, fields=["id", "externalId", "content", "jsonContent"], client=sandbox.client)
    assert frame["externalId"].tolist() == rows["externalId"]
    out = download_media(frame[:3], project_id, local_media_dir=tmp_path / "out", client=sandbox.client)
    assert [Path(path).read_text() for path in out["content"][:2]] == ["from a file", "raw text"]
    assert json.loads(Path(out["jsonContent"][2]).read_text()) == rich


@pytest.mark.parametrize("generation", ["legacy", "current"])
def test_videos_of_all_kinds_go_in_and_come_out(generation, tmp_path):
    clip = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256))
    (tmp_path / "a.mp4").write_bytes(clip)
    (tmp_path / "0.png").write_bytes(picture())
    with Sandbox(generation=generation, import_delay=0.05) as sandbox:
        project_id = sandbox.create_project("Videos", "VIDEO")
        rows = {
            "externalId": ["native", "split", "frames"],
            "content": [str(tmp_path / "a.mp4")] * 2 + [None],
            "jsonContent": [None, None, [str(tmp_path / "0.png")] * 2],
            "jsonMetadata": [None, {"processingParameters": {"shouldUseNativeVideo": False}}, {"k": 1}],
        }
        append(sandbox, project_id, rows)
        fields = ["id", "externalId", "content", "jsonContent", "jsonMetadata"]
        frame = pk.read_kili(project_id, fields=fields, client=sandbox.client).set_index("externalId", drop=False)
        out = download_media(frame, project_id, local_media_dir=tmp_path / "out", client=sandbox.client)
        assert Path(out["content"]["native"]).read_bytes() == Path(out["content"]["split"]).read_bytes() == clip
        frames = [Path(path).read_bytes() for path in json.loads(out["jsonContent"]["frames"])]
        assert frames == [picture()] * 2
        metadata = json.loads(out["jsonMetadata"]["frames"])
        assert metadata["k"] == 1
        assert ("framesPlayedPerSecond" in metadata["processingParameters"]) is (generation == "legacy")


def test_nothing_is_sent_where_one_file_does_not_fit(sandbox, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "page.png").write_bytes(b"<!DOCTYPE html><html></html>")
    project_id = sandbox.create_project("Images", "IMAGE")
    names = ["a.png", "missing.png", "page.png", "."]
    rows = [{"externalId": name, "content": str(tmp_path / name)} for name in names]
    with pytest.raises(KiliValidationError) as caught:
        append(sandbox, project_id, rows)
    assert len(caught.value.failure_cases) == 3
    assert not {"PUT", "appendManyAssets", "createUploadBucketSignedUrls"} & set(operations(sandbox))


def test_a_license_without_uploads_is_respected_for_local_files_only(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    with Sandbox(upload_local_data=False) as sandbox:
        project_id = sandbox.create_project("Images", "IMAGE")
        with pytest.raises(KiliAuthenticationError, match="license"):
            append(sandbox, project_id, [{"externalId": "a", "content": str(tmp_path / "a.png")}])
        append(sandbox, project_id, [{"externalId": "b", "content": "https://example.com/a.png"}])
        assert "PUT" not in operations(sandbox)


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "cut", "expired_signature", "disk_full"])
def test_no_asset_points_to_a_file_that_is_not_whole(sandbox, tmp_path, kind):
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text(f"{number}" * 100_000)
    project_id = sandbox.create_project("Texts", "TEXT")
    half = []

    def check(request):
        if request.operation == "appendManyAssets":
            for url in request.variables["data"]["contentArray"]:
                found = sandbox._workspace.bucket.find(url.partition("&id=")[2].replace("%2F", "/"))
                half.extend([] if found and found["size"] in {100_000, 200_000} else [url])

    sandbox.before_request(check)
    sandbox.inject(Fault(kind, "PUT", probability=0.3, times=6))
    sandbox.inject(Fault("reset_after", "appendManyAssets"))
    out = append(sandbox, project_id, [{"externalId": path.stem, "content": path} for path in paths])
    assert half == []
    frame = pk.read_kili(project_id, fields=["id", "externalId", "content"], client=sandbox.client)
    assert frame["id"].tolist() == out["id"].tolist()
    local = download_media(frame, project_id, local_media_dir=tmp_path / "out", client=sandbox.client)
    for path, found in zip(paths, local["content"], strict=True):
        assert Path(found).read_bytes() == path.read_bytes()


def test_what_could_not_be_stored_can_be_sent_again(sandbox, tmp_path):
    paths = [tmp_path / f"{number}.txt" for number in range(5)]
    for path in paths:
        path.write_text(path.stem)
    project_id = sandbox.create_project("Texts", "TEXT")
    sandbox.inject(Fault("status", "PUT", nth=3, times=1, status=404))
    with pytest.raises(KiliMutationError) as caught:
        append(sandbox, project_id, [{"externalId": path.stem, "content": str(path)} for path in paths])
    report = caught.value.report
    assert report["outcome"].tolist().count("failed") == 1
    assert len(sandbox.assets(project_id)) == 4
    rest = caught.value.frame[report["outcome"] != "applied"]
    rest.kili.append_many_to_dataset(project_id, client=sandbox.client)
    assert sorted(asset["externalId"] for asset in sandbox.assets(project_id)) == list("01234")


def test_files_of_the_next_batch_are_stored_while_one_is_registered(sandbox):
    project_id = sandbox.create_project("Texts", "TEXT")
    stored, more, found = [], threading.Event(), []

    def watch(request):
        if request.method == "PUT":
            stored.append(request.path)
            if len(stored) > 100:
                more.set()
        if request.operation == "appendManyAssets":
            found.append(more.wait(30))

    sandbox.before_request(watch)
    out = append(sandbox, project_id, [{"externalId": f"n{row}", "content": f"text {row}"} for row in range(150)])
    assert found == [True, True]
    assert len(stored) == 150
    frame = pk.read_kili(project_id, fields=["id", "externalId"], client=sandbox.client)
    assert frame["externalId"].tolist() == out["externalId"].tolist()


def test_a_batch_that_is_sent_in_parts_stores_no_file_twice(sandbox, monkeypatch):
    hurry(monkeypatch)
    project_id = sandbox.create_project("Texts", "TEXT")
    sandbox.inject(Fault("graphql_error", "appendManyAssets", times=3, code="BAD_USER_INPUT"))
    append(sandbox, project_id, [{"externalId": f"n{row}", "content": f"text {row}"} for row in range(130)])
    assert operations(sandbox).count("PUT") == 130
    assert len(sandbox.assets(project_id)) == 130


def test_rows_with_files_that_were_stored_ahead_are_not_sent_where_the_key_is_refused(sandbox):
    project_id = sandbox.create_project("Texts", "TEXT")
    sandbox.inject(Fault("status", "appendManyAssets", status=403))
    rows = [{"externalId": f"n{row}", "content": f"text {row}"} for row in range(150)]
    with pytest.raises(KiliMutationError) as caught:
        append(sandbox, project_id, rows)
    assert set(caught.value.report["outcome"]) == {"not_sent"}
    caught.value.frame.kili.append_many_to_dataset(project_id, client=sandbox.client)
    assert sorted(asset["externalId"] for asset in sandbox.assets(project_id)) == sorted(
        f"n{row}" for row in range(150)
    )


def test_the_example_brings_a_folder_there_and_back(tmp_path):
    folder = tmp_path / "mine" / "sub dir"
    folder.mkdir(parents=True)
    (folder / "a ü.png").write_bytes(picture())
    (folder.parent / "b.JPG").write_bytes(picture("JPEG"))
    (folder.parent / "notes.md").write_text("no picture")
    command = [sys.executable, EXAMPLES / "upload_folder.py", folder.parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert "2 of 2 are the same, byte for byte." in done.stdout


def test_a_bar_counts_the_bytes_that_go_and_only_where_there_are_any(sandbox, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(picture(size=(300, 200)))
    project_id = sandbox.create_project("Bars", "IMAGE")
    size = (tmp_path / "a.png").stat().st_size
    append(sandbox, project_id, [{"externalId": "a", "content": tmp_path / "a.png"}], disable_tqdm=False)
    shown = capsys.readouterr().err
    assert f"0.00/{size}" in shown
    assert "B/s" in shown
    append(sandbox, project_id, [{"externalId": "b", "content": "https://example.com/b.png"}], disable_tqdm=False)
    shown = capsys.readouterr().err
    assert "append_many_to_dataset" in shown
    assert "upload" not in shown
