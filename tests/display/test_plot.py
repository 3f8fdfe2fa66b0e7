"""Charts say what the rows say."""

import importlib.util
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.text import Text

from pandas_kili.display.plot import KiliPlot
from pandas_kili.errors import KiliFieldError, KiliValidationError


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def label(author, kind, day="2026-03-01", seconds=10.0, type_="DEFAULT", color=None):
    jobs = {"KIND": kind, "COLOR": color}
    answer = {job: {"categories": [{"name": name}]} for job, name in jobs.items() if name}
    return {
        "author": {"email": author},
        "createdAt": pd.Timestamp(f"{day}T10:00:00Z"),
        "jsonResponse": json.dumps(answer),
        "labelType": type_,
        "secondsToLabel": seconds,
    }


def assets(*labels, **columns):
    nested = pd.Series(labels, dtype=pd.ArrowDtype(pa.array([[label("a", "b")]]).type)) if labels else {}
    return pd.DataFrame({"labels": nested} if labels else columns)


@pytest.fixture
def frame():
    return assets(
        [label("ada", "CAT"), label("bob", "CAT", "2026-03-03", 20.0)],
        [label("ada", "CAT"), label("bob", "DOG", "2026-03-03", None)],
        [label("ada", "DOG", seconds=40.0)],
        [],
    )


def heights(axes):
    return {tick.get_text(): bar.get_height() for tick, bar in zip(axes.get_xticklabels(), axes.patches, strict=True)}


def widths(axes):
    return {tick.get_text(): bar.get_width() for tick, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}


def tops(axes):
    """Return how high the areas reach, from the lowest on."""
    outlines = [np.array(area.get_paths()[0].vertices) for area in axes.collections]
    return [round(float(top[:, 1].max())) for top in outlines]


def cells(axes):
    rows, columns = ([tick.get_text() for tick in ticks] for ticks in (axes.get_yticklabels(), axes.get_xticklabels()))
    return {(rows[int(t.get_position()[1])], columns[int(t.get_position()[0])]): int(t.get_text()) for t in axes.texts}


def test_progress_counts_assets_in_the_order_of_the_work():
    axes = KiliPlot(assets(status=["LABELED", "TODO", "TODO", None, "STRANGE"])).progress()
    assert list(heights(axes).items()) == [
        ("TODO", 2),
        ("ONGOING", 0),
        ("LABELED", 1),
        ("TO_REVIEW", 0),
        ("REVIEWED", 0),
        ("STRANGE", 1),
    ]


def test_labels_over_time_stacks_the_labelers_and_has_no_gap(frame):
    axes = KiliPlot(frame).labels_over_time()
    assert axes.get_title() == "Labels a day"
    assert tops(axes) == [3, 3]
    lines = {
        line.get_label(): line.get_ydata().tolist() for line in KiliPlot(frame).labels_over_time(kind="line").lines
    }
    assert lines == {"ada": [3, 0, 0], "bob": [0, 0, 2]}


def test_many_days_are_counted_by_week():
    days = pd.date_range("2026-03-04", periods=100)  # a Wednesday
    frame = assets(*[[label("ada", "CAT", str(day.date()))] for day in days])
    axes = KiliPlot(frame).labels_over_time(kind="line")
    assert axes.get_title() == "Labels a week"
    assert axes.lines[0].get_ydata().tolist() == [5, *[7] * 13, 4]
    assert KiliPlot(frame).labels_over_time(freq="D").get_title() == "Labels a day"


def test_labelers_beyond_the_colors_are_added_up():
    frame = assets(*[[label(f"labeler-{number:02}", "CAT")] * (1 + (number < 7)) for number in range(30)])
    axes = KiliPlot(frame).labels_over_time()
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [*[f"labeler-{number:02}" for number in range(7)], "23 others"]


@pytest.mark.parametrize("kind", ["line", "area"])
@pytest.mark.parametrize("days", [1, 2, 12, 30, 120, 900])
def test_days_are_named_as_far_as_there_is_room(kind, days):
    last = pd.Timestamp("2026-03-01") + pd.Timedelta(days=days - 1)
    frame = assets([label("ada", "CAT"), label("ada", "CAT", str(last.date()))])
    axes = KiliPlot(frame).labels_over_time(kind=kind)
    axes.figure.canvas.draw()
    names = [tick.label1 for tick in axes.xaxis.get_major_ticks() if tick.label1.get_text()]
    assert min(days, 3) <= len(names) <= 13
    if names[0].get_rotation() == 0:  # those that are turned may lie above each other's corners
        edges = [end for name in names for end in name.get_window_extent().intervalx]
        assert edges == sorted(edges)
    assert not any(":" in name.get_text() for name in names)  # no hours


def test_no_line_lies_behind_the_legend_or_is_cut_off_at_the_edge(frame):
    axes = KiliPlot(frame).labels_over_time(kind="line")
    axes.figure.canvas.draw()
    assert not axes.get_legend().get_window_extent().overlaps(axes.bbox)
    assert axes.get_legend().get_window_extent().x1 <= axes.figure.bbox.x1
    assert not any(line.get_clip_on() for line in axes.lines)


def test_long_names_are_cut_in_the_legend_and_whole_beside_bars():
    long = assets([label(name * 30, name * 30) for name in "ab"])
    legend = KiliPlot(long).labels_over_time().get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a" * 28 + "…", "b" * 28 + "…"]
    address = assets([label("ada.lovelace@a-company-of-many-words.example.com", "CAT")])
    legend = KiliPlot(address).labels_over_time().get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["ada.lovelace@…"]
    for axes in (KiliPlot(long).time_to_label(), KiliPlot(long).class_balance()):
        axes.figure.canvas.draw()
        names = [tick for tick in axes.get_yticklabels() if tick.get_text()]
        assert {len(name.get_text()) for name in names} == {30}
        assert all(name.get_window_extent().x0 >= 0 for name in names)


def test_a_single_day_is_drawn_without_complaint(frame):
    axes = KiliPlot(frame.iloc[2:3]).labels_over_time(kind="line")
    assert axes.lines[0].get_ydata().tolist() == [0, 1, 0]


def test_time_to_label_has_a_box_an_author(frame):
    axes = KiliPlot(frame).time_to_label()
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["bob", "ada"]
    assert axes.lines  # whiskers and medians


@pytest.mark.parametrize("dtype", ["float64", "Float64", pd.ArrowDtype(pa.float64())])
def test_marks_are_counted_where_they_are_known(dtype):
    marks = pd.Series([0.5, 1.0, None, None], dtype=dtype)
    axes = KiliPlot(pd.DataFrame({"consensusMark": marks, "honeypotMark": marks[::-1].array})).marks()
    assert sum(bar.get_height() for bar in axes.patches) == 4
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["consensus", "honeypot"]


def test_without_marks_the_chart_says_so():
    axes = KiliPlot(pd.DataFrame({"consensusMark": [None, None]})).marks()
    assert [text.get_text() for text in axes.texts] == ["no marks yet"]


def test_labelers_without_times_are_left_out_of_the_times():
    frame = assets([label("ada", "CAT"), label("bob", "CAT", seconds=None)])
    axes = KiliPlot(frame).time_to_label()
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["ada"]


def test_progress_by_a_column_has_a_bar_a_value():
    frame = pd.DataFrame({"status": ["TODO", "LABELED", "TODO"], "site": ["Lyon", "Lyon", None]})
    axes = KiliPlot(frame).progress(by="site")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["(none)", "Lyon"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["TODO", "LABELED"]
    assert [[bar.get_width() for bar in bars] for bars in axes.containers] == [[1, 1], [0, 1]]


def test_class_balance_counts_the_latest_label_of_each_asset(frame):
    axes = KiliPlot(frame).class_balance()
    assert list(widths(axes).items()) == [("CAT", 1), ("DOG", 2)], "the largest is at the top"
    assert [text.get_text() for text in axes.texts] == ["1", "2"]


def test_a_class_has_one_color_in_every_chart_and_gallery(frame):
    def colors(axes):
        return {
            tick.get_text(): bar.get_facecolor() for tick, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
        }

    some, all_ = colors(KiliPlot(frame.iloc[2:3]).class_balance()), colors(KiliPlot(frame).class_balance())
    assert some == {"DOG": all_["DOG"]}
    assert len(set(all_.values())) == 2


def test_class_balance_tells_jobs_apart():
    frame = assets([label("ada", "CAT", color="RED")], [label("ada", "CAT", color="BLUE")])
    assert widths(KiliPlot(frame).class_balance()) == {"KIND: CAT": 2, "COLOR: RED": 1, "COLOR: BLUE": 1}
    assert widths(KiliPlot(frame).class_balance("COLOR")) == {"RED": 1, "BLUE": 1}
    with pytest.raises(KiliValidationError, match="'COLOR', 'KIND'"):
        KiliPlot(frame).class_balance("SHAPE")


def test_confusion_counts_the_assets_that_both_labeled(frame):
    axes = KiliPlot(frame).confusion("ada", "bob")
    assert cells(axes) == {("CAT", "CAT"): 1, ("CAT", "DOG"): 1}
    assert (axes.get_ylabel(), axes.get_xlabel(), axes.get_title()) == ("ada", "bob", "KIND")


def test_the_tenth_class_comes_after_the_second_and_none_last():
    kinds = ["CATEGORY_10", "CATEGORY_2", "7", "B", None]
    frame = assets(*[[label("ada", kind), label("bob", "CATEGORY_2")] for kind in kinds])
    axes = KiliPlot(frame).confusion("ada", "bob")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["7", "B", "CATEGORY_2", "CATEGORY_10", "(none)"]


def test_predictions_are_not_taken_for_a_person():
    guess = {**label("ada", "DOG", "2026-04-01", type_="PREDICTION"), "modelName": "cats-1"}
    people = [{**label(author, "CAT"), "modelName": None} for author in ("ada", "bob")]
    plot = KiliPlot(pd.DataFrame({"labels": [[people[0], guess, people[1]]]}))
    assert cells(plot.confusion("ada", "bob")) == {("CAT", "CAT"): 1}
    assert widths(plot.class_balance()) == {"CAT": 1}
    assert {line.get_label() for line in plot.labels_over_time(kind="line").lines} == {"ada", "bob"}
    assert cells(plot.confusion("ada", "cats-1", label_types=None)) == {("CAT", "DOG"): 1}
    assert {line.get_label() for line in plot.labels_over_time(label_types=["PREDICTION"], kind="line").lines} == {
        "cats-1"
    }
    with pytest.raises(KiliValidationError, match="cats-1"):
        plot.confusion("ada", "cats-1")


@pytest.mark.parametrize("name", ["$\\frac$", "$5 to $9", "$$", "a$b", "\\$x\\$"])
def test_names_with_dollar_signs_are_written_as_they_are(name):
    frame = assets([label(name, name), label("bob", "CAT")], [label(name, name, color=name)])
    plot = KiliPlot(frame)
    drawn = [plot.class_balance(), plot.labels_over_time(), plot.time_to_label(), plot.confusion(name, "bob", "KIND")]
    for axes in drawn:
        axes.figure.canvas.draw()
        texts = [text for text in axes.findobj(Text) if name in text.get_text()]
        assert texts
        assert not any(text.get_parse_math() for text in texts)
    formula = plot.class_balance(title="$x^2$")
    assert formula.title.get_parse_math(), "what users write themselves may be mathematics"


def test_confusion_says_who_and_which_jobs_there_are():
    frame = assets([label("ada", "CAT", color="RED"), label("bob", "CAT")])
    with pytest.raises(KiliValidationError, match="'ada', 'bob'"):
        KiliPlot(frame).confusion("ada", "eve")
    with pytest.raises(KiliValidationError, match="'COLOR', 'KIND'"):
        KiliPlot(frame).confusion("ada", "bob")
    assert cells(KiliPlot(frame).confusion("ada", "bob", "COLOR")) == {("RED", "(none)"): 1}


def matrix(axes):
    rows, columns = ([tick.get_text() for tick in ticks] for ticks in (axes.get_yticklabels(), axes.get_xticklabels()))
    places = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    return {(rows[row], columns[column]): text for (row, column), text in places.items()}


def test_agreement_is_a_matrix_of_people_with_numbers():
    guess = {**label("eve", "CAT", type_="PREDICTION"), "modelName": "cats-1"}
    people = [[("ada", "CAT"), ("bob", "CAT")], [("ada", "CAT"), ("bob", "DOG")], [("bob", "DOG"), ("cid", "DOG")]]
    frame = pd.DataFrame(
        {"labels": [[*({**label(*pair), "modelName": None} for pair in pairs), guess] for pairs in people]}
    )
    axes = KiliPlot(frame).agreement()
    assert axes.get_title() == "KIND: equal answers, percent"
    pairs = {pair: text for pair, text in matrix(axes).items() if pair[0] < pair[1]}
    assert pairs == {("ada", "bob"): "50\n(2)", ("bob", "cid"): "100\n(1)"}, "who share no asset have an empty cell"
    assert matrix(axes)["bob", "ada"] == "50\n(2)"
    shown = matrix(KiliPlot(frame).agreement(measure="kappa", label_types=None))
    assert "cats-1" in {name for pair in shown for name in pair}
    with pytest.raises(KiliValidationError, match="has no iou; it has 'kappa', 'percent'"):
        KiliPlot(frame).agreement(measure="iou")
    with pytest.raises(KiliValidationError, match="'iou'; got 'alpha'"):
        KiliPlot(frame).agreement(measure="alpha")


def test_agreement_of_boxes_is_the_share_that_both_found():
    def boxes(author, xmin):
        corners = [{"x": x, "y": y} for x, y in [(xmin, 0.1), (xmin, 0.5), (xmin + 0.3, 0.5), (xmin + 0.3, 0.1)]]
        shape = {
            "type": "rectangle",
            "categories": [{"name": "CAR"}],
            "boundingPoly": [{"normalizedVertices": corners}],
        }
        return {**label(author, "CAT"), "jsonResponse": json.dumps({"CARS": {"annotations": [shape]}})}

    frame = pd.DataFrame({"labels": [[boxes("ada", 0.1), boxes("bob", 0.1)], [boxes("ada", 0.1), boxes("bob", 0.6)]]})
    axes = KiliPlot(frame).agreement("CARS")
    assert axes.get_title() == "CARS: found by both (F1)"
    assert matrix(axes)["ada", "bob"] == "0.50\n(2)"


def test_agreement_asks_which_job_and_says_where_there_is_nothing(frame):
    two = assets([label("ada", "CAT", color="RED"), label("bob", "CAT", color="RED")])
    with pytest.raises(KiliValidationError, match=r"Which job.* 'COLOR', 'KIND'"):
        KiliPlot(two).agreement()
    assert matrix(KiliPlot(two).agreement("COLOR"))["ada", "bob"] == "100\n(1)"
    for alone in (frame.iloc[2:3], frame.iloc[3:]):
        assert [text.get_text() for text in KiliPlot(alone).agreement().texts] == [
            "no asset has answers of two labelers"
        ]


def test_a_matrix_of_many_people_has_room_for_names_and_numbers():
    people = [f"somebody-with-a-long-name-{number:02}@example.com" for number in range(30)]
    axes = KiliPlot(assets([label(name, "CAT") for name in people])).agreement()
    axes.figure.canvas.draw()
    cell = axes.transData.transform([(1, 0)])[0][0] - axes.transData.transform([(0, 0)])[0][0]
    assert all(text.get_window_extent().width < cell for text in axes.texts)
    names = [*axes.get_yticklabels(), *axes.get_xticklabels()]
    assert all(min(name.get_window_extent().min) >= 0 for name in names), "no name is cut off"


def test_a_status_keeps_its_color_whatever_others_there_are():
    frame = pd.DataFrame({"status": ["TODO", "LABELED", "REVIEWED"], "site": "Lyon"})
    charts = [KiliPlot(part).progress(by="site") for part in (frame, frame.iloc[1:])]
    whole, part = ({bars.get_label(): bars[0].get_facecolor() for bars in axes.containers} for axes in charts)
    assert part == {name: whole[name] for name in ("LABELED", "REVIEWED")}


ALL = ["labels_over_time", "time_to_label", "class_balance"]


@pytest.mark.parametrize("name", ALL)
def test_a_project_without_labels_has_an_empty_chart(frame, name):
    assert getattr(KiliPlot(frame.iloc[3:]), name)() is not None


@pytest.mark.parametrize("name", [*ALL, "progress", "marks", "agreement"])
def test_charts_are_drawn_where_they_are_told_to_and_take_the_keywords_of_pandas(frame, name):
    _, axes = plt.subplots()
    drawn = getattr(KiliPlot(frame.assign(status="TODO", consensusMark=0.5)), name)(ax=axes, title="Mine")
    assert drawn is axes
    assert axes.get_title() == "Mine"
    assert plt.get_fignums() == [axes.figure.number]


def test_what_a_chart_lacks_is_named(frame):
    for name, field in (("progress", "status"), ("marks", "consensusMark"), ("labels_over_time", "labels")):
        with pytest.raises(KiliFieldError, match=field):
            getattr(KiliPlot(pd.DataFrame({"id": ["a"]})), name)()
    bare = assets([{"author": {"email": "ada"}}])
    with pytest.raises(KiliFieldError, match="secondsToLabel"):
        KiliPlot(bare.drop(columns="labels").assign(labels=[[{"labelType": "DEFAULT"}]])).time_to_label()
    with pytest.raises(KiliFieldError, match="labelType"):
        KiliPlot(bare.drop(columns="labels").assign(labels=[[{"id": "l"}]])).class_balance()


def test_without_matplotlib_the_extra_is_named(frame, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pandas-kili\[plot\]"):
        KiliPlot(frame).class_balance()
    with pytest.raises(ImportError, match=r"pandas-kili\[plot\]"):
        KiliPlot(frame).confusion("ada", "bob")


def test_the_accessor_plots_its_frame():
    assert heights(pd.DataFrame({"status": ["TODO"]}).kili.plot.progress())["TODO"] == 1
