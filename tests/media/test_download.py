"""The content of assets on its way to disk, against a real server."""

import base64
import gzip
import hashlib
import io
import json
import os
import pickle
import threading
import tracemalloc
from concurrent.futures import CancelledError
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from scripted import Reply, ScriptedServer

from pandas_kili.errors import KiliDownloadError, KiliFieldError, KiliNotFoundError
from pandas_kili.media import Medium, Stored, Uploads, download_media, media_of_rows, wait_for_import
from pandas_kili.media import download as media_download
from pandas_kili.media import fetch as media_fetch
from pandas_kili.media.fetch import Fetch
from pandas_kili.media.ledger import LEDGER_NAME, AssetFile, Ledger
from pandas_kili.reading.read import read_kili
from pandas_kili.sandbox import Fault, Sandbox

TODAY = """mutation appendManyAssets($data: AppendManyAssetsData!, $where: ProjectWhere!) {
  data: appendManyAssets(data: $data, where: $where) { id } }"""
LATER = """mutation appendManyAssetsAsynchronously($data: AppendManyAssetsAsynchronouslyData!, $where: ProjectWhere!) {
  data: appendManyAssetsAsynchronously(data: $data, where: $where) { id } }"""
FIELDS = ["id", "externalId", "content", "jsonContent"]


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None, import_delay=0) as sandbox:
        sandbox.client._retry.jitter = lambda _, most: 0.0
        yield sandbox


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "media"


def upload(sandbox, project_id, names, contents=None, json_contents=None):
    """Bring assets in as they come: all through the bucket."""
    count = len(names)
    (project,) = sandbox.client.execute(
        "query p($w: ProjectWhere!) { data: projects(where: $w, first: 1, skip: 0) { inputType } }",
        {"w": {"id": project_id}},
    )["data"]
    media, problems = media_of_rows(
        project["inputType"], contents or [None] * count, json_contents or [None] * count, [None] * count
    )
    assert problems == []
    ids = [f"{project_id}-{number}" for number in range(count)]
    stored = Uploads(sandbox.client, project_id, dict(zip(ids, media, strict=True))).results(ids)
    for row in zip(ids, names, media, stored, strict=True):
        register(sandbox.client, project_id, *row)
    return ids


def register(client, project_id, asset_id, name, medium: Medium, stored: Stored):
    data = {"idArray": [asset_id], "externalIDArray": [name]}
    if medium.upload_type is None:
        data |= {"contentArray": [stored.content], "jsonContentArray": [stored.json_content]}
        client.execute(TODAY, {"data": data, "where": {"id": project_id}})
        return
    content = {"multiLayerContentArray": [stored.layers]} if stored.layers else {"contentArray": [stored.content]}
    data |= {**content, "uploadType": medium.upload_type}
    wait_for_import(client, client.execute(LATER, {"data": data, "where": {"id": project_id}})["data"]["id"])


def texts(sandbox, names, title="Texts"):
    project_id = sandbox.create_project(title, "TEXT")
    upload(sandbox, project_id, names, [f"text of {name}" for name in names])
    return project_id


def read(sandbox, project_id, fields=FIELDS):
    return read_kili(project_id, fields=fields, client=sandbox.client, disable_tqdm=True)


def fetch(sandbox, project_id, folder, frame=None):
    frame = read(sandbox, project_id) if frame is None else frame
    return download_media(frame, project_id, local_media_dir=folder, client=sandbox.client, disable_tqdm=True)


def gets(sandbox):
    return [request for request in sandbox.requests if request.method == "GET"]


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != LEDGER_NAME)


def picture(form, size=(5, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (1, 2, 3)).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("input_type", "name", "data"),
    [
        ("IMAGE", "é 漢字 1.png", picture("PNG")),
        ("IMAGE", "a.jpg", picture("JPEG")),
        ("IMAGE", "big.tif", picture("TIFF")),
        ("GEOSPATIAL", "map.tif", picture("TIFF")),
        ("TEXT", "a.txt", "Grüße\r\n\n漢字".encode()),
        ("PDF", "a.pdf", b"%PDF-1.7\n\xff\xfe\0"),
        ("AUDIO", "a.flac", b"fLaC" + bytes(range(256))),
        ("VIDEO", "a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256))),
        ("VIDEO_LEGACY", "a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256))),
        ("LLM_RLHF", "a.json", b'{"prompt":  "\\u00fc"}'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bytes_that_went_in_come_out(sandbox, tmp_path, folder, input_type, name, data):
    (tmp_path / name).write_bytes(data)
    project_id = sandbox.create_project("Files", input_type)
    upload(sandbox, project_id, [Path(name).stem], [tmp_path / name])
    path = Path(fetch(sandbox, project_id, folder)["content"][0])
    assert path == folder / name
    assert path.read_bytes() == data


def test_layers_come_back_as_the_server_serves_them(sandbox, tmp_path, folder):
    (tmp_path / "low.tif").write_bytes(picture("TIFF"))
    project_id = sandbox.create_project("Files", "GEOSPATIAL")
    upload(sandbox, project_id, ["map"], [[{"path": tmp_path / "low.tif", "name": "low"}]])
    out = fetch(sandbox, project_id, folder)
    assert Path(out["content"][0]).read_bytes() == picture("TIFF")
    assert out["jsonContent"][0].startswith("http")


def test_the_frame_that_comes_out_is_another_of_the_same_form(sandbox, folder):
    project_id = texts(sandbox, ["a", "b"])
    frame = read(sandbox, project_id).set_index(pd.Index([7, 5]))
    before = frame.copy()
    out = fetch(sandbox, project_id, folder, frame)
    pd.testing.assert_frame_equal(frame, before)
    assert list(out.columns) == FIELDS
    assert list(out.index) == [7, 5]
    assert (out.dtypes == before.dtypes).all()
    assert out.attrs == frame.attrs
    assert [Path(path).read_text() for path in out["content"]] == ["text of a", "text of b"]


@pytest.mark.parametrize("dtype", [object, "str", pd.ArrowDtype(pa.string())])
def test_columns_keep_their_dtype(sandbox, folder, dtype):
    project_id = texts(sandbox, ["a"])
    frame = read(sandbox, project_id).astype(dtype)
    assert fetch(sandbox, project_id, folder, frame)["content"].dtype == frame["content"].dtype


def test_the_default_folder_is_that_of_the_official_sdk(sandbox, clean_environment):
    project_id = texts(sandbox, ["a"])
    frame = download_media(read(sandbox, project_id), project_id, client=sandbox.client, disable_tqdm=True)
    expected = clean_environment / ".cache" / "kili" / "projects" / project_id / "assets" / "a.txt"
    assert frame["content"][0] == str(expected)


def test_nothing_is_fetched_twice(sandbox, folder):
    project_id = texts(sandbox, [f"t{number}" for number in range(20)])
    first = fetch(sandbox, project_id, folder)
    sandbox.clear_requests()
    pd.testing.assert_frame_equal(fetch(sandbox, project_id, folder), first)
    assert gets(sandbox) == []


def test_a_file_that_is_not_what_was_fetched_is_fetched_again(sandbox, folder):
    project_id = texts(sandbox, ["a", "b", "c"])
    paths = [Path(path) for path in fetch(sandbox, project_id, folder)["content"]]
    paths[0].write_text("half")
    paths[1].unlink()
    sandbox.clear_requests()
    assert fetch(sandbox, project_id, folder)["content"].tolist() == [str(path) for path in paths]
    assert [path.read_text() for path in paths] == ["text of a", "text of b", "text of c"]
    assert len(gets(sandbox)) == 2


def test_new_content_takes_the_place_of_the_old(sandbox, folder):
    project_id = texts(sandbox, ["a", "b"])
    frame = fetch(sandbox, project_id, folder)
    served = read(sandbox, project_id)
    served["content"] = served["content"].tolist()[::-1]
    out = fetch(sandbox, project_id, folder, served)
    assert out["content"].tolist() == frame["content"].tolist()
    assert [Path(path).read_text() for path in out["content"]] == ["text of b", "text of a"]


def test_hostile_names_stay_apart_and_map_back_to_their_rows(folder, tmp_path):
    names = ["../../evil", "C:\\x", "a/b", "a_b", "NUL", "x" * 300, "x" * 301, "A", "a", "..", "~", "same.txt", "same"]
    with Sandbox(max_calls_per_minute=None) as sandbox:
        project_id = texts(sandbox, names)
        out = fetch(sandbox, project_id, folder)
        assert [Path(path).read_text() for path in out["content"]] == [f"text of {name}" for name in out["externalId"]]
        assert out["externalId"].tolist() == names
        assert all(Path(path).parent == folder for path in out["content"])
        folds = {Path(path).name.casefold() for path in out["content"]}
        assert len(folds) == len(names) == len(left_behind(folder))
        reverse = read(sandbox, project_id).iloc[::-1]
        again = fetch(sandbox, project_id, folder, reverse)
        assert again["content"].tolist() == out["content"].tolist()[::-1]


def test_two_assets_of_one_name_have_two_files(folder):
    with Sandbox(max_calls_per_minute=None, unique_external_ids=False) as sandbox:
        project_id = texts(sandbox, ["a", "b"])
        for asset in sandbox.assets(project_id):
            sandbox.set_asset(asset["id"], externalId="twin")
        out = fetch(sandbox, project_id, folder)
        assert [Path(path).read_text() for path in out["content"]] == ["text of a", "text of b"]


def test_projects_share_a_folder_without_harm(sandbox, folder):
    one, two = texts(sandbox, ["a"], "One"), texts(sandbox, ["a"], "Two")
    first, second = fetch(sandbox, one, folder)["content"][0], fetch(sandbox, two, folder)["content"][0]
    assert first != second
    assert Path(first).read_text() == Path(second).read_text() == "text of a"


def test_assets_without_a_name_are_called_by_their_id(sandbox, folder):
    project_id = texts(sandbox, ["a"])
    out = fetch(sandbox, project_id, folder, read(sandbox, project_id, ["id", "content"]))
    assert left_behind(folder) == [f"{out['id'][0]}.txt"]


FAULTS = [
    Fault("cut", "GET", times=3),
    Fault("reset_before", "GET", times=3),
    Fault("status", "GET", times=3, status=503),
    Fault("status", "GET", times=2, status=429),
    Fault("refuse", "GET", times=2),
    Fault("drip", "GET", seconds=0.2),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_what_breaks_is_fetched_again_and_leaves_no_half_file(sandbox, folder, tmp_path, fault):
    contents = []
    for number in range(4):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"{number}" * 3_000_000)
        contents.append(path)
    project_id = sandbox.create_project("Texts", "TEXT")
    upload(sandbox, project_id, ["0", "1", "2", "3"], contents)
    frame = read(sandbox, project_id)
    sandbox.inject(fault)
    out = fetch(sandbox, project_id, folder, frame)
    for path, source in zip(out["content"], contents, strict=True):
        assert Path(path).read_bytes() == source.read_bytes()
    assert left_behind(folder) == ["0.txt", "1.txt", "2.txt", "3.txt"]


def test_a_transfer_goes_on_where_it_broke(sandbox, folder, tmp_path):
    (tmp_path / "a.txt").write_text("x" * 1_000_000)
    project_id = sandbox.create_project("Texts", "TEXT")
    upload(sandbox, project_id, ["a"], [tmp_path / "a.txt"])
    frame = read(sandbox, project_id)
    sandbox.inject(Fault("cut", "GET"))
    out = fetch(sandbox, project_id, folder, frame)
    assert Path(out["content"][0]).stat().st_size == 1_000_000
    first, second = (request.headers for request in gets(sandbox))
    assert first["Range"] is None
    assert second["Range"] == "bytes=500000-"


def test_a_file_may_break_often_as_long_as_it_comes_nearer(sandbox, folder, tmp_path):
    (tmp_path / "a.txt").write_text("x" * 50_000_000)
    project_id = sandbox.create_project("Texts", "TEXT")
    upload(sandbox, project_id, ["a"], [tmp_path / "a.txt"])
    frame = read(sandbox, project_id)
    sandbox.inject(Fault("cut", "GET", times=7))
    out = fetch(sandbox, project_id, folder, frame)
    assert Path(out["content"][0]).stat().st_size == 50_000_000
    starts = [int(request.headers["Range"][6:-1]) for request in gets(sandbox)[1:]]
    assert len(starts) == 7
    assert starts == sorted(set(starts))


def test_a_file_that_comes_no_nearer_is_given_up(sandbox, bucket, folder, monkeypatch):
    monkeypatch.setattr(media_fetch, "_PAUSE", 0.0001)
    bucket.otherwise = Reply(b"half", how="cut")
    with pytest.raises(KiliDownloadError, match="broke"):
        fetch(sandbox, hosted(sandbox, bucket), folder)
    assert left_behind(folder) == []


def test_what_goes_on_failing_is_told_with_its_rows_and_the_rest_is_there(sandbox, folder):
    project_id = texts(sandbox, ["a", "b", "c"])
    frame = read(sandbox, project_id)
    frame["content"] = [frame["content"][0], f"{sandbox.api_endpoint[:-8]}/files?id=none", frame["content"][2]]
    with pytest.raises(KiliDownloadError, match="1 of 3 assets") as caught:
        fetch(sandbox, project_id, folder, frame)
    (failure,) = caught.value.failures
    assert (failure["asset_id"], failure["row"], failure["label_id"]) == (frame["id"][1], 1, None)
    assert "404" in failure["reason"]
    paths = caught.value.frame["content"].tolist()
    assert [Path(paths[0]).read_text(), Path(paths[2]).read_text()] == ["text of a", "text of c"]
    assert paths[1] == frame["content"][1]
    assert left_behind(folder) == ["a.txt", "c.txt"]
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.failures == caught.value.failures
    pd.testing.assert_frame_equal(copy.frame, caught.value.frame)


def test_a_run_that_broke_off_is_completed_by_another(sandbox, folder):
    project_id = texts(sandbox, [f"t{number}" for number in range(30)])
    frame = read(sandbox, project_id)
    sandbox.inject(Fault("status", "GET", nth=11, times=None, status=404))
    with pytest.raises(KiliDownloadError, match="20 of 30"):
        fetch(sandbox, project_id, folder, frame)
    sandbox.clear_faults()
    sandbox.clear_requests()
    out = fetch(sandbox, project_id, folder, frame)
    assert len(gets(sandbox)) == 20
    assert [Path(path).read_text() for path in out["content"]] == [f"text of {name}" for name in out["externalId"]]


def test_a_full_disk_is_told_and_leaves_nothing(sandbox, folder, monkeypatch):
    project_id = texts(sandbox, ["a"])
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(KiliDownloadError, match="No space left"):
        fetch(sandbox, project_id, folder)
    assert left_behind(folder) == []


@pytest.mark.parametrize("kind", ["a file", "read-only"])
def test_a_folder_that_cannot_be_written_to_is_an_error(sandbox, tmp_path, kind):
    project_id = texts(sandbox, ["a"])
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("")
    else:
        place.mkdir(mode=0o500)
        if os.access(place, os.W_OK):
            pytest.skip("this user may write everywhere")
    with pytest.raises(KiliDownloadError, match="Media cannot be stored in"):
        fetch(sandbox, project_id, place / "media")
    assert gets(sandbox) == []


def test_an_interrupt_leaves_no_half_file(sandbox, folder, monkeypatch):
    project_id = texts(sandbox, [f"t{number}" for number in range(30)])
    frame = read(sandbox, project_id)
    kept = media_download._MediaDownload._keep
    monkeypatch.setattr(media_download._MediaDownload, "_keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch(sandbox, project_id, folder, frame)
    for thread in threading.enumerate():
        if thread.name.startswith("pandas_kili"):
            thread.join(10)
    assert not [name for name in left_behind(folder) if name.endswith(".part")]
    monkeypatch.setattr(media_download._MediaDownload, "_keep", kept)
    out = fetch(sandbox, project_id, folder, frame)
    assert [Path(path).read_text() for path in out["content"]] == [f"text of {name}" for name in out["externalId"]]


@pytest.fixture
def bucket():
    server = ScriptedServer()
    yield server
    server.close()


def hosted(sandbox, bucket, input_type="IMAGE", **columns):
    project_id = sandbox.create_project("Hosted", input_type)
    row = {"externalId": "a", "content": f"{bucket.origin}/a.png", **columns}
    sandbox.add_assets(project_id, [row])
    return project_id


def test_the_key_is_not_sent_to_where_media_are_hosted(sandbox, bucket, folder):
    bucket.otherwise = Reply(b"bytes", headers={"Content-Type": "image/png"})
    fetch(sandbox, hosted(sandbox, bucket), folder)
    (asked,) = bucket.asked
    assert "Authorization" not in asked.headers
    assert sandbox.api_key not in str(asked.headers)


@pytest.mark.parametrize("header", ["Content-MD5", "x-goog-hash"])
def test_a_file_must_have_the_checksum_that_the_server_gives(sandbox, bucket, folder, header):
    digest = base64.b64encode(hashlib.md5(b"bytes").digest()).decode()
    value = digest if header == "Content-MD5" else f"crc32c=AAAAAA==, md5={digest}"
    bucket.script = [Reply(b"bytez", headers={header: value}), Reply(b"bytes", headers={header: value})]
    project_id = hosted(sandbox, bucket)
    out = fetch(sandbox, project_id, folder)
    assert Path(out["content"][0]).read_bytes() == b"bytes"
    assert len(bucket.asked) == 2


def test_a_packed_file_is_unpacked(sandbox, bucket, folder):
    packed = gzip.compress(b"bytes" * 1000)
    bucket.otherwise = Reply(packed, headers={"Content-Encoding": "gzip", "Content-Type": "image/png"})
    out = fetch(sandbox, hosted(sandbox, bucket), folder)
    assert Path(out["content"][0]).read_bytes() == b"bytes" * 1000


def test_a_file_that_was_packed_to_fill_the_disk_is_given_up(sandbox, bucket, folder, monkeypatch):
    monkeypatch.setattr("pandas_kili.media.fetch._MOST_UNPACKED", 2**20)
    packed = gzip.compress(bytes(2**20)) * 100
    bucket.otherwise = Reply(packed, headers={"Content-Encoding": "gzip", "Content-Type": "image/png"})
    with pytest.raises(KiliDownloadError, match="larger than 1048576 bytes"):
        fetch(sandbox, hosted(sandbox, bucket), folder)
    assert [path for path in folder.iterdir() if path.stat().st_size > 1000] == []


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000], ids=["list", "object"])
def test_a_list_of_frames_that_nests_too_deeply_is_told(sandbox, bucket, folder, text):
    project_id = sandbox.create_project("Deep", "VIDEO")
    bucket.otherwise = Reply(text.encode())
    frame = pd.DataFrame(
        {"id": ["a"], "externalId": ["a"], "content": [""], "jsonContent": [f"{bucket.origin}/f.json"]}
    )
    with pytest.raises(KiliDownloadError, match="not JSON"):
        frame.kili.download_media(folder, project_id=project_id, client=sandbox.client)


def test_a_web_page_is_not_taken_for_a_picture(sandbox, bucket, folder):
    bucket.otherwise = Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(KiliDownloadError, match="web page"):
        fetch(sandbox, hosted(sandbox, bucket), folder)
    out = fetch(sandbox, hosted(sandbox, bucket, "TEXT"), folder)
    assert out["content"][0].endswith("a.html")


def test_a_link_that_has_expired_says_what_to_do(sandbox, bucket, folder):
    bucket.otherwise = Reply(b"<Error/>", status=403)
    with pytest.raises(KiliDownloadError, match="read the assets again"):
        fetch(sandbox, hosted(sandbox, bucket), folder)


def test_rich_text_is_a_file(sandbox, folder):
    blocks = [{"children": [{"id": "1", "text": "ü"}]}]
    project_id = sandbox.create_project("Rich", "TEXT")
    upload(sandbox, project_id, ["rich", "plain"], [None, "words"], [blocks, None])
    for fields in (FIELDS, ["id", "externalId", "content"]):
        out = fetch(sandbox, project_id, folder, read(sandbox, project_id, fields))
        assert out["jsonContent"].tolist() == [str(folder / "rich.json"), ""]
        assert json.loads((folder / "rich.json").read_text()) == blocks
        assert out["content"].tolist() == ["", str(folder / "plain.txt")]


def test_a_column_is_not_added_where_nothing_is_in_it(sandbox, folder):
    project_id = texts(sandbox, ["a"])
    out = fetch(sandbox, project_id, folder, read(sandbox, project_id, ["id", "content"]))
    assert list(out.columns) == ["id", "content"]
    frame = read(sandbox, project_id, ["externalId", "content"])
    with pytest.raises(KiliFieldError, match="'id' or 'jsonContent'"):
        fetch(sandbox, project_id, folder, frame)


def test_frames_are_files_in_their_order(sandbox, tmp_path, folder):
    frames = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        path.write_bytes(picture("PNG", (5, number + 1)))
        frames.append(path)
    project_id = sandbox.create_project("Frames", "VIDEO")
    upload(sandbox, project_id, ["clip"], [None], [frames])
    out = fetch(sandbox, project_id, folder)
    paths = json.loads(out["jsonContent"][0])
    assert paths == [str(folder / f"clip_{number:02}.png") for number in range(1, 13)]
    assert [Path(path).read_bytes() for path in paths] == [frame.read_bytes() for frame in frames]
    assert out["jsonContent"].dtype == pd.ArrowDtype(pa.string())


def test_a_video_of_which_a_frame_is_missing_fails_as_a_whole(sandbox, bucket, folder):
    bucket.script = [Reply(json.dumps({"0": f"{bucket.origin}/0", "1": f"{bucket.origin}/1"}).encode())]
    bucket.otherwise = Reply(b"", status=404)
    project_id = hosted(sandbox, bucket, "VIDEO", content="", jsonContent=f"{bucket.origin}/frames")
    with pytest.raises(KiliDownloadError, match=r"frame/[01]") as caught:
        fetch(sandbox, project_id, folder)
    assert caught.value.frame["jsonContent"][0] == f"{bucket.origin}/frames"


@pytest.mark.parametrize("text", ['{"a": "x"}', "[]", '["nowhere"]', "7", "{", "\ufeff[7]"])
def test_a_list_of_frames_that_is_none_is_told(sandbox, bucket, folder, text):
    bucket.otherwise = Reply(text.encode())
    project_id = hosted(sandbox, bucket, "VIDEO", content="", jsonContent=f"{bucket.origin}/frames")
    with pytest.raises(KiliDownloadError, match=r"not a list of frames|not JSON"):
        fetch(sandbox, project_id, folder)


def test_what_describes_an_image_becomes_the_text_of_its_cell(sandbox, tmp_path, folder):
    (tmp_path / "a.tif").write_bytes(picture("TIFF"))
    project_id = sandbox.create_project("Big", "IMAGE")
    (asset_id,) = upload(sandbox, project_id, ["a"], [tmp_path / "a.tif"])
    sandbox.set_asset(asset_id, ocrMetadata=read(sandbox, project_id)["jsonContent"][0])
    out = fetch(sandbox, project_id, folder, read(sandbox, project_id, [*FIELDS, "ocrMetadata"]))
    assert json.loads(out["jsonContent"][0])[0]["epsg"] == "TiledImage"
    assert json.loads(out["ocrMetadata"][0])[0]["epsg"] == "TiledImage"
    assert Path(out["content"][0]).read_bytes() == picture("TIFF")


def test_what_is_no_url_is_left(sandbox, folder):
    project_id = sandbox.create_project("Texts", "TEXT")
    sandbox.add_assets(project_id, [{"externalId": "a", "content": "raw text"}, {"externalId": "b", "content": ""}])
    out = fetch(sandbox, project_id, folder)
    assert out["content"].tolist() == ["raw text", ""]
    empty = read(sandbox, project_id).iloc[:0]
    assert len(fetch(sandbox, project_id, folder, empty)) == 0


def test_media_in_a_connected_storage_are_refused_for_their_rows_only(sandbox, folder):
    project_id = sandbox.create_project("Connected", "TEXT", data_connections=["storage"])
    ids = upload(sandbox, project_id, ["a", "b"], ["text of a", "text of b"])
    sandbox.set_asset(ids[1], dataIntegrationId="storage")
    with pytest.raises(KiliDownloadError, match=r"1 of 2 assets.*connected") as caught:
        fetch(sandbox, project_id, folder)
    assert [failure["row"] for failure in caught.value.failures] == [1]
    assert Path(caught.value.frame["content"][0]).read_text() == "text of a"


def test_a_server_that_does_not_tell_which_rows_are_connected_refuses_all(folder):
    with Sandbox(generation="legacy") as sandbox:
        project_id = sandbox.create_project("Connected", "TEXT", data_connections=["storage"])
        sandbox.add_assets(project_id, [{"externalId": "a", "content": "https://example.com/a.txt"}])
        with pytest.raises(KiliDownloadError, match="connected"):
            fetch(sandbox, project_id, folder)


def test_columns_that_are_missing_are_named(sandbox):
    for present, missing in (("id", "'content'"), ("content", "'id'")):
        with pytest.raises(KiliFieldError, match=missing):
            download_media(pd.DataFrame({present: ["x"]}), "p", client=sandbox.client)
    with pytest.raises(KiliNotFoundError):
        download_media(pd.DataFrame({"id": ["x"], "content": ["x"]}), "none", client=sandbox.client)


def test_large_files_are_streamed(sandbox, folder, tmp_path):
    with (tmp_path / "a.pdf").open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(64 * 2**20)
    project_id = sandbox.create_project("Large", "PDF")
    upload(sandbox, project_id, ["a"], [tmp_path / "a.pdf"])
    frame = read(sandbox, project_id)
    tracemalloc.start()
    out = fetch(sandbox, project_id, folder, frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Path(out["content"][0]).stat().st_size == 64 * 2**20
    assert peak < 12 * 2**20  # the server of this process included


def test_a_transfer_is_given_up_when_told_to(sandbox, folder, tmp_path):
    (tmp_path / "a.txt").write_text("x" * 5_000_000)
    project_id = sandbox.create_project("Texts", "TEXT")
    upload(sandbox, project_id, ["a"], [tmp_path / "a.txt"])
    url = read(sandbox, project_id)["content"][0]
    stop = threading.Event()
    sandbox.before_request(lambda _: stop.set())
    with Ledger(folder) as ledger, pytest.raises(CancelledError):
        Fetch(sandbox.client, ledger, True, stop).file(AssetFile("a", "content", "a"), url)
    assert left_behind(folder) == []
