"""Single changes: what a glance at whole columns finds, and what a look at each value does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.writing.edits import KEY, differing, is_same

SCALARS = st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 0.0, 2.5, "1", "true", "", "Lyon"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)
TEXTS = st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2).map(
    lambda value: json.dumps(value, separators=(",", ":"))
)
COLUMNS = {
    "jsonMetadata": (TEXTS, st.none() | st.sampled_from(["", "no JSON", "[NaN]"]) | TEXTS.map(lambda text: f" {text}")),
    f"{KEY}a": (VALUES, VALUES),
    "priority": (st.integers(0, 1), st.integers(0, 1)),
    "isHoneypot": (st.booleans(), st.none() | st.booleans()),
}


@pytest.mark.parametrize("name", COLUMNS)
@given(data=st.data())
def test_what_a_glance_takes_for_the_same_is_the_same(name, data):
    wanted, there = COLUMNS[name]
    pairs = data.draw(st.lists(st.tuples(st.none() | wanted, there), max_size=6))
    columns = [one for one, _ in pairs], [other for _, other in pairs]
    suspects = differing(name, *columns)
    assert all(columns[0][place] is not None for place in suspects)
    for place, (one, other) in enumerate(pairs):
        assert place in suspects or one is None or is_same(name, one, other)


def test_a_glance_finds_equal_metadata_however_they_are_written():
    wanted, there = ['{"site": "Lyon", "n": 1}', '{"n": 2}', None], ['{"n":1,"site":"Lyon"}', '{"n":3}', "{}"]
    assert differing("jsonMetadata", wanted, there) == [1]
