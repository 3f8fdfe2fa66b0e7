"""Many frames of a video in one go: each is the one of its number, whatever the container and the times."""

import io
import json
import os
import random
from fractions import Fraction

import numpy as np
import pytest
from moving import pdf
from PIL import Image

from pandas_kili.display import decoding, drawn_each
from pandas_kili.display.decoding import Still
from pandas_kili.display.thumbnails import NotShownError

BITS, SQUARE = 9, 16


def film(path, count, *, codec="mpeg4", rate=25, ticks=None, first=0, options=None):
    """Write a video whose frames show their number in bits; `ticks` are their times in units of the rate."""
    import av  # noqa: PLC0415 - of no use to the other tests

    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=rate, options=options or {})
        track.width, track.height, track.pix_fmt = BITS * SQUARE, 2 * SQUARE, "yuv420p"
        track.codec_context.gop_size, track.bit_rate = 12, 2_000_000
        for number in range(count):
            bits = [(number >> bit) & 1 for bit in range(BITS)]
            row = np.repeat(np.array(bits, np.uint8) * 215 + 20, SQUARE)
            frame = av.VideoFrame.from_ndarray(np.tile(row[None, :, None], (2 * SQUARE, 1, 3)), format="rgb24")
            frame.time_base = 1 / Fraction(rate)
            frame.pts = first + (number if ticks is None else ticks[number])
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return path


def number_of(pixmap):
    pixels = np.asarray(Image.open(io.BytesIO(pixmap)).convert("L"))
    return sum(int(pixels[SQUARE, bit * SQUARE + SQUARE // 2] > 128) << bit for bit in range(BITS))


def numbers(path, wanted, rate=None):
    found = drawn_each(path, [Still("frame", number, rate) for number in wanted], 1000, seconds=120)
    return [str(told) if isinstance(told, NotShownError) else number_of(told[0]) for told in found]


B_FRAMES = {"bf": "2"}
NTSC = Fraction(30000, 1001)
UNEVEN = np.cumsum(np.random.default_rng(3).choice([1, 2, 3, 7, 30], 300)).tolist()
FILMS = {
    "even.mp4": {"options": B_FRAMES},
    "ntsc.mp4": {"rate": NTSC, "options": B_FRAMES},
    "slow.mp4": {"rate": Fraction(1, 5)},
    "late.mp4": {"first": 75, "options": B_FRAMES},
    "uneven.mp4": {"rate": 100, "ticks": UNEVEN, "options": B_FRAMES},
    "dropped.mp4": {"ticks": [number + (number > 150) for number in range(300)]},
    "ntsc.mkv": {"rate": NTSC, "options": B_FRAMES},
    "uneven.mkv": {"rate": 100, "ticks": UNEVEN},
    "even.avi": {"rate": Fraction(25, 2)},
}


@pytest.mark.parametrize("name", FILMS)
def test_each_frame_is_the_one_of_its_number(tmp_path, name):
    film(tmp_path / name, 300, **FILMS[name])
    sparse = [0, 1, *sorted(random.Random(0).sample(range(2, 298), 20)), 298, 299]
    for wanted in (sparse, list(range(140, 165)), [299]):
        assert numbers(tmp_path / name, wanted) == wanted


@pytest.mark.parametrize("name", FILMS)
def test_frames_after_the_end_are_told_and_the_others_drawn(tmp_path, name):
    film(tmp_path / name, 300, **FILMS[name])
    found = numbers(tmp_path / name, [7, 299, 300, 5000])
    assert found[:2] == [7, 299]
    assert [text.partition(",")[0] for text in found[2:]] == [
        "the video ends before frame 300",
        "the video ends before frame 5000",
    ]


def test_frames_are_told_to_be_counted_only_where_they_come_unevenly(tmp_path):
    for name in ("ntsc.mkv", "uneven.mkv"):
        film(tmp_path / name, 300, **FILMS[name])
        ((_, note),) = drawn_each(tmp_path / name, [Still("frame", 30)], 100)
        assert ("counted" in note) == (name == "uneven.mkv")


def test_frames_are_numbered_at_another_rate(tmp_path):
    film(tmp_path / "a.mp4", 50)
    told = numbers(tmp_path / "a.mp4", [0, 1, 4, 9, 10], rate=5)
    assert told == [0, 5, 20, 45, "the video ends before frame 10 at 5 frames a second"]
    assert len(set(numbers(tmp_path / "a.mp4", range(40), rate=100))) == 11  # frames that several numbers show


def test_key_frames_that_are_far_apart_are_no_obstacle(tmp_path):
    film(tmp_path / "a.mp4", 300, options={"g": "300"})
    assert numbers(tmp_path / "a.mp4", [3, 40, 120, 200, 290]) == [3, 40, 120, 200, 290]


def test_pages_are_drawn_in_one_go_in_any_order():
    sizes = [b"/MediaBox[0 0 100 %d]" % (100 * number) for number in range(1, 4)]
    document = pdf(*((size, b"") for size in sizes))
    found = list(drawn_each(document, [Still("page", number) for number in (3, 1, 9, 2)], 300))
    assert isinstance(found[2], NotShownError)
    assert [told[1] for told in found if isinstance(told, tuple)] == ["page 3 of 3", "page 1 of 3", "page 2 of 3"]
    with Image.open(io.BytesIO(found[0][0])) as image:
        assert image.size == (100, 300)


def test_a_damaged_video_is_told_for_each_of_its_frames(tmp_path):
    film(tmp_path / "a.mp4", 50)
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:1000])
    found = numbers(tmp_path / "a.mp4", [0, 5, 9])
    assert len(found) == 3
    assert set(found) == {found[0]}
    assert found[0].startswith("the video cannot be decoded")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return a function that puts a program in the place of the decoder, which draws one picture and goes on."""
    said = json.dumps({"note": "one", "bytes": 3})

    def put(then, seconds=120.0):
        (tmp_path / "program.py").write_text(f"import sys, time\nprint('{said}\\nabc', end='', flush=True)\n{then}\n")
        monkeypatch.setattr(decoding, "_PROGRAM", tmp_path / "program.py")
        stills = [Still("frame", number) for number in range(3)]
        return [str(each) for each in drawn_each(b"", stills, 100, seconds=seconds)]

    return put


def test_what_was_drawn_before_a_crash_is_kept(program):
    assert program("sys.exit(9)") == ["(b'abc', 'one')"] + ["a video that is damaged, or takes too much memory"] * 2
    assert program('print(\'{"note": "two", "bytes": 100}\\nab\')')[1].startswith("a video that is damaged")
    assert program("print('{\"note\"', end='')")[1].startswith("a video that is damaged")


def test_a_picture_that_takes_too_long_is_the_last(program):
    assert program("time.sleep(60)", seconds=0.5)[1:] == ["a video that takes too long to decode"] * 2


def test_a_process_ends_with_its_generator(tmp_path, monkeypatch):
    program = (
        "import json, os, time\nprint(json.dumps({'note': str(os.getpid()), 'bytes': 0}), flush=True)\ntime.sleep(60)\n"
    )
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(decoding, "_PROGRAM", tmp_path / "program.py")
    drawn = drawn_each(b"", [Still("page", 1), Still("page", 2)], 100, seconds=120)
    _, process = next(drawn)
    os.kill(int(process), 0)
    drawn.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)
