"""Files go in through signed URLs, and come out by links, whole or in ranges."""

import time

import pytest
import requests

from pandas_kili.sandbox import Fault, Sandbox

SIGN = "query($paths: [String!]) { urls: createUploadBucketSignedUrls(filePaths: $paths) }"
APPEND = (
    "mutation($data: AppendManyAssetsData!, $where: ProjectWhere!) "
    "{ data: appendManyAssets(data: $data, where: $where) { id } }"
)
LATER = (
    "mutation appendManyAssetsAsynchronously($data: AppendManyAssetsAsynchronouslyData!, $where: ProjectWhere!) "
    "{ data: appendManyAssetsAsynchronously(data: $data, where: $where) { id } }"
)
PATH = "projects/p/assets/a b/content"
BYTES = bytes(range(256)) * 8


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def ask(sandbox, document, variables=None):
    headers = {"Authorization": f"X-API-Key: {sandbox.api_key}"}
    body = {"query": document, "variables": variables}
    answer = requests.post(sandbox.api_endpoint, json=body, headers=headers, timeout=10).json()
    assert "errors" not in answer, answer
    return answer["data"]


def signed(sandbox, *paths):
    return ask(sandbox, SIGN, {"paths": list(paths or [PATH])})["urls"]


def put(url, data=BYTES, content_type="image/png"):
    return requests.put(url.split("&id=")[0], data=data, headers={"Content-type": content_type}, timeout=10)


def served(sandbox, project):
    document = "query($w: AssetWhere!) { data: assets(where: $w, first: 1, skip: 0) { content jsonContent } }"
    return ask(sandbox, document, {"w": {"project": {"id": project}}})["data"][0]


def test_an_upload_becomes_the_content_of_an_asset(sandbox):
    project = sandbox.create_project("Files", "IMAGE")
    (url,) = signed(sandbox)
    assert url.index("&id=") > url.index("?")
    assert put(url).status_code == 200
    ask(sandbox, APPEND, {"data": {"contentArray": [url]}, "where": {"id": project}})
    content = served(sandbox, project)["content"]
    whole = requests.get(content, timeout=10)
    assert (whole.content, whole.headers["Content-Type"]) == (BYTES, "image/png")
    head = requests.head(content, timeout=10)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(BYTES)), b"")


def test_content_is_found_again_after_a_restart_on_another_port(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        project = sandbox.create_project("Files", "IMAGE")
        (url,) = signed(sandbox)
        put(url)
        ask(sandbox, APPEND, {"data": {"contentArray": [url]}, "where": {"id": project}})
    with Sandbox(tmp_path) as sandbox:
        assert requests.get(served(sandbox, project)["content"], timeout=10).content == BYTES


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-9", 206, BYTES[:10]),
        ("bytes=2000-", 206, BYTES[2000:]),
        ("bytes=-5", 206, BYTES[-5:]),
        ("bytes=2040-99999", 206, BYTES[2040:]),
        ("bytes=99999-", 416, b""),
        ("lines=1-2", 200, BYTES),
    ],
)
def test_ranges_of_a_file(sandbox, asked, status, expected):
    (url,) = signed(sandbox)
    put(url)
    answer = requests.get(url, headers={"Range": asked}, timeout=10)
    assert (answer.status_code, answer.content) == (status, expected)


def test_a_signature_holds_for_its_path_and_its_time_only(sandbox):
    url, other = signed(sandbox, "one", "two")
    expires = url.split("expires=")[1].split("&")[0]
    for forged in (
        url.replace("/one?", "/two?"),
        url.replace("signature=", "signature=0"),
        url.replace(expires, str(float(expires) + 60)),
        url.replace(expires, "never"),
        url.split("?")[0],
    ):
        assert put(forged).status_code == 403
        assert requests.get(forged, timeout=10).status_code == 403
    assert requests.get(other, timeout=10).status_code == 404


def test_a_signed_url_expires():
    with Sandbox(signed_url_ttl=0.05) as sandbox:
        (url,) = signed(sandbox)
        time.sleep(0.1)
        assert "ExpiredToken" in put(url).text


def test_uploads_in_chunks_and_half_uploads(sandbox):
    (url,) = signed(sandbox)
    assert put(url, iter([BYTES, BYTES])).status_code == 200
    assert requests.get(url, timeout=10).content == BYTES * 2
    bare = url.split("&id=")[0]
    prepared = requests.Request("PUT", bare, data=b"short").prepare()
    prepared.headers["Content-Length"] = "99"
    with requests.Session() as session, pytest.raises(requests.RequestException):
        session.send(prepared, timeout=0.3)
    assert requests.get(url, timeout=10).content == BYTES * 2


def test_a_fault_of_files_strikes_the_requests_that_it_names(sandbox):
    (url,) = signed(sandbox)
    sandbox.inject(Fault("disk_full"), Fault("expired_signature", "PUT"), Fault("status", "GET", status=503))
    assert [put(url).status_code for _ in range(3)] == [507, 403, 200]
    assert [requests.get(url, timeout=10).status_code for _ in range(2)] == [503, 200]
    sandbox.inject(Fault("cut", "GET"))
    with pytest.raises(requests.RequestException):
        requests.get(url, timeout=10)


@pytest.mark.parametrize("path", ["/", "/bucket/x", "/api/label/v2/files?id=nothing", "/api/label/v2/answers?id=x"])
def test_what_is_not_there_is_not_served(sandbox, path):
    origin = sandbox.api_endpoint.removesuffix("/api/label/v2/graphql")
    assert requests.get(origin + path, timeout=10).status_code in {403, 404}


def test_a_path_never_leaves_the_folder_of_the_bucket(sandbox, tmp_path):
    (url,) = signed(sandbox, "../../../../etc/evil")
    assert put(url).status_code == 200
    assert requests.get(url, timeout=10).content == BYTES
    assert all(len(stored.name) == 64 for stored in (sandbox._folder / "files").iterdir())


def notification(sandbox, made):
    document = "query($w: NotificationWhere!) { data: notifications(where: $w, first: 1, skip: 0) { status message } }"
    return ask(sandbox, document, {"w": {"id": made["id"]}})["data"][0]


def test_an_asynchronous_import_tells_its_end_by_a_notification():
    with Sandbox(import_delay=0.3) as sandbox:
        project = sandbox.create_project("Big", "IMAGE")
        layers = [[{"name": "low", "url": "https://example.com/low.tif"}]]
        data = {"multiLayerContentArray": layers, "externalIDArray": ["big"], "uploadType": "TILED_IMAGE"}
        made = ask(sandbox, LATER, {"data": data, "where": {"id": project}})["data"]
        twin = ask(sandbox, LATER, {"data": data, "where": {"id": project}})["data"]
        assert notification(sandbox, made)["status"] == "PENDING"
        assert sandbox.assets(project) == []
        time.sleep(0.4)
        assert notification(sandbox, made)["status"] == "SUCCESS"
        assert notification(sandbox, twin)["status"] == "FAILURE"
        tiles = requests.get(served(sandbox, project)["jsonContent"], timeout=10).json()
        assert tiles[0]["epsg"] == "TiledImage"


def test_an_import_left_from_before_a_restart_is_carried_out(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        project = sandbox.create_project("Video", "VIDEO")
        data = {"contentArray": ["https://example.com/a.mp4"], "uploadType": "NATIVE_VIDEO"}
        made = ask(sandbox, LATER, {"data": data, "where": {"id": project}})["data"]
    time.sleep(0.1)
    with Sandbox(tmp_path) as sandbox:
        assert notification(sandbox, made)["status"] == "SUCCESS"
        assert sandbox.assets(project)[0]["content"] == "https://example.com/a.mp4"
