"""Files on their way into the bucket, against a real server."""

import io
import threading
import tracemalloc
from concurrent.futures import CancelledError

import pytest
import requests
from PIL import Image
from tqdm import tqdm

from pandas_kili.connection.client import Client
from pandas_kili.errors import (
    KiliAuthenticationError,
    KiliConnectionError,
    KiliError,
    KiliGraphQLError,
    KiliValidationError,
)
from pandas_kili.media import (
    Medium,
    Stored,
    Uploads,
    check_license,
    media_of_rows,
    wait_for_import,
)
from pandas_kili.media import imports as media_imports
from pandas_kili.media.rules import File
from pandas_kili.sandbox import Fault, Sandbox

LATER = """mutation appendManyAssetsAsynchronously($data: AppendManyAssetsAsynchronouslyData!, $where: ProjectWhere!) {
  data: appendManyAssetsAsynchronously(data: $data, where: $where) { id } }"""
APPEND = """mutation appendManyAssets($data: AppendManyAssetsData!, $where: ProjectWhere!) {
  data: appendManyAssets(data: $data, where: $where) { id } }"""


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox):
    sandbox.client._retry.jitter = lambda _, most: 0.0
    return sandbox.client


def image(text):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (len(text), 7, 9)).save(buffer, "PNG")
    return buffer.getvalue() + text.encode()


def raw(text, slot="content"):
    return Medium(files=(File(slot, text, "text/plain", len(text)),))


def store_media(client, project_id, asset_ids, media, **options):
    return Uploads(client, project_id, dict(zip(asset_ids, media, strict=True)), **options).results(asset_ids)


def stored_bytes(sandbox):
    """What the bucket holds, by the id of the file."""
    rows = sandbox._store.rows("SELECT * FROM files")
    return {row["id"]: sandbox._workspace.bucket.path_of(row).read_bytes() for row in rows}


def operations(sandbox):
    return [request.operation for request in sandbox.requests]


def test_bytes_are_stored_where_kili_expects_them(sandbox, client, tmp_path):
    path = tmp_path / "ü 1.png"
    path.write_bytes(image("one"))
    (medium,), _ = media_of_rows("IMAGE", [path], [None], [None])
    (stored,) = store_media(client, "p", ["a1"], [medium])
    assert stored_bytes(sandbox) == {"projects/p/assets/a1/content": image("one")}
    answer = requests.get(stored.content, timeout=10)
    assert (answer.content, answer.headers["Content-Type"]) == (image("one"), "image/png")
    assert "&id=projects%2Fp%2Fassets%2Fa1%2Fcontent" in stored.content
    (put,) = [request for request in sandbox.requests if request.method == "PUT"]
    assert "&id=" not in put.path


def test_text_is_stored_with_its_charset(sandbox, client):
    (stored,) = store_media(client, "p", ["a"], [raw("Grüße".encode())])
    answer = requests.get(stored.content, timeout=10)
    assert (answer.text, answer.headers["Content-Type"]) == ("Grüße", "text/plain; charset=utf-8")


def test_rows_without_files_ask_for_nothing(sandbox, client):
    media = [Medium(content="https://example.com/a.png"), Medium(json_content="{}")]
    stored = store_media(client, "p", ["a", "b"], media)
    assert stored == [Stored("https://example.com/a.png"), Stored(json_content="{}")]
    assert sandbox.requests == []


def test_signatures_are_asked_for_thirty_at_a_time_and_rows_keep_their_order(sandbox, client):
    media = [raw(str(number).encode()) for number in range(100)]
    stored = store_media(client, "p", [f"a{number}" for number in range(100)], media)
    for number in (0, 29, 30, 99):
        assert requests.get(stored[number].content, timeout=10).text == str(number)
    asked = [len(request.variables["filePaths"]) for request in sandbox.requests if request.method == "POST"]
    assert sorted(asked) == [10, 30, 30, 30]  # lists are asked for side by side
    first_put = operations(sandbox).index("PUT")
    assert operations(sandbox)[:first_put].count("createUploadBucketSignedUrls") < 4  # not long before use


def test_layers_are_registered_with_their_names(sandbox, client, tmp_path):
    path = tmp_path / "low.tif"
    Image.new("RGB", (4, 3)).save(path)
    layers = [{"path": path, "name": "low"}, "https://example.com/high.tif"]
    (medium,), _ = media_of_rows("GEOSPATIAL", [layers], [None], [None])
    (stored,) = store_media(client, "p", ["a"], [medium])
    assert stored.content == ""
    assert [layer.get("name") for layer in stored.layers] == ["low", None]
    assert requests.get(stored.layers[0]["url"], timeout=10).content == path.read_bytes()
    assert stored.layers[1] == {"url": "https://example.com/high.tif"}
    assert list(stored_bytes(sandbox)) == ["projects/p/assets/a/content/0.tif"]


def test_frames_are_stored_and_listed_by_links_that_last(sandbox, client, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for path in paths:
        path.write_bytes(image(path.stem))
    frames = [*paths[:2], "https://example.com/hosted.png", *paths[2:]]
    (medium,), _ = media_of_rows("VIDEO", [None], [frames], [None])
    (stored,) = store_media(client, "p", ["a"], [medium])
    assert stored.content == ""
    listed = requests.get(stored.json_content, timeout=10).json()
    assert list(listed) == [str(number) for number in range(41)]
    base = sandbox.api_endpoint.removesuffix("/graphql")
    assert listed["0"] == f"{base}/files?id=projects/p/assets/a/frame/0"
    assert listed["2"] == "https://example.com/hosted.png"
    assert requests.get(listed["40"], timeout=10).content == paths[-1].read_bytes()


def test_a_video_whose_frames_are_all_hosted_is_a_list_of_them(client):
    frames = ["https://example.com/0.png", "https://example.com/1.png"]
    (medium,), _ = media_of_rows("VIDEO", [None], [frames], [None])
    (stored,) = store_media(client, "p", ["a"], [medium])
    assert requests.get(stored.json_content, timeout=10).json() == {"0": frames[0], "1": frames[1]}


def test_a_file_that_cannot_be_stored_fails_its_row_only(sandbox, client, tmp_path):
    gone, grown, whole = (tmp_path / name for name in ("gone.txt", "grown.txt", "whole.txt"))
    for path in (gone, grown, whole):
        path.write_text("text")
    media, _ = media_of_rows("TEXT", [gone, grown, whole], [None] * 3, [None] * 3)
    gone.unlink()
    grown.write_text("text and more")
    results = store_media(client, "p", ["a", "b", "c"], media)
    assert [type(result) for result in results] == [KiliValidationError, KiliValidationError, Stored]
    assert "gone.txt could not be read" in str(results[0])
    assert "has changed" in str(results[1])
    assert list(stored_bytes(sandbox)) == ["projects/p/assets/c/content"]


FAULTS = [
    Fault("reset_before", "PUT", nth=2, times=2),
    Fault("reset_after", "PUT"),
    Fault("status", "PUT", times=2, status=503),
    Fault("status", "PUT", status=429),
    Fault("disk_full", "PUT"),
    Fault("expired_signature", "PUT", times=2),
    Fault("refuse", "PUT"),
    Fault("cut", "PUT"),
    Fault("reset_before", "createUploadBucketSignedUrls"),
    Fault("status", "createUploadBucketSignedUrls", status=502),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind} {fault.operation}")
def test_what_fails_is_sent_again_whole(sandbox, client, tmp_path, fault):
    paths = [tmp_path / f"{number}.txt" for number in range(5)]
    for path in paths:
        path.write_text(path.stem * 50_000)
    media, _ = media_of_rows("TEXT", paths, [None] * 5, [None] * 5)
    sandbox.inject(fault)
    with tqdm(disable=False, file=io.StringIO()) as bar:
        results = store_media(client, "p", list("abcde"), media, bar=bar)
        assert bar.n == sum(medium.size for medium in media)
    assert all(isinstance(result, Stored) for result in results)
    assert list(stored_bytes(sandbox).values()) != []
    for result, path in zip(results, paths, strict=True):
        assert requests.get(result.content, timeout=10).content == path.read_bytes()


def test_an_expired_signature_is_asked_for_again(tmp_path):
    with Sandbox(signed_url_ttl=0.2) as sandbox:
        asked = []

        def expire(request):
            if request.method == "PUT" and not asked:
                asked.append(request)
                threading.Event().wait(0.3)

        sandbox.before_request(expire)
        (stored,) = store_media(sandbox.client, "p", ["a"], [raw(b"late")])
        assert isinstance(stored, Stored)
        assert list(stored_bytes(sandbox).values()) == [b"late"]
        assert operations(sandbox) == ["createUploadBucketSignedUrls", "PUT"] * 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", "PUT", times=None, status=404), KiliConnectionError),
        (Fault("expired_signature", "PUT", times=None), KiliError),
        (Fault("graphql_error", "createUploadBucketSignedUrls", times=None, code="BAD_USER_INPUT"), KiliGraphQLError),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_goes_on_failing_is_the_error_of_its_row(sandbox, client, fault, error):
    sandbox.inject(fault)
    results = store_media(client, "p", ["a", "b"], [raw(b"x"), Medium(content="https://example.com/a.png")])
    assert isinstance(results[0], error)
    assert "signature" not in str(results[0])
    assert results[1] == Stored("https://example.com/a.png")
    assert stored_bytes(sandbox) == {}


def test_whoever_refuses_one_list_of_urls_is_not_asked_for_the_next(sandbox, client):
    sandbox.inject(Fault("graphql_error", "createUploadBucketSignedUrls", times=None, code="BAD_USER_INPUT"))
    results = store_media(client, "p", [str(n) for n in range(100)], [raw(b"x")] * 100)
    assert all(isinstance(result, KiliGraphQLError) for result in results)
    assert operations(sandbox) == ["createUploadBucketSignedUrls"]


def test_a_video_of_which_a_frame_fails_is_not_listed(sandbox, client, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        path.write_bytes(image(path.stem))
    (medium,), _ = media_of_rows("VIDEO", [None], [paths], [None])
    paths[1].unlink()
    (result,) = store_media(client, "p", ["a"], [medium])
    assert isinstance(result, KiliValidationError)
    assert not any(name.endswith("jsonContent") for name in stored_bytes(sandbox))


def test_uploads_are_given_up_when_told_to(sandbox, client, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text" * 1_000_000)
    media, _ = media_of_rows("TEXT", [path] * 5, [None] * 5, [None] * 5)
    stop = threading.Event()
    sandbox.before_request(lambda request: stop.set() if request.method == "PUT" else None)
    with pytest.raises(CancelledError):
        store_media(client, "p", list("abcde"), media, stop=stop)
    assert all(len(data) == 4_000_000 for data in stored_bytes(sandbox).values())  # whole, or not there


def test_large_files_are_streamed(sandbox, client, tmp_path):
    path = tmp_path / "a.mp4"
    with path.open("wb") as file:
        file.write(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
        file.truncate(64 * 2**20)
    (medium,), _ = media_of_rows("VIDEO", [path], [None], [None])
    tracemalloc.start()
    (stored,) = store_media(client, "p", ["a"], [medium])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(stored, Stored)
    assert peak < 8 * 2**20  # the server of this process included


def test_the_key_never_goes_to_a_bucket_of_another_origin(sandbox, scripted_server):
    asked = []

    class Elsewhere(Client):
        def execute(self, document, variables=None, **options):
            answer = super().execute(document, variables, **options)
            asked.extend(answer["urls"])
            origin = sandbox.api_endpoint.removesuffix("/api/label/v2/graphql")
            return {"urls": [url.replace(origin, scripted_server.origin) for url in answer["urls"]]}

    with Elsewhere(sandbox.api_key, sandbox.api_endpoint) as client:
        (stored,) = store_media(client, "p", ["a"], [raw(b"x")])
    (put,) = scripted_server.asked
    assert "Authorization" not in put.headers
    assert sandbox.api_key not in str(put.headers) + put.path
    assert stored.content.startswith(scripted_server.origin)


def test_azure_is_told_what_kind_of_blob_it_gets(monkeypatch, client):
    told = {}
    monkeypatch.setattr(client, "put", lambda url, data, headers, stop: told.update({url: headers}))
    for host in ("https://kili.blob.core.windows.net", "https://storage.googleapis.com", "https://x.test"):
        url = f"{host}/blob.core.windows.net?sig=1&id=a"
        monkeypatch.setattr(client, "execute", lambda *_, url=url, **__: {"urls": [url]})
        store_media(client, "p", ["a"], [raw(b"x")])
    assert [headers.get("x-ms-blob-type") for headers in told.values()] == ["BlockBlob", None, None]


def append(client, project_id, medium, stored, asset_id="a1"):
    data = {"idArray": [asset_id], "externalIDArray": ["one"]}
    if medium.upload_type:
        layers = {"multiLayerContentArray": [stored.layers], "jsonContentArray": [stored.json_content]}
        data |= layers if stored.layers else {"contentArray": [stored.content]}
        data["uploadType"] = medium.upload_type
        made = client.execute(LATER, {"data": data, "where": {"id": project_id}})["data"]
        wait_for_import(client, made["id"])
    else:
        data |= {"contentArray": [stored.content], "jsonContentArray": [stored.json_content]}
        client.execute(APPEND, {"data": data, "where": {"id": project_id}})


@pytest.mark.parametrize("input_type", ["IMAGE", "GEOSPATIAL"])
def test_an_import_is_waited_for(tmp_path, input_type):
    path = tmp_path / "a.tif"
    Image.new("RGB", (4, 3)).save(path)
    with Sandbox(import_delay=0.3) as sandbox:
        project_id = sandbox.create_project("Later", input_type)
        (medium,), _ = media_of_rows(input_type, [path], [None], [None])
        (stored,) = store_media(sandbox.client, project_id, ["a1"], [medium])
        append(sandbox.client, project_id, medium, stored)
        (asset,) = sandbox.assets(project_id)
        assert asset["id"] == "a1"


def test_an_import_that_fails_says_what_the_server_says(sandbox, client):
    project_id = sandbox.create_project("Later", "VIDEO")
    medium = Medium(content="https://example.com/a.mp4", upload_type="NATIVE_VIDEO")
    append(client, project_id, medium, Stored(medium.content))
    with pytest.raises(KiliGraphQLError, match="already exist"):
        append(client, project_id, medium, Stored(medium.content))


def test_an_import_whose_end_is_never_told_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(media_imports, "_LONGEST_SILENCE", 0.2)
    monkeypatch.setattr(media_imports, "_LONGEST_IMPORT", 0.3)
    with Sandbox(import_delay=60) as sandbox:
        project_id = sandbox.create_project("Later", "VIDEO")
        data = {"contentArray": ["https://example.com/a.mp4"], "uploadType": "NATIVE_VIDEO"}
        made = sandbox.client.execute(LATER, {"data": data, "where": {"id": project_id}})["data"]
        for notification_id, text in ((made["id"], "has not ended"), ("unknown", "not known")):
            with pytest.raises(KiliConnectionError, match=text) as caught:
                wait_for_import(sandbox.client, notification_id)
            assert caught.value.outcome_unknown


def test_waiting_ends_when_told_to():
    stop = threading.Event()
    with Sandbox(import_delay=60) as sandbox:
        project_id = sandbox.create_project("Later", "VIDEO")
        data = {"contentArray": ["https://example.com/a.mp4"], "uploadType": "NATIVE_VIDEO"}
        made = sandbox.client.execute(LATER, {"data": data, "where": {"id": project_id}})["data"]
        sandbox.before_request(lambda request: stop.set())
        with pytest.raises(CancelledError):
            wait_for_import(sandbox.client, made["id"], stop=stop)


@pytest.mark.parametrize("generation", ["legacy", "current", "both"])
def test_the_license_decides_over_local_files(generation):
    with Sandbox(generation=generation) as sandbox:
        check_license(sandbox.client)
    with (
        Sandbox(generation=generation, upload_local_data=False) as sandbox,
        pytest.raises(KiliAuthenticationError, match="license"),
    ):
        check_license(sandbox.client)


def test_an_id_may_hold_what_urls_give_a_meaning(sandbox, client):
    name = "ü &id=1/../x"
    (stored,) = store_media(client, "p", [name], [raw(b"x")])
    assert list(stored_bytes(sandbox)) == [f"projects/p/assets/{name}/content"]
    assert requests.get(stored.content, timeout=10).content == b"x"
