"""Agreement of labelers, held to worked examples of the literature."""

import itertools
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy.agreement import agreement, cohen_kappa, disagreements, match_boxes


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
        assert cohen_kappa([pair for pair, count in counts.items() for _ in range(count)]) == pytest.approx(
            0.348, abs=5e-4
        )

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
            st.lists(st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(1, 4)] * 2), max_size=4).map(
                lambda items: np.array([[x, y, x + w, y + h] for x, y, w, h in items], float).reshape(-1, 4)
            )
        ]
        * 2
    )
    def test_no_other_matching_is_better(self, first, second):
        small, large = sorted((first, second), key=len)
        best = max(
            sum(sum(match_boxes(small[[i]], large[[j]])) for i, j in enumerate(order))
            for order in itertools.permutations(range(len(large)), len(small))
        )
        assert sum(match_boxes(first, second)) == pytest.approx(best)

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
        with pytest.warns(UserWarning, match="1 labels are left out") as caught:
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
