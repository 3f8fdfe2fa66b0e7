"""What a real browser draws: annotations lie where they were drawn, to the pixel, in light and dark."""

import itertools
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from moving import pdf, video
from PIL import Image

from pandas_kili.display import preview_frame
from pandas_kili.display.palette import COLORS, Palette
from pandas_kili.display.style import _DARK, _LIGHT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb"),
)
BACKGROUND = "#ff00ff"
CLASS = "C"  # one with lines that are not dashed
LINE = COLORS[Palette([("J", CLASS)])["J", CLASS].color]


@pytest.fixture
def screenshot(tmp_path):
    def take(page, *flags):
        target = tmp_path / "page.png"
        command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=900,1600"]
        command += [f"--screenshot={target}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return np.asarray(Image.open(target).convert("RGB"), dtype=int)

    return take


def color(text):
    return [int(text[start : start + 2], 16) for start in (1, 3, 5)]


def near(pixels, text, tolerance=40):
    return np.abs(pixels - color(text)).max(axis=-1) <= tolerance


def extent(found):
    """Return where the first and the last row or column with any such pixel begin and end."""
    places = np.flatnonzero(found)
    return places[0], places[-1] + 1


def gallery(folder, size, ring):
    Image.new("RGB", size, BACKGROUND).save(folder / "a.bmp")
    vertices = [{"x": x, "y": y} for x, y in ring]
    shape = {"type": "polygon", "categories": [{"name": CLASS}], "boundingPoly": [{"normalizedVertices": vertices}]}
    answer = json.dumps({"J": {"annotations": [shape]}})
    frame = pd.DataFrame(
        {"content": [str(folder / "a.bmp")], "labels": [[{"id": "l", "labelType": "DEFAULT", "jsonResponse": answer}]]}
    )
    return preview_frame(frame).save(folder / "page.html")


BOX = [(0.25, 0.8), (0.25, 0.2), (0.7, 0.2), (0.7, 0.8)]
DIAMOND = [(0.1, 0.5), (0.5, 0.1), (0.9, 0.5), (0.5, 0.9)]


def picture_in(pixels):
    """Return what lies within the edges of the picture."""
    picture = near(pixels, BACKGROUND, 60)
    rows, columns = (slice(*extent(picture.any(axis=axis))) for axis in (1, 0))
    return pixels[rows, columns]


def check_outline(inside, ring):
    line = near(inside, LINE)
    height, width = line.shape
    for axis, length in ((0, width), (1, height)):
        begin, end = extent(line.any(axis=axis))
        places = [vertex[axis] * length for vertex in ring]
        # The line is two pixels wide, its middle on the place; at a corner it reaches a little further.
        assert abs(begin + 1 - min(places)) <= 1
        assert abs(end - 1 - max(places)) <= 1


@pytest.mark.parametrize("size", [(400, 300), (3000, 1000), (300, 900), (64, 64)])
@pytest.mark.parametrize("ring", [BOX, DIAMOND], ids=["box", "diamond"])
def test_an_outline_is_drawn_within_a_pixel_of_its_place(tmp_path, screenshot, size, ring):
    pixels = screenshot(gallery(tmp_path, size, ring))
    inside = picture_in(pixels)
    assert abs(inside.shape[1] / inside.shape[0] - size[0] / size[1]) < 0.02
    check_outline(inside, ring)


MARK = [(0.4, 0.4), (0.55, 0.6)]  # the corners of what the picture itself shows within the box


def paged(path):
    """Write a PDF whose second page has its mark there, as readers show it: cropped, and turned by a quarter."""
    entries = b"/MediaBox[0 0 800 600]/CropBox[100 100 700 500]/Rotate 90"
    marked = b"1 0 1 rg 0 0 800 600 re f 1 1 1 rg 340 260 120 60 re f"
    path.write_bytes(pdf((b"/MediaBox[0 0 500 500]", b""), (entries, marked), (b"/MediaBox[0 0 500 500]", b"")))


def filmed(path):
    """Write a video of which one frame has the mark, and the others are gray."""
    numbers = itertools.count()

    def draw(pixels):
        if next(numbers) == 13:
            pixels[:] = color(BACKGROUND)
            pixels[192:288, 256:352] = 255

    video(path, size=(640, 480), draw=draw)


def check_mark(inside):
    """The picture shows what the file has in that place: the outline is right about the file, not only the card."""
    height, width, _ = inside.shape
    left, top = round(0.3 * width), round(0.3 * height)  # within the box, where there is no line and no name
    bright = inside[top : round(0.7 * height), left : round(0.65 * width)].min(axis=-1) > 128
    for axis, skipped, length in ((0, left, width), (1, top, height)):
        begin, end = extent(bright.any(axis=axis))
        assert abs(skipped + begin - MARK[0][axis] * length) <= 1
        assert abs(skipped + end - MARK[1][axis] * length) <= 1


def drawn(place):
    """Return the answer that draws the box on a page, or on a frame."""
    vertices = {"normalizedVertices": [{"x": x, "y": y} for x, y in BOX]}
    shape = {"mid": "m", "type": "rectangle", "categories": [{"name": CLASS}]}
    if "page" in place:
        area = {"boundingPoly": [vertices], "polys": [vertices], "pageNumberArray": [place["page"]]}
        return {"J": {"annotations": [shape | {"annotations": [area]}]}}
    return {str(place["frame"]): {"J": {"annotations": [shape | {"boundingPoly": [vertices], "isKeyFrame": True}]}}}


@pytest.mark.parametrize(
    ("name", "write", "place", "shape"),
    [("a.pdf", paged, {"page": 2}, 400 / 600), ("a.mp4", filmed, {"frame": 13}, 640 / 480)],
    ids=["page", "frame"],
)
def test_an_outline_lies_in_its_place_on_a_page_and_on_a_frame(tmp_path, screenshot, name, write, place, shape):
    write(tmp_path / name)
    labels = [[{"id": "l", "labelType": "DEFAULT", "jsonResponse": json.dumps(drawn(place))}]]
    frame = pd.DataFrame({"content": [str(tmp_path / name)], "labels": labels})
    inside = picture_in(screenshot(preview_frame(frame).save(tmp_path / "page.html")))
    assert abs(inside.shape[1] / inside.shape[0] - shape) < 0.02
    check_outline(inside, BOX)
    check_mark(inside)


@pytest.mark.parametrize(("scheme", "colors"), [(1, _LIGHT), (0, _DARK)], ids=["light", "dark"])
def test_the_page_is_light_or_dark_as_the_system_is(tmp_path, screenshot, scheme, colors):
    pixels = screenshot(gallery(tmp_path, (64, 64), BOX), f"--blink-settings=preferredColorScheme={scheme}")
    assert pixels[-1, -1].tolist() == color(colors["paper"])
    assert near(pixels, colors["card"], 0).sum() > 5000
    assert near(pixels, colors["ink"], 30).sum() > 50


HOST = """
.host h1, .host h2, .host p { margin: 3em 0; line-height: 1; color: red; }
.host ul:not(.list-inline) { padding-left: 2em; margin: 3em; }
.host dl dt { float: left; width: 20%; }
.host svg { max-width: 50%; height: auto; }
.host img, .host b, .host small, .host mark { font: 30px serif; background: lime; }
"""  # what JupyterLab, and others, make of the HTML in a notebook


def test_a_notebook_with_styles_of_its_own_changes_nothing(tmp_path, screenshot):
    frame = pd.DataFrame(
        {
            "externalId": ["a", "b"],
            "content": [str(tmp_path / "a.png"), "Ada was in Paris."],
            "status": ["LABELED", "TODO"],
            "consensusMark": [0.5, None],
            "labels": [
                [{"labelType": "DEFAULT", "jsonResponse": '{"A_LONG_NAME_OF_A_JOB": {"categories": [{"name": "A"}]}}'}],
                [],
            ],
        }
    )
    Image.new("RGB", (64, 64), BACKGROUND).save(tmp_path / "a.png")
    fragment = preview_frame(frame)._repr_html_()
    taken = []
    for rules in ("", HOST):
        page = tmp_path / "page.html"
        page.write_text(f'<!doctype html><style>{rules}</style><div class="host">{fragment}</div>', encoding="utf-8")
        taken.append(screenshot(page))
    assert near(taken[0], BACKGROUND).sum() > 5000
    assert (taken[0] == taken[1]).all()
