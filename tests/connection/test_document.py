"""What a document does is read from its tokens, not from its looks."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.connection.document import Operation, encoded, read_operation
from pandas_kili.errors import KiliError, KiliGraphQLError, KiliValidationError

IGNORED = st.lists(st.sampled_from([" ", "\n", "\t", ",", "\ufeff", "# mutation m { a }\n", '# "\n', "#\r"])).map(
    "".join
)
SELECTIONS = st.sampled_from(
    [
        "{ a }",
        "{ mutation query }",
        '{ a(b: "} mutation x {") { c } }',
        '{ a(b: """ " } mutation { \\""" """) }',
        "{ a(b: {c: {d: 1}}) @skip(if: false) { mutation } }",
    ]
)
HEADS = st.sampled_from(
    [("", ""), ("n", ""), ("subscription", ""), ("n", "($mutation: [In!]! = {a: [{b: 1}]})"), ("", "@mutation(a: {})")]
)
FRAGMENTS = st.lists(
    st.sampled_from(["fragment f on mutation { a }", "fragment mutation on T { a { b } }"]), max_size=2
)


@given(st.sampled_from(["query", "mutation"]), HEADS, SELECTIONS, IGNORED, FRAGMENTS, st.booleans())
def test_kind_and_name_are_found_whatever_surrounds_them(kind, head, selection, ignored, fragments, first):
    operation = f"{kind}{ignored} {head[0]}{head[1]} {ignored}{selection}{ignored}\n"
    document = "\n".join([operation, *fragments] if first else [*fragments, operation])
    assert read_operation(ignored + "\n" + document) == Operation(kind, head[0] or None)


@given(SELECTIONS, IGNORED)
def test_a_bare_selection_is_a_query(selection, ignored):
    assert read_operation(f"{ignored}\n{selection}").repeatable


def test_one_mutation_among_several_operations_decides():
    assert not read_operation("query a { b } mutation c { d }").repeatable


@pytest.mark.parametrize("document", ["", "  # query", "fragment f on T { a }", "subscription s { a }", "Query { a }"])
def test_other_documents_are_refused(document):
    with pytest.raises(KiliGraphQLError):
        read_operation(document)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(KiliError):
        read_operation(text)


def test_operations_read_as_text():
    assert str(read_operation("query assets { a }")) == "query assets"
    assert str(read_operation("{ a }")) == "query"


def test_variables_are_absent_where_there_are_none():
    assert json.loads(encoded("{ a }")) == json.loads(encoded("{ a }", {})) == {"query": "{ a }"}
    assert json.loads(encoded("{ a }", {"b": None})) == {"query": "{ a }", "variables": {"b": None}}


def test_text_of_any_language_is_carried_and_half_a_surrogate_pair_refused():
    assert json.loads(encoded("{ a }", {"b": "é 漢 \U0001f600"}))["variables"] == {"b": "é 漢 \U0001f600"}
    with pytest.raises(KiliValidationError, match=r"'\\ud800', half a surrogate pair"):
        encoded("{ a }", {"b": "x\ud800"})


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, {(1,): 2}])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(KiliValidationError, match="JSON"):
        encoded("{ a }", {"b": [value]})


def test_a_circle_is_refused():
    circle = {}
    circle["itself"] = circle
    with pytest.raises(KiliValidationError, match="JSON"):
        encoded("{ a }", circle)
