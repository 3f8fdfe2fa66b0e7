"""A class has one color: the same on every page and in every chart of its project."""

import json
import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import pandas_kili as pk
from pandas_kili.display.known_classes import known_classes
from pandas_kili.display.palette import COLORS
from pandas_kili.sandbox import Fault, Sandbox

KINDS = [f"KIND_{number}" for number in range(7)]
SIZES = ["SMALL", "LARGE"]


def job(names):
    categories = {name: {"name": name.title()} for name in names}
    return {"mlTask": "CLASSIFICATION", "required": 0, "content": {"input": "radio", "categories": categories}}


@pytest.fixture
def box(monkeypatch):
    with Sandbox(max_calls_per_minute=None) as box:
        for name, value in box.environ.items():
            monkeypatch.setenv(name, value)
        yield box
    plt.close("all")


@pytest.fixture
def frame(box):
    """Return a project of which each asset has another kind."""
    project_id = pk.create_project("Kinds", "TEXT", {"jobs": {"KIND": job(KINDS), "SIZE": job(SIZES)}})
    texts = pd.DataFrame({"externalId": KINDS, "content": ["text"] * 7})
    box.add_assets(project_id, texts)
    answers = [
        json.dumps({"KIND": {"categories": [{"name": kind}]}, "SIZE": {"categories": [{"name": SIZES[number % 2]}]}})
        for number, kind in enumerate(KINDS)
    ]
    box.add_labels(texts.assign(jsonResponse=answers, author="ada@example.com"), project_id=project_id)
    box.clear_requests()
    return pk.read_kili(project_id)


def tones(preview):
    """Return the tones in the legend of a gallery, by class."""
    legend = re.search(r'<ul class="kp-legend".*?</ul>', preview.html, re.DOTALL)[0]
    found = re.findall(r'kp-swatch (kp-c\d kp-d\d)"></i><bdi>(?:\w+ / )?(\w+)</bdi>', legend)
    return {name: tone for tone, name in found}


def bars(axes):
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    return {name: to_hex(bar.get_facecolor()) for name, bar in zip(names, axes.patches, strict=True)}


def test_pages_and_charts_of_a_project_agree_on_the_color_of_each_class(frame):
    whole, pages = tones(frame.kili.preview()), [tones(frame.iloc[rows].kili.preview()) for rows in ([6], [2, 4], [0])]
    assert list(whole) == [*KINDS, *SIZES], "the legend has the order of the interface"
    assert len(set(whole.values())) == 9, "no two classes of the project look alike"
    assert all(page == {name: whole[name] for name in page} for page in pages)
    charts = [bars(part.kili.plot.class_balance("KIND")) for part in (frame, frame.iloc[3:5])]
    for colors in charts:
        assert colors == {name: COLORS[int(whole[name][4])] for name in colors}
    sizes = frame.kili.plot.class_balance("SIZE")
    hatched = {
        tick.get_text(): bar.get_hatch() for tick, bar in zip(sizes.get_yticklabels(), sizes.patches, strict=True)
    }
    assert whole["LARGE"] == "kp-c0 kp-d1"
    assert hatched == {"SMALL": None, "LARGE": "//"}, "beyond the palette, colors repeat with another pattern"


def test_a_process_asks_once_for_the_interface(box, frame):
    for _ in range(2):
        frame.kili.preview()
        frame.kili.plot.class_balance("KIND")
    assert [request.operation for request in box.requests].count("projects") == 1


def test_names_decide_where_the_interface_cannot_be_known(box, frame):
    bare = pd.DataFrame({"labels": frame["labels"]})
    assert tones(bare.kili.preview()) == tones(bare.kili.preview())
    assert tones(bare.iloc[4:5].kili.preview()) == {
        name: tone for name, tone in tones(bare.kili.preview()).items() if name in {"KIND_4", "SMALL"}
    }
    elsewhere = frame.copy()
    elsewhere.attrs["kili"] = {**frame.attrs["kili"], "api_endpoint": "https://kili.example.com"}
    box.clear_requests()
    assert known_classes(elsewhere) == known_classes(bare) == []
    assert box.requests == [], "only the server that the rows are from is asked"


def test_a_server_that_fails_delays_no_picture(box, frame):
    box.inject(Fault("status", operation="projects", times=100, status=503))
    assert known_classes(frame) == []
    assert list(tones(frame.kili.preview(2))) == ["KIND_0", "KIND_1", "LARGE", "SMALL"]
