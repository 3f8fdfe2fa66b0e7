"""The gallery shows what is annotated where it is, whatever the media and the names are."""

import base64
import html.parser
import importlib.util
import io
import json
import math
import os
import re
import threading
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from scripted import Reply, ScriptedServer

from pandas_kili.connection import Client
from pandas_kili.display import media, preview_frame
from pandas_kili.display.palette import COLORS, Palette, contrast, outline
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.sandbox import Sandbox
from pandas_kili.tidy import disagreements

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)",
    "</style><b>",
    "a\u202egnp.exe",
    "nul\0\x1b",
    "]]>&lt;",
)


def png(path, size=(120, 80), color=(200, 180, 60), mode="RGB"):
    Image.new(mode, size, color).save(path)
    return str(path)


def vertices(*points):
    return [{"x": x, "y": y} for x, y in points]


def shape(category, *rings, tool="polygon", **more):
    polygon = [{"normalizedVertices": vertices(*ring)} for ring in rings]
    return {"mid": category, "type": tool, "categories": [{"name": category}], "boundingPoly": polygon, **more}


def box(category, xmin, ymin, xmax, ymax):
    return shape(category, [(xmin, ymax), (xmin, ymin), (xmax, ymin), (xmax, ymax)], tool="rectangle")


def objects(*annotations, job="OBJECTS"):
    return {job: {"annotations": list(annotations)}}


def chosen(*names, job="KIND"):
    return {job: {"categories": [{"name": name, "confidence": 100} for name in names]}}


def label(response, author="ada@example.com", day="2026-03-01", type_="DEFAULT"):
    text = response if isinstance(response, str) else json.dumps(response)
    created = pd.Timestamp(f"{day}T10:00:00Z")
    return {"id": "l", "author": {"email": author}, "createdAt": created, "labelType": type_, "jsonResponse": text}


def asset(content, *responses, **columns):
    labels = [each if "jsonResponse" in each else label(each) for each in responses]
    return pd.DataFrame({"id": ["a1"], "externalId": ["one"], "content": [content], "labels": [labels], **columns})


def page_of(frame, **options):
    return preview_frame(frame, **options).html


def pictures(page):
    """Return the pictures of a page as trees, so that what is not well-formed fails."""
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def paths(picture, kind="kp-stroke"):
    """Return for each shape its vertices in pixels of the view box, subpath by subpath."""
    group = next(each for each in picture if each.get("transform", "").startswith("scale"))
    across, down = map(float, re.fullmatch(r"scale\((\S+) (\S+)\)", group.get("transform")).groups())
    found = []
    for path in group.iter("path"):
        if path.get("class") == kind:
            lines = [line for line in path.get("d").split("M") if line]
            numbers = [[pair.split() for pair in re.sub(r"[Zh].*", "", line).split("L")] for line in lines]
            found.append([[(float(x) * across, float(y) * down) for x, y in line] for line in numbers])
    return found


class Reader(html.parser.HTMLParser):
    """Notes the elements, attributes and text that a browser would make of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.text += data


# ------------------------------------------------------------------------------------------------------- where it is


ROTATED = [(0.5 + 0.2 * math.cos(t) * 2 / 3, 0.5 + 0.2 * math.sin(t)) for t in (0.3, 1.8, 3.4, 5.0)]
CORNERS = [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
BEYOND = [(-0.1, 0.5), (0.5, -0.2), (1.3, 0.5), (0.5, 1.1)]
TINY = [(0.123456, 0.654321), (0.123457, 0.654321), (0.123457, 0.654322)]


@pytest.mark.parametrize("ring", [ROTATED, CORNERS, BEYOND, TINY], ids=["rotated", "corners", "beyond", "tiny"])
@pytest.mark.parametrize("size", [(120, 80), (80, 120), (3000, 17)])
def test_outlines_lie_where_they_were_drawn(tmp_path, ring, size):
    (picture,) = pictures(page_of(asset(png(tmp_path / "a.png", size), objects(shape("A", ring)))))
    assert picture.get("viewBox") == f"0 0 {size[0]} {size[1]}"
    image = picture.find("image")
    assert (int(image.get("width")), int(image.get("height"))) == size
    assert image.get("preserveAspectRatio") == "none"
    (((*drawn,),),) = paths(picture)
    expected = [(x * size[0], y * size[1]) for x, y in ring]
    assert np.allclose(drawn, expected, atol=0.01, rtol=0)


def test_a_thumbnail_does_not_move_what_lies_on_it(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), dtype="uint8")
    Image.fromarray(noise).save(tmp_path / "large.png")
    (picture,) = pictures(page_of(asset(str(tmp_path / "large.png"), objects(shape("A", ROTATED)))))
    assert picture.get("viewBox") == "0 0 2000 1500"
    assert len(picture.find("image").get("href")) < 150_000
    assert np.allclose(paths(picture)[0][0], [(x * 2000, y * 1500) for x, y in ROTATED], atol=0.01)


def test_a_photograph_taken_sideways_is_shown_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.jpg", exif=exif)
    (picture,) = pictures(page_of(asset(str(tmp_path / "a.jpg"))))
    assert picture.get("viewBox") == "0 0 40 60"


def test_holes_lines_points_and_poses_are_drawn(tmp_path):
    hole = [(0.4, 0.4), (0.6, 0.4), (0.5, 0.6)]
    line = {"type": "polyline", "categories": [{"name": "B"}], "polyline": vertices((0.1, 0.2), (0.9, 0.8))}
    point = {"type": "marker", "categories": [{"name": "C"}], "point": {"x": 0.25, "y": 0.75}}
    pose = {"type": "pose", "categories": [{"name": "D"}], "points": [{"code": "L", "point": {"x": 0.5, "y": 1}}]}
    answer = objects(shape("A", CORNERS, hole), line, point, pose)
    (picture,) = pictures(page_of(asset(png(tmp_path / "a.png", (100, 100)), answer)))
    polygon, *others = paths(picture)
    assert np.allclose(polygon[1], np.array(hole) * 100)
    assert sorted(map(str, others)) == sorted(
        map(str, [[[(10.0, 20.0), (90.0, 80.0)]], [[(25.0, 75.0)]], [[(50.0, 100.0)]]])
    )
    assert {"kp-area", "kp-line", "kp-dot"} == {
        each.get("class").split()[1] for each in picture.iter("g") if each.get("class")
    }
    assert len(paths(picture, "kp-halo")) == 4


def test_shapes_on_maps_are_drawn_on_their_own_bounds_with_north_at_the_top(tmp_path):
    paris = shape("CITY", [(2.2, 48.8), (2.2, 48.9), (2.5, 48.9), (2.5, 48.8)])
    spot = {"type": "marker", "categories": [{"name": "TOWER"}], "point": {"x": 2.2945, "y": 48.8584}}
    page = page_of(asset(png(tmp_path / "a.png"), objects(paris, spot)))
    (picture,) = pictures(page)
    assert picture.find("image") is None
    assert "longitudes and latitudes" in page
    _, _, width, height = map(float, picture.get("viewBox").split())
    assert width / height == pytest.approx(0.3 * math.cos(math.radians(48.85)) / 0.1, rel=0.01)
    (ring,), ((tower,),) = paths(picture)
    assert [(x < width / 2, y < height / 2) for x, y in ring] == [
        (True, False),
        (True, True),
        (False, True),
        (False, False),
    ]
    (left, bottom), (_, top), (right, _), _ = ring
    assert left < tower[0] < right
    assert (tower[1] - bottom) / (top - bottom) == pytest.approx(0.584, abs=0.001)


def test_a_single_point_on_a_map_is_drawn(tmp_path):
    spot = {"type": "marker", "categories": [{"name": "TOWER"}], "point": {"x": 2.2945, "y": -90}}
    (picture,) = pictures(page_of(asset(png(tmp_path / "a.png"), objects(spot))))
    assert len(paths(picture)) == 1


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_picture_that_was_turned_is_drawn_as_the_labeler_saw_it(tmp_path, turn):
    """The red quarter at the top left of the stored picture lies under the shape, wherever turning moves it."""
    Image.new("RGB", (1000, 500), "gray").save(tmp_path / "a.png")
    corner = {0: (0, 0), 90: (1, 0), 180: (1, 1), 270: (0, 1)}[turn]
    answer = {**objects(shape("A", [corner, (0.5, 0.5), (0.5, corner[1])])), "ROTATION_JOB": {"rotation": turn}}
    (picture,) = pictures(page_of(asset(str(tmp_path / "a.png"), answer)))
    size = (1000, 500) if turn in {0, 180} else (500, 1000)
    assert picture.get("viewBox") == f"0 0 {size[0]} {size[1]}"
    place = paths(picture)[0][0][0]
    assert place == pytest.approx((corner[0] * size[0], corner[1] * size[1]))
    if not turn:
        assert picture.find("image") is not None
        return
    moves = picture.find("g").get("transform")
    x, y = map(float, re.search(r"translate\((\S+) (\S+)\)", moves).groups())
    assert f"rotate({turn})" in moves
    assert (x, y) == place, "where the top left corner of the stored picture is drawn"


@pytest.mark.parametrize("place", ["NaN", "Infinity", "1e300"])
def test_places_that_are_none_are_left_out(tmp_path, place):
    answer = json.dumps(objects(shape("A", [(0.1, 0.1), (9.25, 0.1), (0.1, 0.9)]))).replace("9.25", place)
    (picture,) = pictures(page_of(asset(png(tmp_path / "a.png"), label(answer))))
    assert not list(picture.iter("path"))


# -------------------------------------------------------------------------------------------------------- what it is


def test_text_is_marked_where_spans_lie_and_overlap():
    text = "Ada & Bob met 🦊 in Rome."
    at = len(text[: text.index("Rome")].encode("utf-16-le")) // 2  # as JavaScript counts
    spans = [
        {"mid": "1", "categories": [{"name": "PAIR"}], "beginOffset": 0, "endOffset": 9, "content": "Ada & Bob"},
        {"mid": "2", "categories": [{"name": "NAME"}], "beginOffset": 6, "content": "Bob"},
        {"mid": "3", "categories": [{"name": "CITY"}], "beginOffset": at, "endOffset": at + 4, "content": "Rome"},
    ]
    body = re.search(r'<div class="kp-text".*?</div>', page_of(asset(text, objects(*spans, job="NER"))), re.DOTALL)[0]
    plain = re.sub(r"<small>.*?</small>|<[^>]*>", "", body)
    assert plain == text.replace("&", "&amp;")
    marked = [re.sub(r"<small>.*?</small>|<[^>]*>", "", each) for each in re.split(r"</mark>(?!</mark>)", body)]
    assert "Rome" in body[body.rindex("<mark") :]
    assert marked == ["Ada &amp; ", "Bob", "", " met 🦊 in Rome", "."]
    assert body.count("<mark") == 4  # what overlaps lies within both


def test_rich_text_is_marked_by_its_blocks():
    blocks = [{"children": [{"id": "p1", "text": "First. "}, {"id": "p2", "text": "Then Rome."}]}]
    span = {
        "mid": "1",
        "categories": [{"name": "CITY"}],
        "beginId": "p2",
        "endId": "p2",
        "beginOffset": 5,
        "endOffset": 9,
    }
    page = page_of(asset("", objects({**span, "content": "Rome"}, job="NER"), jsonContent=[json.dumps(blocks)]))
    assert re.search(r"<mark[^>]*>Rome<small>CITY</small></mark>", page)


def test_answers_are_told_in_words():
    nested = {"name": "CAT", "confidence": 71, "children": {"BREED": {"categories": [{"name": "SIAMESE"}]}}}
    answer = {
        "KIND": {"categories": [nested]},
        "NOTE": {"text": "asleep"},
        **objects(box("DOG", 0, 0, 0.5, 0.5), box("DOG", 0.5, 0, 1, 1)),
        "REL": {
            "annotations": [
                {
                    "mid": "r",
                    "categories": [{"name": "CHASES"}],
                    "startObjects": [{"mid": "DOG"}],
                    "endObjects": [{"mid": "x"}],
                }
            ]
        },
    }
    text = Reader(page_of(asset("/nowhere/a.png", answer))).text
    for words in ("CAT 71 %", "KIND / BREED", "CAT / SIAMESE", "“asleep”", "DOG (2)", "CHASES: DOG → x"):
        assert words in text


def test_status_marks_and_flags_are_shown():
    frame = asset("text", status=["TO_REVIEW"], consensusMark=[0.625], honeypotMark=[None], isHoneypot=[True])
    text = Reader(page_of(frame)).text
    assert "TO REVIEW" in text
    assert "consensus 0.62" in text
    assert "honeypot" in text


def test_the_latest_submitted_label_is_shown_and_all_of_them_side_by_side(tmp_path):
    labels = [
        label(chosen("OLD"), day="2026-03-01"),
        label(objects(box("NEW", 0, 0, 1, 1)), day="2026-03-02"),
        label(chosen("OTHER"), "bob@example.com", day="2026-03-01"),
        label(chosen("GUESS"), "model", day="2026-04-01", type_="PREDICTION"),
    ]
    frame = asset(png(tmp_path / "a.png"), *labels)
    latest, all_ = Reader(page_of(frame)).text, page_of(frame, labels="all")
    assert [word for word in ("OLD", "NEW", "OTHER", "GUESS") if word in latest] == ["NEW"]
    assert [word for word in ("OLD", "NEW", "OTHER", "GUESS") if word in Reader(all_).text] == ["NEW", "OTHER", "GUESS"]
    assert len(pictures(all_)) == 3
    assert all_.count("data:image/png") == 1, "a picture is embedded once"
    assert "ada" not in page_of(frame, annotations=False)


def test_only_answers_to_some_jobs_are_shown_where_they_are_asked_for():
    frame = asset("text", label({**chosen("CAT", job="KIND"), **chosen("GLAD", job="MOOD")}, "ada"))
    words = [word for word in ("CAT", "GLAD") if word in Reader(page_of(frame, job="MOOD")).text]
    assert words == ["GLAD"]
    assert "ada" in page_of(frame, job=["MOOD"])
    with pytest.raises(KiliValidationError, match="Did you mean 'MOOD'"):
        page_of(frame, job="MOODS")


def test_a_prediction_is_shown_where_it_is_asked_for():
    frame = asset("text", {**label(chosen("GUESS"), "api", type_="PREDICTION"), "modelName": "cats-1"})
    assert "GUESS" not in page_of(frame)
    assert "no label" in page_of(frame)
    for options in ({"label_types": ["PREDICTION"]}, {"labels": "all"}):
        assert "GUESS" in page_of(frame, **options)
        assert "<b><bdi>cats-1</bdi></b>" in page_of(frame, **options)


def test_predictions_are_told_apart_by_their_models():
    labels = [
        {**label(chosen(guess), "api@example.com", day, "PREDICTION"), "modelName": model}
        for guess, day, model in [
            ("OLD", "2026-03-01", "cats-1"),
            ("NEW", "2026-03-03", "cats-1"),
            ("B", "2026-03-02", "b"),
        ]
    ]
    page = page_of(asset("text", *labels), labels="all")
    shown = re.findall(r"<bdi>(.*?)</bdi>", page)
    assert {word for word in ("OLD", "NEW", "B", "api@example.com") if word in shown} == {"NEW", "B", "api@example.com"}
    assert page.count("<b><bdi>cats-1</bdi></b>") == page.count("<b><bdi>b</bdi></b>") == 1
    assert "(by cats-1)" in page


def test_a_picture_that_no_label_marks_is_shown_once_above_all_answers(tmp_path):
    frame = asset(png(tmp_path / "a.png"), label(chosen("CAT")), label(chosen("DOG"), "bob@example.com"))
    page = page_of(frame, labels="all")
    (picture,) = pictures(page)
    assert picture.get("aria-label") == "one: KIND: CAT (by ada@example.com); KIND: DOG (by bob@example.com)"
    assert page.count("<figure>") == 1
    assert page.count('class="kp-said"') == 2
    assert page.count('data-panels="1"') == 2, "card and gallery are as wide as for one label"
    text = page_of(frame.assign(content="Some text."), labels="all")
    assert text.count("Some text.") == 1


def test_every_card_has_its_authors_in_the_same_order_people_before_models():
    def guess(model, author):
        return {**label(chosen(model), author, type_="PREDICTION"), "modelName": model}

    people = [label(chosen("A"), "ada", day="2026-03-05"), label(chosen("C"), "cleo", day="2026-03-01")]
    ben, models = label(chosen("B"), "ben", day="2026-03-03"), [guess("m1", "zoe"), guess("m2", "ada")]
    frame = pd.concat([asset("x", *people[::-1], *models[::-1], ben), asset("y", ben, *models, *people)])
    shown = re.findall(r"<b><bdi>(.*?)</bdi></b>", page_of(frame, labels="all"))
    assert shown == ["ada", "ben", "cleo", "m1", "m2"] * 2


def test_disagreements_show_their_score_and_both_answers(tmp_path):
    picture = png(tmp_path / "a.png")
    same = asset(picture, label(chosen("CAT")), label(chosen("CAT"), "bob@example.com"))
    frame = pd.concat([same, asset(picture, label(chosen("CAT")), label(chosen("DOG"), "bob@example.com"))])
    ranked = disagreements(frame)
    text = Reader(page_of(ranked)).text
    assert "disagreement 1.00" in text
    assert "CAT" in text
    assert "DOG" in text
    assert "CAT" not in Reader(page_of(ranked, labels="latest", label_types=["REVIEW"])).text


def test_shapes_outside_the_picture_are_said(tmp_path):
    beyond = [(1.1, 0.2), (1.2, 0.2), (1.2, 0.4)]
    answer = objects(
        shape("FAR", beyond), shape("ABOVE", [(0.1, -0.3), (0.5, -0.1), (0.3, -0.2)]), shape("IN", ROTATED)
    )
    text = Reader(page_of(asset(png(tmp_path / "a.png"), answer))).text
    assert "2 outside the picture: FAR, ABOVE" in text
    assert "outside" not in Reader(page_of(asset(png(tmp_path / "a.png"), objects(shape("IN", BEYOND))))).text


@pytest.mark.parametrize(("text", "begin"), [("Short.", 40), ("long " * 1000, 4500)], ids=["past the end", "cut off"])
def test_spans_that_the_shown_text_does_not_have_are_said(text, begin):
    span = {"beginOffset": begin, "endOffset": begin + 4, "content": "long", "categories": [{"name": "ORG"}]}
    assert "1 not in the text shown: ORG" in Reader(page_of(asset(text, objects(span)))).text


def test_frames_and_pages_show_the_one_on_which_most_was_drawn(tmp_path):
    answer = {
        "0": objects(box("A", 0, 0, 1, 1)),
        "2": objects({**box("B", 0, 0, 1, 1), "isKeyFrame": True}, {**box("C", 0, 0, 0.5, 1), "isKeyFrame": True}),
    }
    frames = [png(tmp_path / f"{number}.png", (10 * (number + 1), 10)) for number in range(3)]
    page = page_of(asset("", answer, jsonContent=[json.dumps(frames)]))
    (picture,) = pictures(page)
    assert picture.get("viewBox") == "0 0 30 10"
    assert len(paths(picture)) == 2
    assert "frame 2 of 3" in page
    assert "1 more on frame 0" in page


def test_shapes_on_a_pdf_are_drawn_on_an_empty_sheet():
    area = {"boundingPoly": [{"normalizedVertices": vertices(*CORNERS)}], "pageNumberArray": [2]}
    answer = objects(
        {
            "mid": "1",
            "type": "rectangle",
            "categories": [{"name": "A"}],
            "annotations": [{**area, "polys": area["boundingPoly"]}],
        }
    )
    frame = asset(
        "https://files.invalid/a.pdf", answer, pageResolutions=[[{"pageNumber": 2, "width": 600, "height": 800}]]
    )
    page = page_of(frame)
    (picture,) = pictures(page)
    assert picture.get("viewBox") == "0 0 600 800"
    assert "page 2: " in page


# ----------------------------------------------------------------------------------------------------- what is safe


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("labels", ["latest", "all"])
def test_hostile_names_remain_text(tmp_path, name, labels):
    span = {"mid": "s", "categories": [{"name": name}], "beginOffset": 0, "content": name}
    responses = [
        label(
            {**objects(box(name, 0, 0, 1, 1), job=name), **chosen(name, job=f"J{name}"), "T": {"text": name}},
            name,
        ),
        label(objects(span, job=name), "bob", type_=name),
        label("{broken", "cleo"),
    ]
    columns = {"externalId": [name], "status": [name]}
    for content in (png(tmp_path / "a.png"), name):
        preview = preview_frame(asset(content, *responses).assign(**columns), labels=labels)
        page = preview.html
        page.encode()
        reader = Reader(page)
        assert "script" not in reader.tags
        assert all(not attribute.startswith("on") for _, attribute, _ in reader.attributes)
        assert "img" not in reader.tags
        assert reader.tags.count("style") == 1
        shown = re.findall(r"<h2[^>]*>.*?</h2>|aria-label=\"[^\"]*\"|<bdi>.*?</bdi>", page)
        assert not re.search("[\x00-\x08\u202e\ud800-\udfff]", "".join(shown))
        pictures(page)


def test_half_characters_can_be_written(tmp_path):
    blocks = json.dumps([{"children": [{"id": "1", "text": "half \ud800"}]}])
    saved = preview_frame(asset("", jsonContent=[blocks])).save(tmp_path / "a.html")
    assert "half \ufffd" in saved.read_text(encoding="utf-8")


def test_the_page_asks_for_nothing_from_anywhere(tmp_path):
    frame = asset(png(tmp_path / "a.png"), objects(box("A", 0, 0, 1, 1)), label(chosen("B"), "bob"))
    page = page_of(frame, labels="all")
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"data:[^\"]*", "", page))
    assert "default-src 'none'" in page
    links = [value for _, attribute, value in Reader(page).attributes if attribute in {"href", "src"}]
    assert links
    assert all(link.startswith(("#kp-", "data:image/")) for link in links)


def test_links_that_grant_access_do_not_end_up_in_the_page():
    page = page_of(asset("https://bucket.invalid/a.pdf?X-Signature=secret"))
    assert "secret" not in page
    assert "bucket" not in page


@pytest.mark.parametrize("content", ["/etc/passwd", "file:///etc/passwd", "/proc/self/environ"])
def test_a_cell_cannot_make_other_files_of_this_machine_public(content):
    assert "root:" not in page_of(asset(content))
    assert "PATH=" not in page_of(asset(content))


# ------------------------------------------------------------------------------------------- what cannot be shown


def broken(path, data):
    path.write_bytes(data)
    return str(path)


CASES = {
    "gone": (lambda folder: str(folder / "gone.png"), "no such file"),
    "null": (lambda folder: None, "no content"),
    "empty": (lambda folder: broken(folder / "a.png", b""), "file is empty"),
    "no picture": (lambda folder: broken(folder / "a.png", bytes(range(256))), "not a picture"),
    "cut": (lambda folder: broken(folder / "a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 30), "Not shown"),
    "video": (lambda folder: broken(folder / "a.mp4", b"\0\0\0\x18ftyp"), "the video"),
    "recording": (lambda folder: "https://host.invalid/a.mp3", "a recording"),
    "unreachable": (lambda folder: "http://127.0.0.1:9/a.png", "Not shown"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_shown_leaves_its_reason(tmp_path, case, monkeypatch):
    monkeypatch.setattr(media, "_SECONDS", 0.5)
    monkeypatch.setenv("KILI_API_KEY", "key")
    make, reason = CASES[case]
    good = asset(png(tmp_path / "good.png")).assign(externalId="good")
    frame = pd.concat([asset(make(tmp_path), objects(shape("A", ROTATED))), good], ignore_index=True)
    page = page_of(frame)
    assert reason in page
    assert page.count("<image") == 1
    assert len(pictures(page)) == 2, "the shapes are still drawn"


class Together(ScriptedServer):
    """Responds once as many requests as expected are there."""

    def __init__(self, number, body):
        super().__init__()
        self.all_there, self.body = threading.Barrier(number), body

    def take(self, asked):
        self.all_there.wait(timeout=30)
        return Reply(self.body)


def test_hosted_media_are_fetched_all_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "_SECONDS", 60.0)
    png(tmp_path / "a.png")
    server = Together(24, (tmp_path / "a.png").read_bytes())
    frame = pd.concat([asset(f"{server.origin}/{number}.png") for number in range(24)])
    with Client("key", server.endpoint) as client:
        assert page_of(frame, client=client).count("<image ") == 24
    server.close()


def test_a_host_that_says_nothing_delays_no_other_medium(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "_SECONDS", 0.3)
    server = Together(1000, b"")
    frame = pd.concat([asset(f"{server.origin}/a.png"), asset(png(tmp_path / "a.png"))])
    with Client("key", server.endpoint) as client:
        page = page_of(frame, client=client)
    assert "it did not come within 0.3 seconds" in page
    assert page.count("<image ") == 1
    server.all_there.abort()
    server.close()


def test_without_a_key_hosted_media_leave_a_reason():
    assert "KILI_API_KEY" in page_of(asset("https://host.invalid/a.png"))


def test_without_pillow_small_pictures_are_shown_as_they_are(tmp_path, monkeypatch):
    small = png(tmp_path / "a.png", (50, 30))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype="uint8")).save(tmp_path / "b.png")
    png(tmp_path / "c.tiff")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "PIL" else real(name))
    assert pictures(page_of(asset(small)))[0].get("viewBox") == "0 0 50 30"
    for name in ("b.png", "c.tiff"):
        assert "pandas-kili[preview]" in page_of(asset(str(tmp_path / name)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F", "I;16"])
def test_pictures_of_every_mode_are_shown(tmp_path, mode):
    picture = (
        Image.fromarray(np.arange(10_000, dtype="uint16").reshape(100, 100))
        if mode == "I;16"
        else Image.new(mode, (30, 20))
    )
    picture.save(tmp_path / "a.tiff")
    assert "data:image/webp" in page_of(asset(str(tmp_path / "a.tiff")))


def test_unreadable_answers_say_why():
    assert "cannot be read" in page_of(asset("text", label("{broken")))


def test_frames_without_labels_show_their_media():
    assert "One text." in preview_frame(pd.DataFrame({"content": ["One text."]})).html
    assert "no assets" in preview_frame(pd.DataFrame({"content": []})).html


def test_what_is_asked_for_wrongly_is_an_error():
    frame = asset("text", chosen("A"))
    with pytest.raises(KiliValidationError, match="'latest' or 'all'"):
        preview_frame(frame, labels="some")
    with pytest.raises(KiliValidationError, match="number"):
        preview_frame(frame, -1)
    with pytest.raises(KiliValidationError, match="number"):
        preview_frame(frame, 2.5)
    with pytest.raises(KiliFieldError, match="jsonResponse"):
        preview_frame(pd.DataFrame({"labels": [[{"labelType": "DEFAULT"}]]}))
    with pytest.raises(KiliFieldError, match="labelType"):
        preview_frame(pd.DataFrame({"labels": [[{"id": "l", "jsonResponse": "{}"}]]}))
    with pytest.raises(KiliValidationError, match="PREDICTON"):
        preview_frame(frame, label_types=["PREDICTON"])
    assert preview_frame(frame, np.int64(1)).html == preview_frame(frame, 1).html


def test_labels_whose_authors_nobody_knows_are_shown():
    assert "A</" in page_of(asset("text", label(chosen("A"), author=None)), labels="all")


# --------------------------------------------------------------------------------------------------------- the whole


@pytest.mark.once
def test_two_hundred_photographs_take_less_than_five_megabytes(tmp_path):
    random = np.random.default_rng(0)
    for number in range(4):  # grain on gradients, which packs about as badly as photographs do
        rows, columns = np.mgrid[0:1000, 0:1000]
        waves = [128 + 80 * np.sin(rows / (20 + 9 * band) + columns / (31 + number)) for band in range(3)]
        noisy = np.stack(waves, -1) + random.normal(0, 12, (1000, 1000, 3))
        Image.fromarray(noisy.clip(0, 255).astype("uint8")).save(tmp_path / f"{number}.jpg", quality=90)
    answer = json.dumps(objects(*(box(f"C{number % 5}", 0.1, 0.1, 0.2 + number / 20, 0.9) for number in range(10))))
    rows = [
        {"externalId": f"photo {row}", "content": str(tmp_path / f"{row % 4}.jpg"), "labels": [label(answer)]}
        for row in range(200)
    ]
    preview = preview_frame(pd.DataFrame(rows), n=200)
    assert preview.html.count("<image") == 200
    assert len(preview.html.encode()) < 5_000_000


def test_a_gallery_of_a_sandbox_project_shows_its_hosted_media(tmp_path):
    with Sandbox() as sandbox:
        project = sandbox.create_project("Pictures", "IMAGE", {"jobs": {"KIND": {"mlTask": "CLASSIFICATION"}}})
        frame = pd.DataFrame({"externalId": ["x"], "content": [png(tmp_path / "x.png", (64, 48))]})
        frame.kili.append_many_to_dataset(project, client=sandbox.client)
        sandbox.add_labels(
            pd.DataFrame([{"externalId": "x", "author": "ada@example.com", "jsonResponse": chosen("CAT")}]),
            project_id=project,
        )
        read = pd.read_kili(project, client=sandbox.client)
        assert read["content"][0].startswith("http")
        preview = read.kili.preview(client=sandbox.client)
        assert preview.html.count("data:image/png") == 1
        assert "CAT" in preview.html
        local = read.kili.download_media(local_media_dir=tmp_path / "media", client=sandbox.client)
    assert local.kili.preview().html.count("data:image/png") == 1, "offline"


def test_a_notebook_shows_what_is_saved(tmp_path):
    preview = preview_frame(asset("text"), n=1)
    saved = preview.save(tmp_path / "gallery.html")
    assert saved.read_text(encoding="utf-8") == preview.html
    fragment = preview._repr_html_()
    assert "<html" not in fragment
    assert "body" not in re.search(r"<style>(.*?)</style>", fragment, re.DOTALL)[1]
    assert fragment.endswith("</section>")
    assert repr(preview) == "<Preview of 1 asset>"


def test_the_page_can_be_read_without_seeing_it_and_without_a_mouse(tmp_path):
    page = page_of(asset(png(tmp_path / "a.png"), objects(box("CAT", 0, 0, 1, 1))))
    assert '<html lang="en">' in page
    assert page.count("<h1") == 1
    reader = Reader(page)
    assert reader.attributes.count(("article", "tabindex", "0")) == 1
    (picture,) = pictures(page)
    assert picture.get("role") == "img"
    assert picture.get("aria-label") == "one: OBJECTS: CAT (by ada@example.com)"
    assert picture.find(".//title").text == "CAT, rectangle"


def test_colors_stand_out_and_are_one_a_category():
    assert all(contrast(color, outline(color)) >= 4.5 for color in COLORS)
    uses = [("J", str(number)) for number in range(20)] + [("J", "19")]
    known = [("J", str(number)) for number in range(30)]
    assert len(set(Palette(known, known).tones.values())) == 24
    assert Palette(uses, known).tones == {each: Palette([each], known)[each] for each in known[:20]}
    assert Palette(uses).tones == {each: Palette([each])[each] for each in sorted(set(uses))}, "the names decide"


def test_frames_of_arrow_and_of_parquet_look_the_same(tmp_path):
    frame = asset("text", objects(box("A", 0, 0, 1, 1)), chosen("B"))
    frame.to_parquet(tmp_path / "a.parquet")
    arrow = pd.read_parquet(tmp_path / "a.parquet", dtype_backend="pyarrow")
    assert isinstance(arrow["labels"].dtype, pd.ArrowDtype)
    assert pa.types.is_list(arrow["labels"].dtype.pyarrow_dtype)
    assert page_of(arrow, labels="all") == page_of(frame, labels="all")


@pytest.mark.parametrize("index", [[7], ["x"]])
def test_the_index_of_the_frame_does_not_matter(index):
    assert "CAT" in page_of(asset("text", chosen("CAT")).set_axis(index))


def test_pictures_do_not_hold_the_places_where_they_were_stored(tmp_path):
    assert os.fspath(tmp_path) not in page_of(asset(png(tmp_path / "a.png")))


def test_a_picture_that_is_written_is_one_that_can_be_read(tmp_path):
    Image.new("RGB", (2000, 500), "red").save(tmp_path / "a.bmp")
    uri = re.search(r"data:image/webp;base64,([^\"]*)", page_of(asset(str(tmp_path / "a.bmp"))))[1]
    assert Image.open(io.BytesIO(base64.b64decode(uri))).size == (960, 240)
