"""Filter keywords become the `where` of a query, or one error with all that is wrong."""

import datetime as dt
import itertools
import math
import pickle
import re
import typing
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_kili.catalog.assets import FILTERS, STATUSES
from pandas_kili.errors import KiliFilterError
from pandas_kili.query.category_search import CategorySearchError, check_category_search
from pandas_kili.query.filters import AssetFilters, asset_query

VALUES = {
    "id": "a1",
    "texts": ["a", "b"],
    "step names": ["Label", "Review"],
    "people": ["user1", "user2"],
    "names": ["Ada", "Grace Hopper"],
    "mark": 0.5,
    "flag": False,
    "date": "2024-02-29",
    "day": "2024-02-29",
    "metadata": {"key": "value"},
    "category search": "JOB.CAT.count > 0",
}


def where(**filters):
    (only,) = asset_query("p1", filters).wheres()
    return only


def problems(project_id="p1", **filters):
    with pytest.raises(KiliFilterError) as caught:
        asset_query(project_id, filters)
    assert isinstance(caught.value, ValueError)
    for keyword, problem in caught.value.problems.items():
        assert f"{keyword}: {problem}" in str(caught.value)
    return caught.value.problems


def value_of(item):
    if item.choices:
        return list(item.choices[:2]) if item.kind == "texts" else item.choices[0]
    return VALUES[item.kind]


def written(value):
    """Return how a value is written, without the address that each process gives it anew."""
    return re.sub(r" at 0x\w+", "", repr(value))


def at(place, path):
    for name in path.split("."):
        place = place[name]
    return place


@pytest.mark.parametrize("item", FILTERS, ids=lambda item: item.keyword)
def test_every_filter_goes_to_its_place(item):
    value = value_of(item)
    query = asset_query("p1", {item.keyword: value})
    if item.kind == "step names":
        assert query.lookups == {item.path: "steps"}, "only the server knows the ids of steps"
    (asked,) = query.wheres()
    assert asked.pop("project") == {"id": "p1"}
    assert at(asked, item.path) == value
    assert list(asked) == [item.path.split(".")[0]]


def test_no_filters_ask_for_the_project_only():
    assert where() == {"project": {"id": "p1"}}


def test_a_filter_of_none_is_none():
    assert where(**dict.fromkeys(item.keyword for item in FILTERS)) == {"project": {"id": "p1"}}


def test_all_filters_of_one_entity_stand_together():
    asked = where(status_in=["TODO"], label_type_in=["DEFAULT"], label_honeypot_mark_gte=0, issue_type="ISSUE")
    assert asked == {
        "project": {"id": "p1"},
        "statusIn": ["TODO"],
        "label": {"typeIn": ["DEFAULT"], "honeypotMarkGte": 0.0},
        "issue": {"type": "ISSUE"},
    }


def test_editors_complete_the_keywords_of_the_catalog():
    assert list(typing.get_type_hints(AssetFilters)) == [item.keyword for item in FILTERS]
    assert not AssetFilters.__required_keys__


LISTS = {
    "list": ["b", "a"],
    "tuple": ("b", "a"),
    "dict keys": {"b": 1, "a": 2}.keys(),
    "Series": pd.Series(["b", "a"], index=[7, 7]),
    "Arrow-backed Series": pd.Series(["b", "a"], dtype=pd.ArrowDtype(pa.string())),
    "string Series": pd.Series(["b", "a"], dtype="string"),
    "categorical": pd.Series(["b", "a"], dtype="category"),
    "Categorical": pd.Categorical(["b", "a"]),
    "Index": pd.Index(["b", "a"]),
    "ndarray": np.array(["b", "a"]),
    "object ndarray": np.array(["b", "a"], dtype=object),
    "Arrow array": pa.array(["b", "a"]),
    "large Arrow array": pa.array(["b", "a"], pa.large_string()),
    "Arrow dictionary": pa.array(["b", "a"]).dictionary_encode(),
    "ChunkedArray": pa.chunked_array([["b"], ["a"]]),
}


@pytest.mark.parametrize("values", LISTS.values(), ids=LISTS)
def test_a_list_may_be_any_list_like_of_strings(values):
    ids = where(asset_id_in=values)["idIn"]
    assert ids == ["b", "a"]
    assert {type(one) for one in ids} == {str}


def test_a_list_may_be_a_set_or_a_generator():
    assert where(asset_id_in={"b", "a"})["idIn"] == ["a", "b"]
    assert where(asset_id_in=frozenset({"b", "a"}))["idIn"] == ["a", "b"]
    assert where(asset_id_in=(text for text in "ba"))["idIn"] == ["b", "a"]


def test_what_is_in_a_list_twice_is_asked_once():
    assert where(external_id_in=["b", "a", "b"])["externalIdIn"] == ["b", "a"]


@pytest.mark.parametrize(
    "item", [item for item in FILTERS if item.kind in {"texts", "step names", "people", "names"}], ids=str
)
def test_a_string_in_the_place_of_a_list_is_refused_with_the_list_to_write(item):
    assert "['abc']" in problems(**{item.keyword: "abc"})[item.keyword]


@pytest.mark.parametrize(
    "value",
    [
        b"a1",
        5,
        {"a": "b"},
        pd.DataFrame({"id": ["a"]}),
        np.array("a"),
        np.array([["a"]]),
        [["a"]],
        [1, 2],
        [b"a"],
        np.array([1.5]),
        pa.array([1]),
        object(),
    ],
    ids=written,
)
def test_what_is_no_list_of_strings_is_refused(value):
    assert set(problems(asset_id_in=value)) == {"asset_id_in"}


@pytest.mark.parametrize(
    "values",
    [["a", None], pd.Series(["a", None]), pd.Series(["a", None], dtype="string"), pa.array(["a", None])],
    ids=lambda values: type(values).__name__,
)
def test_a_null_in_a_list_is_refused_with_its_position(values):
    assert "position 1" in problems(asset_id_in=values)["asset_id_in"]


def test_a_list_with_many_wrong_entries_names_a_few():
    problem = problems(asset_id_in=list(range(50)))["asset_id_in"]
    assert "position 4" in problem
    assert "position 5" not in problem
    assert problem.endswith("...")


def test_text_that_is_no_unicode_is_refused():
    for filters in ({"asset_id": "a\ud800"}, {"external_id_in": ["ok", "\udfff"]}, {"metadata_where": {"k": "\ud83d"}}):
        assert "Unicode" in next(iter(problems(**filters).values()))


def test_an_empty_list_matches_nothing():
    for item in FILTERS:
        if item.path.endswith("In") and not item.path.endswith("NotIn"):
            assert asset_query("p1", {item.keyword: []}).matches_nothing, item.keyword
    assert not asset_query("p1", {"asset_id_in": ["a"]}).matches_nothing


def test_an_empty_list_of_what_is_left_out_leaves_out_nothing():
    for item in FILTERS:
        if item.path.endswith("NotIn"):
            query = asset_query("p1", {item.keyword: []})
            assert not query.matches_nothing
            assert list(query.wheres()) == [{"project": {"id": "p1"}}]
            assert not query.lookups


@pytest.mark.parametrize(("count", "parts"), [(1, [1]), (1000, [1000]), (1001, [1000, 1]), (2500, [1000, 1000, 500])])
def test_a_list_longer_than_the_server_takes_is_split(count, parts):
    ids = [f"a{number}" for number in range(count)]
    asked = list(asset_query("p1", {"asset_id_in": ids, "skipped": True}).wheres())
    assert [len(one["idIn"]) for one in asked] == parts
    assert [id_ for one in asked for id_ in one["idIn"]] == ids
    assert all(one["skipped"] is True and one["project"] == {"id": "p1"} for one in asked)


def test_several_long_lists_are_asked_for_in_all_combinations():
    many = [f"x{number}" for number in range(1500)]
    query = asset_query("p1", {"asset_id_in": many, "label_author_in": many, "assignee_in": ["u1"]})
    assert query.long_lists == {"idIn", "label.authorIn"}
    asked = list(query.wheres())
    pairs = {pair for one in asked for pair in itertools.product(one["idIn"][::100], one["label"]["authorIn"][::100])}
    assert len(asked) == 4
    assert pairs == set(itertools.product(many[::100], many[::100]))
    assert all(one["assigneeIn"] == ["u1"] for one in asked)


def test_a_long_list_of_what_is_left_out_cannot_be_split():
    many = [f"x{number}" for number in range(1001)]
    assert where(asset_id_not_in=many[:1000])["idNotIn"] == many[:1000]
    assert "1000" in problems(asset_id_not_in=many)["asset_id_not_in"]


def test_all_problems_are_told_at_once():
    found = problems(
        status_in=["DONE"],
        asset_ids=["a"],
        skipped="yes",
        consensus_mark_gt=2,
        created_at_gte="yesterday",
        label_category_search="JOB",
        metadata_where=[],
        asset_id_in="a1",
        asset_id_not_in=["fine"],
    )
    assert list(found) == [
        "status_in",
        "asset_ids",
        "skipped",
        "consensus_mark_gt",
        "created_at_gte",
        "label_category_search",
        "metadata_where",
        "asset_id_in",
    ]


def test_an_error_keeps_its_problems_in_a_pickle():
    with pytest.raises(KiliFilterError) as caught:
        asset_query("p1", {"status_in": ["DONE"]})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.problems) == (str(caught.value), caught.value.problems)


@pytest.mark.parametrize(
    ("keyword", "near"), [("status", "status_in"), ("asset_ids", "asset_id"), ("created_at_gt", "created_at_gte")]
)
def test_an_unknown_filter_is_refused_with_near_ones(keyword, near):
    assert near in problems(**{keyword: "x"})[keyword]


def test_an_unknown_filter_like_no_other_is_refused():
    assert problems(qqqq=1)["qqqq"] == "no such filter"


@pytest.mark.parametrize("project_id", [None, 5, "", "  ", ["p1"], b"p1"])
def test_a_project_is_named_by_a_string(project_id):
    assert set(problems(project_id, status_in=["DONE"])) == {"project_id", "status_in"}


def test_an_old_and_a_new_name_of_one_filter_cannot_be_given_together():
    by_path = itertools.groupby(sorted(FILTERS, key=lambda item: item.path), key=lambda item: item.path)
    twins = [names for _, items in by_path if len(names := [(one.keyword, value_of(one)) for one in items]) > 1]
    assert len(twins) == 11
    for first, second in twins:
        for one, other in ((first, second), (second, first)):
            assert one[0] in problems(**dict([one, other]))[other[0]]
            assert where(**{one[0]: one[1], other[0]: None}) == where(**dict([one])), "None is no filter"


def test_the_old_names_of_bounds_ask_for_the_same_inclusive_bounds():
    for item in FILTERS:
        if item.keyword.endswith(("_gt", "_lt")):
            value = value_of(item)
            assert where(**{item.keyword: value}) == where(**{f"{item.keyword}e": value}), item.keyword


@pytest.mark.parametrize(
    ("keyword", "wrong", "known"),
    [
        ("status_in", ["TODO", "DONE", "todo"], STATUSES),
        ("label_type_in", ["default"], ["DEFAULT"]),
        ("issue_type", "BUG", ["QUESTION"]),
        ("issue_status", "CLOSED", ["SOLVED"]),
        ("step_status_in", ["TODO"], ["TO_DO"]),
        ("step_status_not_in", ["TODO"], ["TO_DO"]),
    ],
)
def test_a_value_that_kili_does_not_have_is_refused_with_those_that_it_has(keyword, wrong, known):
    problem = problems(**{keyword: wrong})[keyword]
    assert all(name in problem for name in known)
    assert repr(wrong[-1] if isinstance(wrong, list) else wrong) in problem


MARKS = [item.keyword for item in FILTERS if item.kind == "mark"]


@pytest.mark.parametrize("value", [0, 1, 0.25, np.float32(0.5), np.int8(1), np.float64(0)])
def test_a_mark_is_a_number_within_0_and_1(value):
    for keyword in MARKS:
        (bound,) = [bound for bound in _leaves(where(**{keyword: value})) if bound != "p1"]
        assert bound == value
        assert type(bound) is float


@pytest.mark.parametrize(
    "value",
    [-0.1, 1.0001, 2, math.nan, math.inf, -math.inf, True, False, np.True_, "0.5", None, 10**310, 1j, np.nan, pd.NA],
    ids=str,
)
def test_a_mark_out_of_range_or_no_number_is_refused(value):
    if value is None:
        value = [0.5]
    for keyword in MARKS:
        assert set(problems(**{keyword: value})) == {keyword}


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_a_flag_is_true_or_false(value):
    assert where(skipped=value)["skipped"] is bool(value)


@pytest.mark.parametrize("value", [0, 1, "true", "", [], pd.NA])
def test_what_is_like_true_is_not_true(value):
    assert set(problems(skipped=value)) == {"skipped"}


@pytest.mark.parametrize("value", ["", 5, ["a1"], b"a1", pd.NA])
def test_an_asset_is_named_by_a_string(value):
    assert set(problems(asset_id=value)) == {"asset_id"}


def test_a_day_stays_a_day():
    for value in ("2024-02-29", dt.date(2024, 2, 29)):
        assert where(created_at_gte=value)["createdAtGte"] == "2024-02-29"
        assert where(label_created_at=value)["label"]["createdAt"] == "2024-02-29"


@pytest.mark.parametrize(
    "value",
    [
        "20240229",
        "2024-02-29T00:00:00Z",
        dt.datetime(2024, 2, 29),  # noqa: DTZ001 - without a zone: UTC
        pd.Timestamp("2024-02-29"),
        pd.Timestamp("2024-02-29", tz="UTC"),
        np.datetime64("2024-02-29"),
    ],
    ids=repr,
)
def test_the_first_instant_of_a_day_is_that_day(value):
    assert where(label_created_at=value)["label"]["createdAt"] == "2024-02-29"


@pytest.mark.parametrize("value", ["2024-02-29T12:00", pd.Timestamp("2024-02-29", tz="Europe/Paris")], ids=repr)
def test_an_instant_within_a_day_is_no_day(value):
    assert "day" in problems(label_created_at=value)["label_created_at"]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("2024-02-29T12:30:00Z", "2024-02-29T12:30:00.000Z"),
        ("2024-02-29T12:30:00+02:00", "2024-02-29T10:30:00.000Z"),
        ("2024-02-29 12:30", "2024-02-29T12:30:00.000Z"),
        ("2024-02-29T12:30:00.123456Z", "2024-02-29T12:30:00.123456Z"),
        (dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone(dt.timedelta(hours=-5))), "2024-02-29T17:00:00.000Z"),
        (pd.Timestamp("2024-02-29 12:00", tz="Asia/Kolkata"), "2024-02-29T06:30:00.000Z"),
        (pd.Timestamp("2024-02-29 12:00:00.123"), "2024-02-29T12:00:00.123Z"),
        (np.datetime64("2024-02-29T12:00:00", "ns"), "2024-02-29T12:00:00.000Z"),
    ],
    ids=repr,
)
def test_an_instant_is_sent_in_utc(value, sent):
    assert where(updated_at_lte=value)["updatedAtLte"] == sent


ZONES = st.sampled_from(["UTC", "Europe/Paris", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"]).map(ZoneInfo)
INSTANTS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001 - the strategy adds zones


@given(INSTANTS, st.sampled_from(["datetime", "text", "Timestamp", "datetime64"]))
@settings(deadline=None)
def test_an_instant_in_any_form_is_sent_as_that_instant(instant, form):
    utc = instant.astimezone(dt.UTC)
    value = {
        "datetime": instant,
        "text": instant.isoformat(),
        "Timestamp": pd.Timestamp(instant),
        "datetime64": np.datetime64(utc.replace(tzinfo=None), "us"),
    }[form]
    sent = where(created_at_gte=value)["createdAtGte"]
    assert sent.endswith("Z")
    assert dt.datetime.fromisoformat(sent) == utc


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "2024-02-30",
        "2024-13-01",
        "29/02/2024",
        "2024-02-29T25:00",
        "2024-02-29T",
        1709208000,
        math.nan,
        pd.NaT,
        np.datetime64("NaT"),
        pd.NA,
        ["2024-02-29"],
        pd.Period("2024-02"),
        dt.time(12),
        dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=5))),
        dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    ],
    ids=repr,
)
def test_what_is_no_date_is_refused(value):
    for keyword in ("created_at_gte", "label_created_at"):
        assert set(problems(**{keyword: value})) == {keyword}


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        ("a", "a"),
        ("", ""),
        (5, 5),
        (np.int64(5), 5),
        (2.5, 2.5),
        (np.float32(2.5), 2.5),
        (True, True),
        (np.False_, False),
        (["a", "b"], ["a", "b"]),
        (("a",), ["a"]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (pa.array(["a", "b"]), ["a", "b"]),
        ([2, 10], [2, 10]),
        (np.array([2, 10]), [2, 10]),
        ((2.5, np.int8(10)), [2.5, 10]),
        (pa.array([1.5, 2.5]), [1.5, 2.5]),
    ],
    ids=written,
)
def test_a_condition_on_metadata_is_a_value_a_list_of_texts_or_two_numbers(condition, sent):
    asked = where(metadata_where={"key": condition, "other": "x"})["metadata"]
    assert asked == {"key": sent, "other": "x"}
    assert type(asked["key"]) is type(sent)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        [],
        "key",
        5,
        {"key": None},
        {"key": []},
        {"key": ["a", 1]},
        {"key": [1, 2, 3]},
        {"key": [1]},
        {"key": [1, "a"]},
        {"key": [1, None]},
        {"key": [True, False]},
        {"key": {"a": 1}},
        {"key": math.nan},
        {"key": math.inf},
        {"key": [0, math.inf]},
        {"key": 10**310},
        {"key": pd.NA},
        {5: "a"},
        {"": "a"},
    ],
    ids=repr,
)
def test_what_is_no_condition_on_metadata_is_refused(metadata):
    assert set(problems(metadata_where=metadata)) == {"metadata_where"}


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_\-*]{0,8}", fullmatch=True)
SPACES = st.sampled_from(["", " ", "  ", "\n", "\t"])
NUMBERS = st.one_of(
    st.integers(-1000, 1000).map(str), st.sampled_from(["1.5", "+2", "-.5", "3.", "1e3", "2.5E-1", "007"])
)


@st.composite
def comparisons(draw):
    operator = draw(st.sampled_from([">=", "<=", ">", "<", "=="]))
    parts = [draw(NAMES), ".", draw(NAMES), ".", "count", operator, draw(NUMBERS)]
    return draw(SPACES).join(parts)


def joined(inner):
    pairs = st.tuples(inner, st.sampled_from([" AND ", " OR ", "\nAND\t"]), inner).map("".join)
    return st.one_of(pairs, st.builds("({}{}{})".format, SPACES, inner, SPACES))


SEARCHES = st.recursive(comparisons(), joined, max_leaves=12)


@given(SEARCHES)
@settings(deadline=None)
def test_a_search_of_the_grammar_is_sent_as_it_was_written(search):
    assert where(label_category_search=search)["label"]["search"] == search


MUTATIONS = [
    ("count", "sum"),
    ("count", "COUNT"),
    (".", ""),
    (".", ".."),
    ("==", "="),
    (">=", "=>"),
    ("AND", "and"),
    ("OR", "or"),
    ("AND", "&&"),
    ("AND", ""),
    ("(", ""),
    (")", ""),
    ("AND", "AND AND"),
    ("2", "two"),
    ("JOB", "1JOB"),
    ("JOB", "J\u00d6B"),
    ("CAT", "'CAT'"),
    ("2", "2 3"),
    (" OR", " OR NOT"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_search_with_one_thing_wrong_is_refused_with_its_place(old, new):
    search = "JOB.CAT.count >= 1 AND (JOB.B-1*.count == 2 OR JOB.C.count < 2)"
    check_category_search(search)
    with pytest.raises(CategorySearchError, match="character"):
        check_category_search(search.replace(old, new, 1))


@given(SEARCHES, st.data())
@settings(deadline=None)
def test_a_search_cut_anywhere_is_refused_unless_what_is_left_is_whole(search, data):
    """The end of a number, and of a part in parentheses, is the only place where a search can end."""
    cut = search[: data.draw(st.integers(0, len(search) - 1))]
    try:
        check_category_search(cut)
    except CategorySearchError:
        return
    assert cut.rstrip()[-1] in "0123456789.)"
    assert cut.count("(") == cut.count(")")


@given(st.text(alphabet="JOB.count ><=AND()12\u00e9'", max_size=40))
@settings(deadline=None)
def test_a_search_of_any_text_is_accepted_or_refused_in_one_way(text):
    try:
        check_category_search(text)
    except CategorySearchError:
        return
    assert ".count" in text.replace(" ", "")


@pytest.mark.parametrize(
    "search", ["", " ", "()", "JOB", "JOB.CAT", "JOB.CAT.count", "JOB.CAT.count >", "AND", "JOB.CAT.count > 1 AND", 5]
)
def test_what_is_no_search_is_refused_with_an_example(search):
    problem = problems(label_category_search=search)["label_category_search"]
    assert not isinstance(search, str) or "JOB_0.CATEGORY_A.count > 0" in problem


def test_parentheses_nest_as_deep_as_anybody_would_ask_and_no_deeper():
    check_category_search("(" * 100 + "J.C.count > 1" + ")" * 100)
    with pytest.raises(CategorySearchError, match="nest"):
        check_category_search("(" * 100_000 + "J.C.count > 1" + ")" * 100_000)


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    return [value]


@pytest.mark.parametrize(
    ("keyword", "instead"),
    [("limit", "first="), ("nrows", "first="), ("as_generator", "chunksize="), ("format", "leave it out")],
)
def test_arguments_of_other_libraries_are_answered_with_ours(keyword, instead):
    assert instead in problems(**{keyword: 5})[keyword]


def test_a_frame_in_the_place_of_a_project_is_not_printed():
    frame = pd.DataFrame({"secret": ["cell"] * 1000})
    assert problems(frame)["project_id"].endswith("got a DataFrame of shape (1000, 1)")


@pytest.mark.parametrize("wanted", [[1], [1, 2, 3], [5, 1], [], [1, "a"], np.array([3.0, 1.0])])
def test_numbers_in_a_metadata_condition_are_a_range(wanted):
    assert "metadata_where" in problems(metadata_where={"k": wanted})
    assert where(metadata_where={"k": [1, 5]})["metadata"] == {"k": [1, 5]}


def test_a_range_that_is_none_says_what_two_numbers_mean():
    assert (
        "a range, from the first to the second; got [1, 2, 3]"
        in problems(metadata_where={"k": [1, 2, 3]})["metadata_where"]
    )
