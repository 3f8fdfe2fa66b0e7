"""What the cells of a frame become, and what is refused before anything is sent."""

import io
import json
import os
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pandas_kili.media.rules import File, Layer, Medium, media_of_rows

URL = "https://example.com/a.png"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 64


def picture(form="PNG", size=(4, 3)):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, form)
    return buffer.getvalue()


def large_png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + b"\0\0\0\0" + b"\0" * 64


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def plan(input_type, content=None, json_content=None, metadata=None, **options):
    (medium,), problems = media_of_rows(input_type, [content], [json_content], [metadata], **options)
    assert problems == [], problems
    return medium


def refused(input_type, content=None, json_content=None, metadata=None, **options):
    (medium,), (problem,) = media_of_rows(input_type, [content], [json_content], [metadata], **options)
    assert medium is None
    assert problem.row == 0
    return problem


def only_file(medium):
    (file,) = medium.files
    return file


@pytest.mark.parametrize("input_type", ["IMAGE", "TEXT", "PDF", "AUDIO", "GEOSPATIAL", "LLM_RLHF", "URL", "NA"])
def test_a_url_is_registered_as_it_is(input_type):
    url = "HTTPS://example.com/page?id=7"
    assert plan(input_type, url) == Medium(content=url)


@pytest.mark.parametrize("path", ["a.PDF", "a.pdf?as=a.png", "a.pdf#a.png", "a.b.pdf", "a.pdf/", "a/..pdf"])
def test_a_url_of_another_kind_of_file_is_refused(path):
    for json_content in (None, "", {"beside": "it"}):
        problem = refused("IMAGE", f"https://example.com/{path}", json_content)
        assert problem.column == "content"
        assert problem.message.endswith("not .pdf")
    assert plan("PDF", f"https://example.com/{path}").content.endswith(path)


@pytest.mark.parametrize("path", ["", "a", "a.", ".pdf", "a.pdf/b", "a.pdf.", "a?b.pdf", "a#b.pdf", "pdf"])
def test_a_url_that_names_no_kind_of_file_is_taken(path):
    assert plan("IMAGE", f"https://example.com/{path}").content.endswith(path)


CASES = [
    ("IMAGE", "a.png", picture(), "image/png", "content"),
    ("IMAGE", "a.JPG", picture("JPEG"), "image/jpeg", "content"),
    ("IMAGE", "a.gif", picture("GIF"), "image/gif", "content"),
    ("IMAGE", "a.bmp", picture("BMP"), "image/bmp", "content"),
    ("IMAGE", "a.webp", picture("WEBP"), "image/webp", "content"),
    ("IMAGE", "a.ico", picture("ICO", (16, 16)), "image/vnd.microsoft.icon", "content"),
    ("PDF", "a.pdf", PDF, "application/pdf", "content"),
    ("PDF", "a.pdf", b"\n\n" + PDF, "application/pdf", "content"),
    ("AUDIO", "a.flac", b"fLaC" + b"\0" * 40, "audio/x-flac", "content"),
    ("AUDIO", "a.mp3", b"\xff\xfb\x90\x64" + b"\0" * 40, "audio/mpeg", "content"),
    ("AUDIO", "a.wav", b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40, "audio/x-wav", "content"),
    ("AUDIO", "a.mp4", MP4, "video/mp4", "content"),
    ("TEXT", "a.txt", "Grüße\n".encode(), "text/plain", "content"),
    ("TEXT", "a.csv", b"a,b\n1,2\n", "text/plain", "content"),
    ("TIME_SERIES", "a.csv", b"a,b\n1,2\n", "text/csv", "content"),
    ("LLM_RLHF", "a.json", b'{"prompt": "?"}', "application/json", "content"),
    ("VIDEO", "a.mp4", MP4, "video/mp4", "content"),
    ("VIDEO_LEGACY", "a.mp4", MP4, "video/mp4", "content"),
    ("VIDEO", "a.avi", b"RIFF\0\0\0\0AVI LIST" + b"\0" * 40, "video/x-msvideo", "content"),
    ("GEOSPATIAL", "a.tif", picture("TIFF"), "image/tiff", "content.tif"),
    ("GEOSPATIAL", "a.ntf", b"NITF02.10" + b" " * 400, "application/vnd.nitf", "content.tif"),
]


@pytest.mark.parametrize(("input_type", "name", "data", "content_type", "slot"), CASES)
def test_a_local_file_is_to_be_stored(folder, input_type, name, data, content_type, slot):
    path = folder / name
    path.write_bytes(data)
    assert only_file(plan(input_type, str(path))) == File(slot, path, content_type, len(data))
    assert plan(input_type, path).is_local


@pytest.mark.parametrize("name", ["a b.png", "é 漢字 😀.png", "100% #1?.png", "~x.png", "a+b&c=d.png"])
def test_any_spelling_of_a_path_leads_to_the_file(folder, monkeypatch, name):
    monkeypatch.setenv("HOME", str(folder))
    path = folder / name
    path.write_bytes(picture())
    spellings = [
        path,
        str(path),
        Path(name),
        f"./{name}",
        path.as_uri(),
        f"~/{name}",
        f"file://localhost{path.as_uri()[7:]}",
    ]
    assert {only_file(plan("IMAGE", each)).source for each in spellings} == {path}


def test_what_has_no_extension_is_known_by_its_bytes(folder):
    (folder / "scan").write_bytes(picture())
    (folder / "paper").write_bytes(PDF)
    assert only_file(plan("IMAGE", "scan")).content_type == "image/png"
    assert only_file(plan("PDF", "paper")).content_type == "application/pdf"
    assert "its bytes do not" in refused("PDF", "scan").message


@pytest.mark.parametrize(
    ("input_type", "name", "data", "message"),
    [
        ("IMAGE", "missing.png", None, "no such file"),
        ("IMAGE", " missing.png", None, "' missing.png' begins or ends with white space"),
        ("IMAGE", "empty.png", b"", "empty"),
        ("IMAGE", "page.png", b"<!DOCTYPE html><html><body>Log in</body></html>", "holds text/html"),
        ("IMAGE", "paper.jpg", PDF, "holds application/pdf"),
        ("IMAGE", "broken.png", b"these are no bytes of a picture", "does not begin as"),
        ("IMAGE", "paper.pdf", PDF, "takes .jpg, .jpeg, .png"),
        ("IMAGE", "clip.mp4", MP4, "does not take"),
        ("PDF", "a.pdf", picture(), "holds image/png"),
        ("PDF", "a.png", picture(), "it takes .pdf"),
        ("VIDEO", "a.mp4", PDF, "holds application/pdf"),
        ("AUDIO", "a.wav", picture(), "holds image/png"),
        ("TEXT", "latin.txt", "Grüße".encode("latin-1"), "UTF-8"),
        ("TEXT", "cut.txt", "ü".encode()[:1], "UTF-8"),
        ("TIME_SERIES", "a.csv", b"\xff\xfe", "UTF-8"),
        ("LLM_RLHF", "a.json", b"{", "not JSON"),
        ("LLM_RLHF", "a.txt", b"{}", "it takes .json"),
        ("URL", "a.png", picture(), "only URLs"),
        ("LLM_STATIC", "a.json", b"{}", "only URLs"),
    ],
)
def test_a_file_that_does_not_fit_is_a_problem(folder, input_type, name, data, message):
    if data is not None:
        (folder / name).write_bytes(data)
    problem = refused(input_type, name)
    assert message in problem.message
    assert (problem.column, problem.value) == ("content", name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (".", "folder"),
        ("s3://bucket/a.png", "neither an http(s) URL nor a local path"),
        ("file://server/share/a.png", "another machine"),
        ("\0.png", "cannot be read"),
        (7, "is an int"),
        (b"bytes", "is a bytes"),
        (3.5, "is a float"),
        ("https://example.com/paper.pdf?x=1", "not .pdf"),
    ],
)
def test_a_value_that_is_no_file_is_a_problem(folder, content, message):
    assert message in refused("IMAGE", content).message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_a_problem(folder):
    (folder / "a.png").write_bytes(picture())
    (folder / "a.png").chmod(0)
    assert "ermission" in refused("IMAGE", "a.png").message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "a.png")
    assert "regular" in refused("IMAGE", "a.png").message


@pytest.mark.parametrize("nothing", [None, "", np.nan, pd.NA, pd.NaT, [], np.array([])])
def test_a_row_without_content_is_a_problem(nothing):
    assert "an asset needs one" in refused("IMAGE", nothing, nothing).message


def test_all_problems_come_at_once_with_their_rows(folder):
    (folder / "a.png").write_bytes(picture())
    contents = ["a.png", "b.png", URL, None, "c.png"]
    media, problems = media_of_rows("IMAGE", contents, [None] * 5, [None] * 5)
    assert [medium is not None for medium in media] == [True, False, True, False, False]
    assert [(problem.row, problem.value) for problem in problems] == [(1, "b.png"), (3, None), (4, "c.png")]


def test_raw_text_is_stored_as_a_file(folder):
    text = "Grüße, 漢字\nsecond line ends like a.txt"
    assert only_file(plan("TEXT", text)) == File("content", text.encode(), "text/plain", len(text.encode()))
    for raw in ("README", "see notes.txt", "x" * 10_000, "and/or"):
        (folder / "README").write_bytes(b"a file that happens to be there")
        assert only_file(plan("TEXT", raw)).source == raw.encode()


def test_text_that_names_a_missing_file_is_not_taken_for_its_content(folder):
    for content in ("missing.txt", "notes/missing.csv", Path("missing.txt"), "file:///missing.txt"):
        assert "no such file" in refused("TEXT", content).message


@pytest.mark.parametrize("blocks", [[{"children": [{"id": "1", "text": "ü"}]}], {"a": 1}])
def test_rich_text_is_stored_as_json(blocks):
    for value in (blocks, json.dumps(blocks)):
        file = only_file(plan("TEXT", None, value))
        assert (file.slot, file.content_type, json.loads(file.source)) == ("jsonContent", "text/plain", blocks)
    assert not plan("TEXT", None, blocks).is_local
    assert plan("TEXT", None, "https://example.com/rich") == Medium(json_content="https://example.com/rich")
    assert "must be empty" in refused("TEXT", "words", blocks).message
    assert refused("TEXT", None, "{").column == "jsonContent"
    assert refused("TEXT", None, [float("nan")]).column == "jsonContent"
    assert refused("TEXT", None, "[NaN]").column == "jsonContent"


def test_json_beside_an_image_is_sent_along(folder):
    (folder / "a.png").write_bytes(picture())
    assert plan("IMAGE", "a.png", {"a": "ü"}).json_content == '{"a": "ü"}'
    assert plan("IMAGE", None, '{"a": 1}') == Medium(json_content='{"a": 1}')


@pytest.mark.parametrize(
    ("name", "data", "current", "legacy"),
    [
        ("a.tif", picture("TIFF"), "TILED_IMAGE", "GEO_SATELLITE"),
        ("a.jp2", picture("JPEG2000", (64, 64)), "TILED_IMAGE", None),
        ("wide.png", large_png(10_000, 5), "TILED_IMAGE", "GEO_SATELLITE"),
        ("high.png", large_png(5, 12_000), "TILED_IMAGE", "GEO_SATELLITE"),
        ("usual.png", large_png(9_999, 9_999), None, None),
    ],
)
def test_large_images_are_cut_into_tiles(folder, name, data, current, legacy):
    (folder / name).write_bytes(data)
    assert plan("IMAGE", name).upload_type == current
    assert plan("IMAGE", name, generation="legacy").upload_type == legacy
    if current:
        assert "tiles" in refused("IMAGE", name, {"a": 1}).message


def test_a_heavy_image_is_cut_into_tiles(folder):
    with (folder / "a.png").open("wb") as file:
        file.write(picture())
        file.truncate(30 * 2**20)
    assert plan("IMAGE", "a.png").upload_type == "TILED_IMAGE"


def test_layers_are_stored_side_by_side(folder):
    for name in ("low.tif", "high.tif"):
        (folder / name).write_bytes(picture("TIFF"))
    medium = plan("GEOSPATIAL", [{"path": "low.tif", "name": "low"}, "high.tif", "https://example.com/top.tif"])
    assert [file.slot for file in medium.files] == ["content/0.tif", "content/1.tif"]
    expected = (Layer("content/0.tif", "low"), Layer("content/1.tif"), Layer("https://example.com/top.tif"))
    assert (medium.layers, medium.upload_type) == (expected, "GEO_SATELLITE")
    assert plan("IMAGE", ("low.tif",)).layers == (Layer("content/0"),)
    assert plan("IMAGE", ["low.tif"]).upload_type == "TILED_IMAGE"
    assert "layer 1 no such file" in refused("IMAGE", ["low.tif", "none.tif"]).message
    assert "layers" in refused("IMAGE", ["low.tif"], generation="legacy").message
    assert refused("PDF", ["a.pdf"]).message.startswith("is a list")


def test_maps_are_imported_later(folder):
    (folder / "a.tif").write_bytes(picture("TIFF"))
    assert plan("GEOSPATIAL", "a.tif").upload_type == "GEO_SATELLITE"


@pytest.mark.parametrize(
    ("given", "current", "legacy"),
    [(None, "NATIVE_VIDEO", None), (True, "NATIVE_VIDEO", None), (False, "FRAME_VIDEO", "VIDEO")],
)
def test_videos_are_kept_or_cut_as_their_parameters_say(folder, given, current, legacy):
    (folder / "a.mp4").write_bytes(MP4)
    parameters = {} if given is None else {"shouldUseNativeVideo": given}
    metadata = {"other": 1, "processingParameters": parameters}
    for content in ("a.mp4", "https://example.com/a.mp4"):
        medium = plan("VIDEO", content, None, metadata)
        assert (medium.upload_type, medium.metadata) == (current, {"processingParameters": parameters})
        medium = plan("VIDEO", content, None, metadata, generation="legacy")
        defaults = {"shouldKeepNativeFrameRate": True, "framesPlayedPerSecond": 30, "shouldUseNativeVideo": True}
        assert (medium.upload_type, medium.metadata) == (legacy, {"processingParameters": {**defaults, **parameters}})


def test_frames_come_from_files_and_urls(folder):
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(picture())
    medium = plan("VIDEO", None, ["1.png", URL, Path("2.png")])
    assert medium.frames == ("frame/0", URL, "frame/2")
    assert [file.slot for file in medium.files] == ["frame/0", "frame/2"]
    assert (medium.upload_type, medium.metadata, medium.is_local) == (None, {"processingParameters": {}}, True)
    for value in (json.dumps([URL, URL]), {"1": URL, "0": URL}, np.array([URL, URL]), (URL, URL)):
        assert plan("VIDEO", None, value).frames == (URL, URL)
    ordered = {str(n): f"{URL}?{n}" for n in reversed(range(12))}
    assert plan("VIDEO", None, ordered).frames == tuple(f"{URL}?{n}" for n in range(12))
    assert plan("VIDEO", URL.replace("png", "mp4"), [URL]).content == URL.replace("png", "mp4")
    legacy = plan("VIDEO", None, [URL], generation="legacy").metadata["processingParameters"]
    assert legacy == {"shouldKeepNativeFrameRate": False, "framesPlayedPerSecond": 30, "shouldUseNativeVideo": False}
    assert plan("VIDEO", None, "https://example.com/frames").json_content == "https://example.com/frames"


@pytest.mark.parametrize(
    ("content", "frames", "column", "message"),
    [
        (None, ["none.png"], "jsonContent", "frame 0 no such file"),
        (None, [URL, 7], "jsonContent", "frame 1 is an int"),
        (None, "1.png", "jsonContent", "list of frames"),
        (None, "7", "jsonContent", "list of frames"),
        (None, {"a": URL}, "jsonContent", "no number"),
        ("a.mp4", [URL], "content", "must be a URL or empty"),
        ("a.mp4", "https://example.com/frames", "content", "must be a URL or empty"),
    ],
)
def test_frames_that_cannot_be_sent(folder, content, frames, column, message):
    problem = refused("VIDEO", content, frames)
    assert problem.column == column
    assert message in problem.message


def test_parameters_of_a_video_are_a_mapping(folder):
    for metadata in ({"processingParameters": 7}, '{"processingParameters": 7}', "[7]"):
        assert refused("VIDEO", URL.replace("png", "mp4"), None, metadata).column == "jsonMetadata"


def test_conversations_are_values_or_files():
    file = only_file(plan("LLM_RLHF", {"prompt": "ü", "completions": []}))
    assert (file.content_type, json.loads(file.source)) == ("application/json", {"prompt": "ü", "completions": []})
    assert refused("LLM_RLHF", {"a": {1, 2}}).column == "content"


@pytest.mark.parametrize("text", ["https://t.co/x Match postponed", "http://a.org\nsecond line"])
def test_text_that_begins_with_a_url_is_text(text):
    assert only_file(plan("TEXT", text)).source == text.encode()
    assert plan("TEXT", text.split()[0]) == Medium(content=text.split()[0])


def test_a_name_that_could_be_text_asks_what_it_is(folder):
    (folder / "read me.txt").write_bytes(b"words")
    (folder / "notes.txt").write_bytes(b"words")
    assert "content_is=" in refused("TEXT", "read me.txt").message
    for spelled in ("./read me.txt", str(folder / "read me.txt"), folder / "read me.txt", "notes.txt"):
        assert only_file(plan("TEXT", spelled)).source == folder / Path(spelled).name
    for name in ("read me.txt", "notes.txt", "missing.txt", "https://example.com/a.txt"):
        assert only_file(plan("TEXT", name, content_is="text")).source == name.encode()
    assert only_file(plan("TEXT", "read me.txt", content_is="path")).source == folder / "read me.txt"


def test_all_contents_are_what_they_are_said_to_be():
    assert plan("TEXT", URL.replace("png", "txt"), content_is="url").content.endswith("txt")
    assert plan("IMAGE", URL, content_is="url") == Medium(content=URL)
    assert "no http" in refused("TEXT", "words", content_is="url").message
    assert "no http" in refused("IMAGE", "a.png", content_is="url").message
    assert "is a URL" in refused("IMAGE", URL, content_is="path").message
    assert "no such file" in refused("TEXT", "some words", content_is="path").message
    assert "takes none" in refused("IMAGE", "words", content_is="text").message
    assert "not text" in refused("TEXT", 5, content_is="text").message


HALF = "a\ud800b"


@pytest.mark.parametrize(
    ("input_type", "content", "json_content"),
    [
        ("TEXT", HALF, None),
        ("IMAGE", f"https://x.org/{HALF}", None),
        ("TEXT", None, [{"children": [{"text": HALF}]}]),
        ("TEXT", None, f'["{HALF}"]'),
        ("IMAGE", [{"path": URL, "name": HALF}], None),
        ("VIDEO", None, [URL, f"https://x.org/{HALF}"]),
        ("LLM_RLHF", {"prompt": HALF}, None),
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(input_type, content, json_content):
    problem = refused(input_type, content, json_content)
    assert (problem.column, "surrogate" in problem.message) == ("jsonContent" if content is None else "content", True)


def test_values_of_numpy_are_taken_in_rich_text():
    file = only_file(plan("TEXT", None, [{"size": np.int64(3), "parts": np.array([1.5])}]))
    assert json.loads(file.source) == [{"size": 3, "parts": [1.5]}]
