"""Pages of PDFs and frames of videos: the one that was annotated is shown, and files that were made to harm do not."""

import base64
import functools
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pandas as pd
import pytest
from moving import assembled, gray, pdf, stream, turned, video
from PIL import Image

from pandas_kili.display import decoding, gallery, media, preview_frame
from pandas_kili.display.decoding import Still, decoded
from pandas_kili.display.media import rate_of
from pandas_kili.display.thumbnails import NotShownError
from pandas_kili.sandbox import Sandbox

WIDE = b"/MediaBox[0 0 200 100]"
CORNER = b"1 0 0 rg 0 75 50 25 re f"  # red in the top left of a wide page


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """No test is about how fast a machine is; those about the limits set their own."""
    monkeypatch.setattr(decoding, "_SECONDS", 120.0)
    monkeypatch.setattr(gallery, "_PATIENCE", 600.0)


def pixels_of(picture):
    data = base64.b64decode(picture.uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)


def shown(source, part, stop=None):
    picture, note = decoded(source, part, 90_000, stop or threading.Event())
    pixels = pixels_of(picture)
    assert pixels.shape == (picture.height, picture.width, 3)
    return pixels, note


def refusal(source, part, stop=None):
    with pytest.raises(NotShownError) as refused:
        decoded(source, part, 90_000, stop or threading.Event())
    return str(refused.value)


def area(category, page):
    polygon = [{"normalizedVertices": [{"x": x, "y": y} for x, y in ((0, 0), (0, 0.5), (0.5, 0.5))]}]
    drawn = {"boundingPoly": polygon, "polys": polygon, "pageNumberArray": [page]}
    return {"mid": f"{category}{page}", "type": "rectangle", "categories": [{"name": category}], "annotations": [drawn]}


def box():
    polygon = [{"normalizedVertices": [{"x": x, "y": y} for x, y in ((0, 0), (0, 1), (1, 1), (1, 0))]}]
    return {"mid": "m", "type": "rectangle", "categories": [{"name": "A"}], "boundingPoly": polygon, "isKeyFrame": True}


def page_of(content, answer, **columns):
    labels = [[{"id": "l", "labelType": "DEFAULT", "jsonResponse": json.dumps(answer)}]]
    return preview_frame(pd.DataFrame({"content": [str(content)], "labels": labels, **columns})).html


def red(pixels):
    """Return left, top, right and bottom of what is red, in shares of the picture."""
    found = (pixels[..., 0] > 128) & (pixels[..., 1] < 128)
    down, across = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    height, width = found.shape
    return [across[0] / width, down[0] / height, (across[-1] + 1) / width, (down[-1] + 1) / height]


# ------------------------------------------------------------------------------------------------------------- pages


BOXES = {
    "plain": (WIDE, [0, 0, 0.25, 0.25], 2.0),
    "quarter": (WIDE + b"/Rotate 90", [0.75, 0, 1, 0.25], 0.5),
    "half": (WIDE + b"/Rotate 180", [0.75, 0.75, 1, 1], 2.0),
    "crop": (WIDE + b"/CropBox[25 50 125 100]", [0, 0, 0.25, 0.5], 2.0),
    "crop and quarter": (WIDE + b"/CropBox[25 50 125 100]/Rotate 90", [0.5, 0, 1, 0.25], 0.5),
    "moved": (b"/MediaBox[-100 50 100 150]", [0.5, 0.5, 0.75, 0.75], 2.0),
}


@pytest.mark.parametrize("case", BOXES)
def test_a_page_lies_as_readers_show_it(case):
    entries, place, shape = BOXES[case]
    pixels, note = shown(pdf((entries, CORNER)), Still("page"))
    assert pixels.shape[1] / pixels.shape[0] == shape
    height, width, _ = pixels.shape
    assert (np.abs(np.array(red(pixels)) - place) * [width, height, width, height]).max() <= 1.001  # of rounding
    assert note == "page 1 of 1"


def test_the_page_is_shown_that_was_annotated_most(tmp_path):
    pages = [(b"/MediaBox[0 0 100 %d]" % (100 * number), b"") for number in range(1, 6)]
    (tmp_path / "a.pdf").write_bytes(pdf(*pages))
    answer = {"J": {"annotations": [area("A", 2), area("A", 5), area("B", 5)]}}
    page = page_of(tmp_path / "a.pdf", answer)
    assert "page 5 of 5" in page
    assert 'viewBox="0 0 192 960"' in page
    assert "1 more on page 2" in page
    assert page.count('class="kp-stroke"') == 2


def test_a_page_that_is_not_there_is_told(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf((WIDE, CORNER)))
    page = page_of(tmp_path / "a.pdf", {"J": {"annotations": [area("A", 7)]}})
    assert "page 7: the document has 1 page, and none of that number" in page
    assert 'class="kp-stroke"' in page, "its shapes are drawn"


# ------------------------------------------------------------------------------------------------------------ frames


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.mkv", "mpeg4"), ("a.avi", "mpeg4")])
@pytest.mark.parametrize("number", [None, 0, 1, 11, 12, 13, 24])
def test_a_frame_is_the_one_of_its_number_and_no_key_frame_near_it(tmp_path, name, codec, number):
    video(tmp_path / name, codec=codec)
    pixels, note = shown(tmp_path / name, Still("frame", number))
    assert abs(pixels.mean() - gray(number or 0)) < 4
    assert note.startswith(f"frame {number or 0}")


@pytest.mark.parametrize("number", [0, 9, 10, 11, 24])
def test_frames_that_come_unevenly_are_counted(tmp_path, number):
    video(tmp_path / "a.mp4", times=[40 * each if each < 10 else 100 * each for each in range(25)])
    pixels, note = shown(tmp_path / "a.mp4", Still("frame", number))
    assert abs(pixels.mean() - gray(number)) < 4
    assert ("counted" in note) == (number > 0)


def test_frames_are_numbered_at_the_rate_of_the_asset(tmp_path):
    video(tmp_path / "a.mp4")
    metadata = json.dumps({"processingParameters": {"framesPlayedPerSecond": 5, "shouldKeepNativeFrameRate": False}})
    page = page_of(tmp_path / "a.mp4", {"2": {"J": {"annotations": [box()]}}}, jsonMetadata=[metadata])
    assert "frame 2 at 5 frames a second (0.40 s)" in page
    pixels, _ = shown(tmp_path / "a.mp4", Still("frame", 2, 5.0))
    assert abs(pixels.mean() - gray(10)) < 4


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [
        ({"framesPlayedPerSecond": 5, "shouldKeepNativeFrameRate": False}, 5),
        ({"framesPlayedPerSecond": "2.5"}, 2.5),
        ({"framesPlayedPerSecond": 30, "shouldKeepNativeFrameRate": True}, None),
        ({"framesPlayedPerSecond": 0}, None),
        ({"framesPlayedPerSecond": float("inf")}, None),
        ({"framesPlayedPerSecond": [1]}, None),
        ({}, None),
        ([], None),
    ],
)
def test_the_rate_is_what_the_metadata_say(parameters, rate):
    assert rate_of(json.dumps({"processingParameters": parameters})) == rate
    assert rate_of("{") is rate_of(None) is rate_of("[]") is None


def test_a_frame_past_the_end_is_told(tmp_path):
    video(tmp_path / "a.mp4")
    assert "ends before frame 25" in refusal(tmp_path / "a.mp4", Still("frame", 25))
    assert "ends before frame 6 at 5" in refusal(tmp_path / "a.mp4", Still("frame", 6, 5.0))


def test_a_video_is_turned_as_its_camera_was(tmp_path):
    def mark(pixels):
        pixels[:24, :32] = (255, 0, 0)

    video(tmp_path / "a.mp4", draw=mark)
    turned(tmp_path / "a.mp4")
    pixels, _ = shown(tmp_path / "a.mp4", Still("frame", 3))
    assert pixels.shape == (64, 48, 3)
    assert np.abs(np.array(red(pixels)) - [0.5, 0, 1, 0.5]).max() < 0.05


def test_a_large_frame_is_made_small(tmp_path):
    video(tmp_path / "a.mp4", frames=1, size=(1920, 1080))
    assert shown(tmp_path / "a.mp4", Still("frame"))[0].shape == (540, 960, 3)


# ------------------------------------------------------------------------------------------------------ what is there


@pytest.mark.parametrize(("module", "name"), [("pypdfium2", "a.pdf"), ("av", "a.mp4"), ("PIL", "a.pdf")])
@pytest.mark.parametrize("hosted", [True, False])
def test_without_the_extra_it_is_named_and_nothing_is_fetched(tmp_path, monkeypatch, module, name, hosted):
    (tmp_path / "a.pdf").write_bytes(pdf((WIDE, CORNER)))
    video(tmp_path / "a.mp4", frames=1)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else real(name))
    content = f"https://host.invalid/{name}" if hosted else tmp_path / name
    assert "pip install &#x27;pandas-kili[preview]&#x27;" in page_of(content, {"J": {"text": "said"}})


def test_hosted_media_are_known_by_their_bytes(tmp_path, monkeypatch):
    (tmp_path / "a.pdf").write_bytes(pdf((WIDE, CORNER), (WIDE, CORNER)))
    video(tmp_path / "b.mp4")
    with Sandbox() as sandbox:
        for kind, name, note in (("PDF", "a.pdf", "page 1 of 2"), ("VIDEO", "b.mp4", "frame 0")):
            project = sandbox.create_project(kind, kind)
            frame = pd.DataFrame({"externalId": ["x"], "content": [str(tmp_path / name)]})
            frame.kili.append_many_to_dataset(project, client=sandbox.client)
            read = pd.read_kili(project, client=sandbox.client)
            assert read["content"][0].startswith("http")
            page = read.kili.preview(client=sandbox.client).html
            assert page.count("data:image/") == 1
            assert note in page
        monkeypatch.setattr(media, "_LARGEST", 1000)
        assert "larger than 1000 bytes" in read.kili.preview(client=sandbox.client).html


# --------------------------------------------------------------------------------------------- what was made to harm


def packed(data):
    return b"/Filter/FlateDecode", zlib.compress(data)


def many_points():
    content = b"0 0 m " + b" ".join(b"%d %d l" % (number % 200, number * 7 % 100) for number in range(100_000)) + b" S"
    return pdf((WIDE, content))


def single(content, resources=b""):
    page = b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s%s>>" % (WIDE, resources)
    return [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, content]


def content_bomb():
    return assembled(single(stream(*packed(b"0 0 m " + b"9 9 l " * 20_000_000))))


def image_bomb():
    image = b"/Type/XObject/Subtype/Image/Width 60000/Height 60000/BitsPerComponent 8/ColorSpace/DeviceRGB"
    entries, data = packed(bytes(3 * 60_000 * 1000))
    used = b"/Resources<</XObject<</I 5 0 R>>>>"
    return assembled([*single(stream(b"", b"200 0 0 100 0 0 cm /I Do"), used), stream(image + entries, data)])


def endless_form():
    used = b"/Resources<</XObject<</I 5 0 R>>>>"
    form = stream(b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]" + used, b"/I Do /I Do")
    return assembled([*single(stream(b"", b"/I Do"), used), form])


def locked():
    bodies = single(stream(b"", b""))
    key = b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (b"ab" * 32, b"cd" * 32)
    return assembled([*bodies, key], b"/Encrypt 5 0 R/ID[<00><00>]")


@pytest.fixture
def little_memory(monkeypatch):
    """Give a document so little memory that a bomb fills it at once, and a harmless one does not."""
    monkeypatch.setattr(decoding, "_MEMORY", 2**28)


@pytest.mark.parametrize("make", [many_points, content_bomb, image_bomb, endless_form])
def test_documents_that_are_bombs_are_shown_or_told(make, little_memory, monkeypatch):
    """The program that reads them has a limit of time and one of memory; either may be met first."""
    monkeypatch.setattr(decoding, "_SECONDS", 5.0)
    try:
        pixels, note = shown(make(), Still("page"))
    except NotShownError as reason:
        assert "too" in str(reason)  # noqa: PT017 - either is fine
    else:
        assert pixels.shape == (480, 960, 3)
        assert note == "page 1 of 1"


def test_a_document_may_not_fill_the_memory(little_memory):
    shown(pdf((WIDE, CORNER)), Still("page"))
    assert refusal(content_bomb(), Still("page")) == "a PDF document that is damaged, or takes too much memory"


def test_a_document_that_fills_the_memory_leaves_no_dump_of_it(little_memory, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        refusal(content_bomb(), Still("page"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    assert list(tmp_path.glob("core*")) == []


def test_documents_that_cannot_be_opened_are_told():
    assert refusal(locked(), Still("page")) == "the document is protected by a password"
    assert refusal(pdf((WIDE, CORNER))[:60], Still("page")) == "the document is damaged"
    assert refusal(b"%PDF-1.7", Still("page")) == "the document is damaged"


@pytest.mark.parametrize("kept", [40, 0.5])
def test_videos_that_were_cut_are_told(tmp_path, kept):
    video(tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    cut = data[: kept if isinstance(kept, int) else int(kept * len(data))]
    assert refusal(cut, Still("frame", 20)).startswith("the video cannot be decoded")


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\nfile://{}\n", "ffconcat version 1.0\nfile {}\n"])
def test_a_video_cannot_name_other_files(tmp_path, text):
    other = video(tmp_path / "other.mkv")
    assert refusal(text.format(other).encode(), Still("frame")).startswith("the video cannot be decoded")
    (tmp_path / "a.mp4").write_text(text.format(other))
    assert "Not shown" in page_of(tmp_path / "a.mp4", {})


def test_a_recording_has_no_picture(tmp_path):
    import av  # noqa: PLC0415 - needed once

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        track = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(track.encode(frame))
        container.mux(track.encode())
    assert refusal(tmp_path / "a.mp4", Still("frame")) == "a recording, which has no picture"


@pytest.fixture
def sleeper(tmp_path, monkeypatch):
    """Put a program in the place of the decoder that never ends, and say when it began."""
    program, begun = tmp_path / "sleeper.py", tmp_path / "begun"
    program.write_text(f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n")
    monkeypatch.setattr(decoding, "_PROGRAM", program)
    return begun


def test_a_decoder_that_hangs_is_ended(sleeper, monkeypatch):
    monkeypatch.setattr(decoding, "_SECONDS", 0.5)
    assert refusal(b"%PDF-", Still("page")) == "a PDF document that takes too long to decode"


def test_a_decoder_is_ended_once_the_gallery_waits_no_more(sleeper):
    stop = threading.Event()

    def wait_and_stop():
        while not sleeper.exists():
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=wait_and_stop).start()
    assert refusal(b"%PDF-", Still("page"), stop) == "it did not come in time"
    with pytest.raises(ProcessLookupError):
        os.kill(int(sleeper.read_text()), 0)


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_decoder_that_begins_late_reads_the_whole_file(tmp_path, monkeypatch, size):
    program = tmp_path / "late.py"
    program.write_text(
        "import json, sys, time\ntime.sleep(0.3)\nprint(json.dumps({'reason': str(len(sys.stdin.buffer.read()))}))\n"
    )
    monkeypatch.setattr(decoding, "_PROGRAM", program)
    monkeypatch.setattr(decoding, "_SECONDS", 20.0)
    assert refusal(bytes(size), Still("page")) == str(size)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_decoder_that_nobody_ends_ends_itself():
    folder = decoding._PROGRAM.parent
    program = "import decoder; decoder._SECONDS = 1; decoder._limit(2**30)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", program], cwd=folder, timeout=300, check=False)
    assert ended.returncode in {-signal.SIGXCPU, -signal.SIGKILL}


def test_the_decoder_holds_no_key(tmp_path, monkeypatch):
    program = tmp_path / "spy.py"
    program.write_text("import json, os\nprint(json.dumps({'reason': ' '.join(os.environ)}))\n")
    monkeypatch.setattr(decoding, "_PROGRAM", program)
    monkeypatch.setenv("KILI_API_KEY", "secret")
    monkeypatch.setenv("OTHER", "1")
    assert "OTHER" in refusal(b"", Still("page")).split()
    assert not [name for name in refusal(b"", Still("page")).split() if name.startswith("KILI")]


# ------------------------------------------------------------------------------------------------------------- size


@pytest.mark.once
def test_two_hundred_pages_and_frames_take_less_than_five_megabytes(tmp_path, monkeypatch):
    """Of pictures that hardly shrink; each file is decoded once here, its picture made anew each time."""
    random = np.random.default_rng(0)
    shapes = b"\n".join(
        b"%.2f %.2f %.2f rg %d %d %d %d re f" % (*random.random(3), *random.integers(0, 600, 2), 9, 9)
        for _ in range(3000)
    )

    def noise(pixels):
        pixels[:] = random.integers(0, 256, pixels.shape)

    (tmp_path / "a.pdf").write_bytes(pdf((b"/MediaBox[0 0 600 800]", shapes)))
    video(tmp_path / "b.mp4", frames=1, size=(960, 540), draw=noise)
    drawn_each = decoding.drawn_each
    known = functools.cache(lambda source, part, side: list(drawn_each(source, [part], side)))
    monkeypatch.setattr(decoding, "drawn_each", lambda source, parts, side, _: known(source, *parts, side))
    contents = [str(tmp_path / name) for name in ("a.pdf", "b.mp4")] * 100
    preview = preview_frame(pd.DataFrame({"content": contents}), n=200)
    assert preview.html.count("<image") == 200
    assert len(preview.html.encode()) < 5_000_000
