"""Labels that are likely wrong: planted ones are found."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy import label_errors

CLASSES = np.array(["CAT", "DOG", "OWL"])


def label(author, kind, categories, model=None):
    answer = {"KIND": {"categories": categories}}
    return {
        "author": {"email": author},
        "labelType": kind,
        "modelName": model,
        "jsonResponse": json.dumps(answer),
    }


def frame_of(rows):
    array = pa.array(rows)
    return pd.DataFrame(
        {"id": [f"a{at}" for at in range(len(rows))], "labels": pd.Series(array, dtype=pd.ArrowDtype(array.type))}
    )


def planted(assets=240, rate=0.1):
    """Labels of which a tenth is wrong, and a model that is right nine times of ten; and which labels are wrong."""
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 3, assets)
    wrong = rng.random(assets) < rate
    given = np.where(wrong, (truth + rng.integers(1, 3, assets)) % 3, truth)
    guessed = np.where(rng.random(assets) < 0.9, truth, rng.integers(0, 3, assets))
    sure = rng.integers(70, 99, assets)
    rows = [
        [
            label("ada", "DEFAULT", [{"name": CLASSES[given[at]]}]),
            label("eve", "PREDICTION", [{"name": CLASSES[guessed[at]], "confidence": int(sure[at])}], "net"),
        ]
        for at in range(assets)
    ]
    return frame_of(rows).set_axis(pd.RangeIndex(100, 100 + assets), axis=0), wrong


def test_planted_errors_are_found_and_ranked():
    frame, wrong = planted()
    suspects = label_errors(frame, model="net", job="KIND")
    found = np.zeros(len(frame), bool)
    found[suspects.index - 100] = True
    assert (found & wrong).sum() / wrong.sum() >= 0.8
    assert (found & wrong).sum() / found.sum() >= 0.5
    assert suspects["quality"].is_monotonic_increasing
    assert (suspects["given"] != suspects["suggested"]).all()
    assert suspects["labeler"].eq("ada").all()
    assert suspects["id"].tolist() == frame.loc[suspects.index, "id"].tolist()


def test_of_right_labels_there_are_no_errors():
    rows = [
        [
            label("ada", "DEFAULT", [{"name": name}]),
            label("eve", "PREDICTION", [{"name": name, "confidence": 90}], "net"),
        ]
        for name in ["CAT", "DOG"] * 20
    ]
    assert label_errors(frame_of(rows), model="net", job="KIND").empty


def test_labels_that_cannot_be_judged_are_counted():
    frame, _ = planted()
    more = [
        [label("ada", "DEFAULT", [{"name": "CAT"}, {"name": "DOG"}])],
        [label("ada", "DEFAULT", [{"name": "CAT"}])],
    ]
    with pytest.warns(UserWarning, match="2 labels are left out"):
        label_errors(pd.concat([frame, frame_of(more)], ignore_index=True), model="net", job="KIND")


def test_a_model_that_predicted_nothing_is_named_with_the_nearest():
    frame, _ = planted(10)
    with pytest.raises(KiliValidationError, match=r"no predictions of model 'nett'\. Did you mean 'net'"):
        label_errors(frame, model="nett", job="KIND")
    with pytest.raises(KiliValidationError, match="no job 'KINDD'"):
        label_errors(frame, model="net", job="KINDD")


def test_without_types_or_models_the_field_is_named():
    frame, _ = planted(10)
    for name in ("labelType", "modelName"):
        rows = [[{key: each[key] for key in each if key != name} for each in row] for row in frame["labels"].tolist()]
        with pytest.raises(KiliFieldError, match=rf"labels\.{name}"):
            label_errors(frame_of(rows), model="net", job="KIND")
