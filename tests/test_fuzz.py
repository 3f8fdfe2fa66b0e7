"""Whatever users give, what goes out is a result or an error of our tree."""

import contextlib
import json

import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import (
    ANYTHING,
    EFFORT,
    HASHABLE,
    SCALARS,
    TEXTS,
    columns,
    only_our_errors,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from writing import client_of, filled, hurry

import pandas_kili as pk
from pandas_kili.category_search import CategorySearchError, check_category_search
from pandas_kili.filters import AssetFilters, asset_query
from pandas_kili.operation import encoded
from pandas_kili.sandbox import Sandbox
from pandas_kili.selection import select


@pytest.fixture(scope="module", autouse=True)
def swift():
    with pytest.MonkeyPatch.context() as monkeypatch:
        hurry(monkeypatch)
        yield


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        sandbox.project, sandbox.ids = filled(sandbox, 6, labeled=range(3))
        sandbox.user = client_of(sandbox)
        yield sandbox


# --- filters and fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", [*AssetFilters.__annotations__, "no_such_filter"])
@settings(max_examples=12 * EFFORT)
@given(value=ANYTHING)
def test_a_filter_takes_a_value_or_says_why_not(keyword, value):
    try:
        query = asset_query("p", {keyword: value})
    except pk.KiliFilterError as error:
        refused = error
    else:
        refused = None
        for where in query.wheres() if not query.matches_nothing else ():
            json.loads(encoded("query q { a }", {"where": where}))
    assert refused is None or (keyword in refused.problems and str(refused))


@settings(max_examples=60 * EFFORT)
@given(filters=st.dictionaries(st.sampled_from(sorted(AssetFilters.__annotations__)), ANYTHING, max_size=4))
def test_filters_that_are_taken_are_understood_by_the_server(sandbox, filters):
    with contextlib.suppress(pk.KiliFilterError):
        assert 0 <= pk.count_assets(sandbox.project, client=sandbox.user, **filters) <= 6


@settings(max_examples=80 * EFFORT)
@given(fields=st.one_of(ANYTHING, st.lists(TEXTS), st.dictionaries(TEXTS | HASHABLE, SCALARS | st.just(pa.string()))))
def test_fields_are_known_or_said_to_be_unknown(fields):
    with contextlib.suppress(pk.KiliFieldError):
        assert select(fields).schema is not None


@settings(max_examples=30 * EFFORT)
@given(first=ANYTHING, skip=ANYTHING, chunksize=ANYTHING, validate=ANYTHING, project=ANYTHING)
def test_other_arguments_of_a_read_are_taken_or_said_to_be_wrong(sandbox, first, skip, chunksize, validate, project):
    for given_ in ({"first": first}, {"skip": skip}, {"chunksize": chunksize}, {"validate": validate}):
        with contextlib.suppress(pk.KiliFilterError, pk.KiliFieldError):
            assert len(list(pk.read_kili(sandbox.project, fields=["id"], client=sandbox.user, **given_))) < 10
    with pytest.raises((pk.KiliFilterError, pk.KiliNotFoundError)):
        pk.count_assets(project, client=sandbox.user)


WORDS = st.sampled_from(
    ["AND", "OR", "NOT", "(", ")", "JOB_0", ".", "A", "count", ">", "==", "<=", "0", "-1", "9" * 400]
)


@settings(max_examples=100 * EFFORT)
@given(text=TEXTS | st.lists(WORDS, max_size=12).map(" ".join) | st.lists(WORDS, max_size=12).map("".join))
def test_a_category_search_is_well_formed_or_said_not_to_be(text):
    with contextlib.suppress(CategorySearchError):
        check_category_search(text)


@pytest.mark.parametrize("text", ["(" * 100_000, "NOT " * 100_000, "A.B.count > 0 AND " * 20_000 + "A.B.count > 0"])
def test_a_category_search_of_any_depth_comes_to_an_end(text):
    with contextlib.suppress(pk.KiliFilterError):
        asset_query("p", {"label_category_search": text})


# --- frames ----------------------------------------------------------------------------------------------------------

PROPERTIES = ["priority", "jsonMetadata", "consensusMark", "honeypotMark", "toBeLabeledBy", "content", "jsonContent"]
PROPERTIES += ["status", "isUsedForConsensus", "isHoneypot"]


def framed(data, ids=None):
    columns_, index = data
    frame = pd.DataFrame(columns_, index=range(4))
    if ids is not None and "id" not in frame and "externalId" not in frame:
        frame.insert(0, "id", ids[:4])
    with contextlib.suppress(Exception):
        frame.index = pd.Index(index)
    return frame


def frames(*names):
    index = st.one_of(st.just([0, 0, 1, 1]), st.lists(HASHABLE, min_size=4, max_size=4))
    return st.tuples(st.dictionaries(st.sampled_from(names), columns(), min_size=1, max_size=4), index)


@settings(max_examples=80 * EFFORT)
@given(data=frames(*PROPERTIES, "id", "externalId"))
def test_any_column_can_be_updated_or_is_said_to_be_wrong(sandbox, data):
    frame = framed(data, sandbox.ids)
    before = frame.copy()
    names = [name for name in frame.columns if name in PROPERTIES]
    with only_our_errors():
        out = frame.kili.update_properties_in_assets(
            *names, project_id=sandbox.project, client=sandbox.user, dry_run=True
        )
        assert set(out.kili.report["outcome"]) <= {"not_sent", "declined", "applied"}
        assert len(out) == 4
    with contextlib.suppress(ArithmeticError, NotImplementedError):  # what pandas cannot compare
        pd.testing.assert_frame_equal(frame, before)


@settings(max_examples=80 * EFFORT)
@given(data=frames("content", "externalId", "id", "jsonContent", "jsonMetadata", "isHoneypot", "status"))
def test_any_column_can_be_appended_or_is_said_to_be_wrong(sandbox, data):
    frame = framed(data)
    for if_exists in ("fail", "skip"):
        with only_our_errors():
            out = frame.kili.append_many_to_dataset(
                sandbox.project, if_exists=if_exists, client=sandbox.user, dry_run=True
            )
            assert set(out.kili.report["outcome"]) <= {"not_sent", "declined", "applied"}
    assert len(sandbox.assets(sandbox.project)) == 6


@settings(max_examples=30 * EFFORT)
@given(data=frames("id", "externalId", "fresh"))
def test_any_column_can_name_assets_or_is_said_to_be_wrong(sandbox, data):
    frame = framed(data, sandbox.ids)
    given_ = {"project_id": sandbox.project, "client": sandbox.user, "dry_run": True}
    with only_our_errors():
        frame.kili.delete_many_from_dataset(**given_)
    with only_our_errors():
        frame.kili.add_to_review(**given_)
    with only_our_errors():
        frame.kili.change_asset_external_ids("fresh", **given_)


@settings(max_examples=30 * EFFORT)
@given(label=HASHABLE | ANYTHING, data=frames("content", "id"))
def test_any_label_names_a_column_or_is_said_not_to(sandbox, label, data):
    frame = framed(data, sandbox.ids)
    given_ = {"project_id": sandbox.project, "client": sandbox.user, "dry_run": True}
    with only_our_errors():
        frame.kili.update_properties_in_assets(priority=label, **given_)
    with only_our_errors():
        frame.kili.update_properties_in_assets(label, **given_)
    with only_our_errors():
        frame.kili.change_asset_external_ids(label, **given_)
