"""Agreement of labelers, held to worked examples of the literature."""

import itertools
import json

import krippendorff
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy.agreement import agreement, disagreements
from pandas_kili.tidy.chance import cohen_kappa, fleiss_kappa, krippendorff_alpha
from pandas_kili.tidy.overlap import match_groups


def label(author, answer, created="2024-01-01", kind="DEFAULT"):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return {"id": "l", "author": {"email": author}, "createdAt": created, "labelType": kind, "jsonResponse": text}


def assets(*labels, **columns):
    array = pa.array(list(labels), pa.list_(pa.array([label("a", {})]).type))
    return pd.DataFrame(
        {"id": range(len(labels)), "labels": pd.Series(array, dtype=pd.ArrowDtype(array.type)), **columns}
    )


def chosen(*names):
    return {"KIND": {"categories": [{"name": name} for name in names]}}


def box(x, y, width=0.2, height=0.2, category="A"):
    vertices = [(x, y + height), (x, y), (x + width, y), (x + width, y + height)]
    return {
        "boundingPoly": [{"normalizedVertices": [{"x": a, "y": b} for a, b in vertices]}],
        "categories": [{"name": category}],
        "type": "rectangle",
    }


def boxes(*items):
    return {"BOX": {"annotations": list(items)}}


def spans(*items):
    names = ("beginOffset", "endOffset")
    return {
        "NER": {
            "annotations": [
                {**dict(zip(names, ends, strict=True)), "categories": [{"name": kind}]} for *ends, kind in items
            ]
        }
    }


def table_of(counts):
    """Two labelers' classes, from how often each pair of classes came up."""
    return assets(
        *[
            [label("ada", chosen(first)), label("bob", chosen(second))]
            for (first, second), count in counts.items()
            for _ in range(count)
        ]
    )


class TestPublishedExamples:
    def test_artstein_and_poesio_2008_the_dialogue_acts_of_two_coders(self):
        # R. Artstein, M. Poesio, Inter-Coder Agreement for Computational Linguistics (2008), section 2: kappa 0.348.
        counts = {("STAT", "STAT"): 20, ("STAT", "IREQ"): 20, ("IREQ", "STAT"): 10, ("IREQ", "IREQ"): 50}
        codes = {"STAT": 0, "IREQ": 1}
        pairs = [(codes[a], codes[b]) for (a, b), count in counts.items() for _ in range(count)]
        assert cohen_kappa(*np.array(pairs).T) == pytest.approx(0.348, abs=5e-4)

    def test_krippendorff_2011_nominal_data_of_four_observers_with_gaps(self):
        # K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: 0.743.
        units, values = [], []
        for row in (
            "1 2 3 3 2 1 4 1 2 . . .",
            "1 2 3 3 2 2 4 1 2 5 . 3",
            ". 3 3 3 2 3 4 2 2 5 1 .",
            "1 2 3 3 2 4 4 1 2 5 1 .",
        ):
            for unit, value in enumerate(row.split()):
                if value != ".":
                    units.append(unit)
                    values.append(int(value))
        assert krippendorff_alpha(np.array(units), np.array(values)) == pytest.approx(0.743, abs=5e-4)

    def test_fleiss_1971_as_wikipedia_works_it_out(self):
        # «Fleiss' kappa», Wikipedia, Worked example: ten subjects, fourteen raters, five categories: 0.210.
        table = np.array(
            [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
             [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
        )  # fmt: skip
        units, values = np.repeat(np.arange(10), 14), np.concatenate([np.repeat(np.arange(5), row) for row in table])
        assert fleiss_kappa(units, values) == pytest.approx(0.210, abs=5e-4)

    def test_seqeval_the_entities_of_its_manual(self):
        # README of seqeval: one entity found a token too early, one found as it is: F1 0.50.
        frame = assets(
            [label("ada", spans((3, 6, "MISC"))), label("bob", spans((2, 6, "MISC")))],
            [label("ada", spans((0, 2, "PER"))), label("bob", spans((0, 2, "PER")))],
        )
        assert agreement(frame)["f1"].tolist() == [0.5]

    def test_wikipedia_the_grant_proposals_of_two_readers(self):
        # «Cohen's kappa», Wikipedia, Simple example: 50 proposals, yes/yes 20, yes/no 5, no/yes 10, no/no 15: 0.40.
        row = agreement(table_of({("Y", "Y"): 20, ("Y", "N"): 5, ("N", "Y"): 10, ("N", "N"): 15})).iloc[0]
        assert row["kappa"] == pytest.approx(0.4)
        assert row["percent"] == pytest.approx(70)
        assert row["n"] == 50

    @pytest.mark.parametrize(("counts", "kappa"), [((45, 15, 25, 15), 0.1304), ((25, 35, 5, 35), 0.2593)])
    def test_wikipedia_the_same_percentage_and_different_numbers(self, counts, kappa):
        # Same article, «Same percentages but different numbers».
        pairs = dict(zip(itertools.product("YN", repeat=2), counts, strict=True))
        row = agreement(table_of(pairs)).iloc[0]
        assert row["kappa"] == pytest.approx(kappa, abs=5e-5)
        assert row["percent"] == pytest.approx(60)


@given(st.lists(st.lists(st.integers(0, 3) | st.none(), min_size=2, max_size=4), min_size=2, max_size=8))
def test_alpha_is_that_of_the_krippendorff_package(rows):
    table = [(row + [None] * 4)[:4] for row in rows]
    given_for = [(unit, value) for unit, row in enumerate(table) for value in row if value is not None]
    units, values = (np.array([pair[side] for pair in given_for], int) for side in (0, 1))
    ours = krippendorff_alpha(units, values)
    data = np.array([[np.nan if value is None else value for value in row] for row in table], float).T
    shared = {value for row in table for value in row if sum(each is not None for each in row) > 1} - {None}
    if len(shared) > 1:
        assert ours == pytest.approx(krippendorff.alpha(data, level_of_measurement="nominal"))
    else:
        assert ours is None


class TestAmongAll:
    def test_a_row_per_job_for_any_number_of_labelers(self):
        frame = assets(
            [label("ada", chosen("A")), label("bob", chosen("A")), label("cy", chosen("A"))],
            [label("ada", chosen("A")), label("bob", chosen("B")), label("cy", chosen("B"))],
            [label("ada", chosen("A"))],
        )
        row = agreement(frame, among="all").iloc[0]
        assert (row["job"], row["labelers"], row["n"]) == ("KIND", 3, 2)
        assert row["percent"] == pytest.approx(100 * 4 / 6)
        assert row["alpha"] == pytest.approx(
            krippendorff.alpha([[0, 0], [0, 1], [0, 1]], level_of_measurement="nominal")
        )
        assert row["fleiss"] == pytest.approx((2 / 3 - 5 / 9) / (1 - 5 / 9))
        uneven = assets(*frame["labels"].tolist()[:1], [label("ada", chosen("A")), label("bob", chosen("B"))])
        assert pd.isna(agreement(uneven, among="all")["fleiss"].iloc[0])

    def test_boxes_have_a_row_without_them(self):
        frame = assets([label("ada", boxes(box(0, 0))), label("bob", boxes(box(0, 0)))])
        assert agreement(frame, among="all")[["percent", "alpha", "fleiss"]].isna().all(axis=None)


class TestAsked:
    def test_one_job_can_be_asked_for(self):
        frame = assets([label("ada", {**chosen("A"), **boxes(box(0, 0))}), label("bob", chosen("B"))])
        assert agreement(frame)["job"].tolist() == ["BOX", "KIND"]
        assert agreement(frame, job="KIND")["job"].tolist() == ["KIND"]
        assert disagreements(frame, job="BOX")["disagreement"].tolist() == [1]
        with pytest.raises(KiliValidationError, match="Did you mean 'KIND'"):
            agreement(frame, job="KIN")

    def test_a_frame_can_be_judged_week_by_week(self):
        days = ["2024-01-01", "2024-01-07", "2024-01-08"]
        frame = assets(*[[label("ada", chosen("A"), "2023-12-31"), label("bob", chosen("A"), day)] for day in days])
        rows = frame["labels"].array.__arrow_array__().to_pylist()
        array = pa.array(
            [[{**each, "createdAt": pd.Timestamp(each["createdAt"], tz="UTC")} for each in row] for row in rows]
        )
        weeks = agreement(frame.assign(labels=pd.Series(array, dtype=pd.ArrowDtype(array.type))), by="week")
        assert weeks[["week", "n"]].to_numpy().tolist() == [
            [pd.Timestamp("2024-01-01"), 2],
            [pd.Timestamp("2024-01-08"), 1],
        ]
        with pytest.raises(KiliValidationError, match="by is one of"):
            agreement(frame, by="year")


class TestAgainstAModel:
    def frame(self):
        def said(author, name):
            return {**label(author, chosen(name)), "modelName": None}

        def guess(name):
            return {**label("eve", chosen(name), kind="PREDICTION"), "modelName": "yolo"}

        rows = [
            [said("ada", "A"), guess("A")],
            [said("ada", "A"), said("bob", "B"), guess("B")],
            [said("ada", "A"), guess("B")],
            [guess("A")],
        ]
        array = pa.array(rows)
        return pd.DataFrame({"labels": pd.Series(array, dtype=pd.ArrowDtype(array.type), index=list("wxyz"))})

    def test_assets_are_ranked_by_where_people_and_that_model_differ(self):
        ranked = disagreements(self.frame(), against="yolo")
        assert ranked["disagreement"].to_dict() == {"y": 1, "x": 0.5}
        assert ranked["against"].tolist() == [["KIND: B"], ["KIND: B"]]
        assert ranked["others"].tolist() == [["ada: KIND: A"], ["ada: KIND: A", "bob: KIND: B"]]

    def test_people_are_compared_with_that_model_and_not_with_each_other(self):
        pairs = agreement(self.frame(), against="yolo")[["labeler_a", "labeler_b", "n", "percent"]]
        assert pairs.to_numpy().tolist() == [["ada", "yolo", 3, pytest.approx(100 / 3)], ["bob", "yolo", 1, 100]]

    def test_a_person_may_be_compared_with_all_others(self):
        assert agreement(self.frame(), against="bob")["labeler_a"].tolist() == ["ada"]

    def test_who_is_not_there_is_named_with_the_nearest(self):
        with pytest.raises(KiliValidationError, match=r"there is no 'yolov5' here\. Did you mean 'yolo'"):
            agreement(self.frame(), against="yolov5")


class TestClasses:
    def test_sets_of_classes_are_compared_whole_and_in_any_order(self):
        frame = assets(
            [label("ada", chosen("A", "B")), label("bob", chosen("B", "A"))],
            [label("ada", chosen("A")), label("bob", chosen("A", "B"))],
        )
        assert agreement(frame)["percent"].tolist() == [50]

    def test_no_answer_is_a_class_of_its_own(self):
        frame = assets([label("ada", chosen("A")), label("bob", {})], [label("ada", {}), label("bob", {})])
        row = agreement(frame).iloc[0]
        assert (row["n"], row["percent"]) == (1, 0)

    def test_kappa_is_null_where_chance_would_always_agree(self):
        assert agreement(table_of({("A", "A"): 3}))["kappa"].isna().all()

    def test_comparisons_and_texts_count_when_they_are_equal(self):
        choice = {"code": "better", "firstId": "1", "secondId": "2"}
        answer = {"CHOICE": {"choice": choice}, "TEXT": {"text": "x"}}
        other = {"CHOICE": {"choice": {**choice, "firstId": "2", "secondId": "1"}}, "TEXT": {"text": "x"}}
        frame = agreement(assets([label("ada", answer), label("bob", other)])).set_index("job")
        assert frame["percent"].to_dict() == {"CHOICE": 0, "TEXT": 100}
        assert pd.isna(frame.loc["TEXT", "kappa"])

    def test_frames_of_a_video_are_compared_one_by_one(self):
        frame = assets(
            [label("ada", {"0": chosen("A"), "1": chosen("A")}), label("bob", {"0": chosen("A"), "1": chosen("B")})]
        )
        row = agreement(frame).iloc[0]
        assert (row["n"], row["percent"]) == (2, 50)


def match_boxes(first, second):
    """Match the boxes of one group."""
    starts, counts = (np.zeros(1, int), np.zeros(1, int)), (np.array([len(first)]), np.array([len(second)]))
    return match_groups(first, second, starts, counts)[1].tolist()


class TestBoxes:
    def test_overlap_is_intersection_over_union(self):
        # Two squares, one moved by half its width: a third.
        assert match_boxes(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0]])) == pytest.approx([1 / 3])

    def test_matching_finds_the_greatest_sum_where_greed_would_not(self):
        first, second = np.array([[0, 0, 10, 1.0], [4, 0, 14, 1]]), np.array([[1, 0, 11, 1.0], [-5, 0, 5, 1]])
        greedy = 9 / 11 + 1 / 19
        assert sum(match_boxes(first, second)) == pytest.approx(max(greedy, 7 / 13 + 5 / 15))

    @given(
        *[
            st.lists(st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(1, 4)] * 2), max_size=6).map(
                lambda items: np.array([[x, y, x + w, y + h] for x, y, w, h in items], float).reshape(-1, 4)
            )
        ]
        * 2
    )
    def test_no_other_matching_is_better(self, first, second):
        small, large = sorted((first, second), key=len)
        overlaps = [[sum(match_boxes(small[[i]], large[[j]])) for j in range(len(large))] for i in range(len(small))]
        best = max(
            sum(overlaps[i][j] for i, j in enumerate(order))
            for order in itertools.islice(itertools.permutations(range(len(large)), len(small)), 200)
        )
        assert sum(match_boxes(first, second)) >= best - 1e-9

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=5), st.integers(0, 9))
    def test_groups_are_matched_as_each_of_them_alone(self, sizes, seed):
        counts = tuple(np.array(side) for side in zip(*sizes, strict=True))
        starts = tuple(np.cumsum(side) - side for side in counts)
        corners = [
            np.random.default_rng(seed + number).random((int(side.sum()), 4)) for number, side in enumerate(counts)
        ]
        boxes = [np.concatenate([side[:, :2], side[:, :2] + side[:, 2:]], axis=1) for side in corners]
        groups, overlaps = match_groups(*boxes, starts, counts)
        for group, (begin, end) in enumerate(zip(*starts, strict=True)):
            alone = match_boxes(boxes[0][begin : begin + counts[0][group]], boxes[1][end : end + counts[1][group]])
            assert overlaps[groups == group].sum() == pytest.approx(sum(alone))

    def test_iou_is_the_mean_of_matched_boxes_and_f1_counts_the_unmatched(self):
        frame = assets([label("ada", boxes(box(0, 0), box(0.5, 0.5))), label("bob", boxes(box(0, 0)))])
        row = agreement(frame).iloc[0]
        assert (row["iou"], row["f1"]) == (pytest.approx(1), pytest.approx(2 / 3))

    def test_boxes_of_different_categories_are_not_matched(self):
        frame = assets([label("ada", boxes(box(0, 0))), label("bob", boxes(box(0, 0, category="B")))])
        row = agreement(frame).iloc[0]
        assert pd.isna(row["iou"])
        assert row["f1"] == 0

    def test_the_threshold_decides_what_is_the_same_object(self):
        frame = assets([label("ada", boxes(box(0, 0))), label("bob", boxes(box(0.1, 0)))])
        assert agreement(frame)["f1"].tolist() == [0]
        assert agreement(frame, iou_threshold=0.3)["f1"].tolist() == [1]


class TestWhatHasNoMeasure:
    @pytest.mark.parametrize(
        ("tool", "shape"),
        [
            ("marker", {"point": {"x": 0.5, "y": 0.5}}),
            ("polyline", {"polyline": [{"x": 0.5, "y": 0.5}, {"x": 0.6, "y": 0.5}]}),
            ("pose", {"points": [{"code": "A", "point": {"x": 0.5, "y": 0.5}}]}),
        ],
    )
    def test_shapes_without_a_box_have_a_row_that_says_so(self, tool, shape):
        answer = {"J": {"annotations": [{"type": tool, "categories": [{"name": "A"}], **shape}]}}
        frame = assets([label("ada", answer), label("bob", {})])
        row = agreement(frame).iloc[0]
        assert (row["job"], row["measure"], row["n"]) == ("J", "none", 1)
        assert row[["percent", "kappa", "iou", "f1"]].isna().all()
        assert disagreements(frame).empty

    def test_semantic_shapes_are_compared_by_the_boxes_around_them(self):
        shape = {"boundingPoly": [[{"normalizedVertices": [{"x": 0, "y": 0}, {"x": 1, "y": 0}, {"x": 1, "y": 1}]}]]}
        answer = {"J": {"annotations": [{"type": "semantic", "categories": [{"name": "A"}], **shape}]}}
        assert agreement(assets([label("ada", answer), label("bob", answer)]))["iou"].tolist() == [1]


class TestSpans:
    def test_f1_counts_equal_spans_of_equal_category(self):
        frame = assets(
            [
                label("ada", spans((0, 3, "ORG"), (5, 9, "PER"))),
                label("bob", spans((0, 3, "ORG"), (5, 8, "PER"), (20, 21, "ORG"))),
            ]
        )
        assert agreement(frame)["f1"].tolist() == [pytest.approx(2 / 5)]


class TestLabelsThatCount:
    def test_of_each_labeler_the_latest_label_counts(self):
        frame = assets([label("ada", chosen("A"), "2024-02-01"), label("ada", chosen("B")), label("bob", chosen("A"))])
        assert agreement(frame)["percent"].tolist() == [100]

    def test_predictions_count_only_when_asked_for_and_under_the_name_of_the_model(self):
        prediction = {**label("ada", chosen("B"), kind="PREDICTION"), "modelName": "yolo"}
        labels = pa.array([[{**label("ada", chosen("A")), "modelName": None}, prediction]])
        frame = pd.DataFrame({"labels": pd.Series(labels, dtype=pd.ArrowDtype(labels.type))})
        assert agreement(frame).empty
        assert disagreements(frame).empty
        for types in (["DEFAULT", "PREDICTION"], None):
            rows = agreement(frame, label_types=types)[["labeler_a", "labeler_b", "percent"]]
            assert rows.to_numpy().tolist() == [["ada", "yolo", 0]]

    def test_models_are_not_compared_without_their_names(self):
        frame = assets([label("ada", chosen("A")), label("ada", chosen("A"), kind="PREDICTION")])
        with pytest.raises(KiliFieldError, match=r"labels\.modelName"):
            agreement(frame, label_types=["DEFAULT", "PREDICTION"])

    def test_all_pairs_are_compared_on_what_they_share(self):
        frame = assets([label(name, chosen("A")) for name in ("cy", "ada", "bob")], [label("ada", chosen("A"))])
        pairs = agreement(frame)[["labeler_a", "labeler_b", "n"]].to_numpy().tolist()
        assert pairs == [["ada", "bob", 1], ["ada", "cy", 1], ["bob", "cy", 1]]

    def test_unreadable_answers_are_left_out_and_counted(self):
        frame = assets([label("ada", chosen("A")), label("bob", "{")])
        with pytest.warns(UserWarning, match="1 label is left out") as caught:
            assert frame.kili.agreement().empty
        assert [each.filename for each in caught] == [__file__]

    def test_without_authors_the_field_is_named(self):
        with pytest.raises(KiliFieldError, match=r"labels\.author\.email"):
            agreement(pd.DataFrame({"labels": [[{"id": "l", "labelType": "DEFAULT", "jsonResponse": "{}"}]]}))

    def test_without_types_the_field_is_named_as_nothing_tells_people_from_models(self):
        labels = [{"author": {"email": "ada"}, "jsonResponse": "{}"}]
        for ask in (agreement, disagreements):
            with pytest.raises(KiliFieldError, match=r"labels\.labelType"):
                ask(pd.DataFrame({"labels": [labels]}))
        assert agreement(pd.DataFrame({"labels": [labels]}), label_types=None).empty

    def test_authors_without_an_address_are_told_apart_by_their_ids(self):
        labels = [
            {"id": "l", "author": {"email": None, "id": author}, "jsonResponse": json.dumps(chosen(name))}
            for author, name in [("u1", "A"), ("u2", "B")]
        ]
        pairs = agreement(pd.DataFrame({"labels": [labels]}), label_types=None)
        assert pairs[["labeler_a", "labeler_b", "percent"]].to_numpy().tolist() == [["u1", "u2", 0]]

    def test_without_answers_the_field_is_named(self):
        with pytest.raises(KiliFieldError, match=r"fields=\[…, 'labels\.jsonResponse'\]"):
            agreement(pd.DataFrame({"labels": [[{"author": {"email": "ada"}}]]}))

    def test_a_frame_of_labels_says_where_to_ask(self):
        frame = assets([label("ada", chosen("A")), label("bob", chosen("A"))])
        with pytest.raises(KiliFieldError, match="frame of the assets"):
            agreement(frame.kili.labels())

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"label_types": "DEFAULT"}, r"label_types is a list, such as \['DEFAULT'\]"),
            ({"label_types": ["DEFUALT"]}, "got 'DEFUALT'"),
            ({"iou_threshold": 50}, "from 0 to 1; got 50"),
            ({"iou_threshold": float("nan")}, "from 0 to 1"),
        ],
    )
    @pytest.mark.parametrize("ask", [agreement, disagreements])
    def test_options_that_are_none_are_refused(self, ask, wrong, said):
        with pytest.raises(KiliValidationError, match=said):
            ask(assets([label("ada", chosen("A")), label("bob", chosen("A"))]), **wrong)

    def test_without_labels_there_is_nothing_to_compare(self):
        assert agreement(assets([], [])).columns.tolist()[:3] == ["labeler_a", "labeler_b", "job"]
        assert disagreements(assets([], [])).empty


class TestDisagreements:
    def test_the_assets_that_differ_most_come_first_and_others_not_at_all(self):
        frame = assets(
            [label("ada", chosen("A")), label("bob", chosen("A"))],
            [label("ada", {**chosen("A"), "T": {"text": "x"}}), label("bob", {**chosen("B"), "T": {"text": "x"}})],
            [label("ada", chosen("A"))],
            [label("ada", chosen("A")), label("bob", chosen("B"))],
        ).set_axis(["w", "x", "x", "z"], axis=0)
        frame.attrs["kili"] = {"project_id": "p"}
        ranked = disagreements(frame)
        assert ranked["disagreement"].to_dict() == {"z": 1, "x": 0.5}
        assert ranked["id"].tolist() == [3, 1]
        assert ranked.attrs == frame.attrs
        assert "disagreement" not in frame

    def test_boxes_that_only_one_drew_are_a_disagreement(self):
        frame = assets([label("ada", boxes(box(0, 0), box(0.5, 0.5))), label("bob", boxes(box(0, 0)))])
        assert disagreements(frame)["disagreement"].tolist() == [pytest.approx(0.5)]
