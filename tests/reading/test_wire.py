"""Page bytes become Arrow and pandas with nothing lost, whatever odd things a server writes."""

import datetime as dt
import json
import math
import string
import warnings

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_kili.catalog import ENTITIES, leaves
from pandas_kili.errors import KiliError, KiliGraphQLError, KiliValidationError
from pandas_kili.query.fields import select
from pandas_kili.reading import wire
from pandas_kili.reading.wire import columns, read_pages

FIELDS = (
    "id",
    "externalId",
    "createdAt",
    "consensusMark",
    "priority",
    "skipped",
    "dynamicTilerTokens",
    "latestLabel.author.email",
    "latestLabel.secondsToLabel",
    "labels.id",
    "labels.createdAt",
    "labels.author.email",
    "labels.jsonResponse",
)
SELECTION = select(FIELDS)
INSTANT = dt.datetime(2023, 5, 11, 15, 55, 1, 134000, tzinfo=dt.UTC)
ASSET = {
    "id": "a1",
    "externalId": "one",
    "createdAt": "2023-05-11T15:55:01.134Z",
    "consensusMark": 0.5,
    "priority": 3,
    "skipped": False,
    "dynamicTilerTokens": ["t1", None],
    "latestLabel": {"author": {"email": "a@b.c"}, "secondsToLabel": 1.5},
    "labels": [
        {"id": "l1", "createdAt": "2023-05-11T15:55:01.134Z", "author": {"email": "a@b.c"}, "jsonResponse": "{}"}
    ],
}
SERVED = {**ASSET, "createdAt": INSTANT, "labels": [{**ASSET["labels"][0], "createdAt": INSTANT}]}


def body_of(assets, **options):
    return json.dumps({"data": {"data": assets}}, **{"ensure_ascii": False, **options}).encode()


def read(*bodies, wire=SELECTION.wire):
    return [page.to_pylist() for page in arrays_of(bodies, wire)]


def arrays_of(bodies, wire):
    assets, lengths = read_pages(bodies, wire)
    assert len(lengths) == len(bodies)
    assert sum(lengths) == len(assets)
    assets.validate(full=True)
    assert assets.type == wire
    ends = [sum(lengths[: position + 1]) for position in range(len(lengths))]
    return [assets.slice(end - length, length) for end, length in zip(ends, lengths, strict=True)]


def read_one(assets, **options):
    return read(body_of(assets, **options))[0]


def value_of(name, text, wire=SELECTION.wire):
    """Read one asset whose field is written as this JSON text."""
    body = b'{"data":{"data":[{"id":"a1","%s":%s}]}}' % (
        name.encode(),
        text if isinstance(text, bytes) else text.encode(),
    )
    return read(body, wire=wire)[0][0][name]


def refusal(name, text, wire=SELECTION.wire):
    with pytest.raises(KiliValidationError) as caught:
        value_of(name, text, wire)
    return caught.value


def test_an_ordinary_page_is_read():
    assert read_one([ASSET]) == [SERVED]


def test_an_empty_page_is_read():
    assert read(body_of([]), body_of([ASSET]), body_of([])) == [[], [SERVED], []]


def test_nulls_stay_null_everywhere():
    nothing = dict.fromkeys(ASSET)
    assert read_one([nothing, ASSET, nothing]) == [nothing, SERVED, nothing]


def test_nulls_within_nests_stay_null():
    odd = {**ASSET, "latestLabel": {"author": None, "secondsToLabel": None}, "labels": [None, {"id": None}]}
    (asset,) = read_one([odd])
    assert asset["latestLabel"] == {"author": None, "secondsToLabel": None}
    assert asset["labels"] == [None, dict.fromkeys(ASSET["labels"][0])]


def test_an_empty_list_is_not_null():
    assert [one["labels"] for one in read_one([{"labels": []}, {"labels": None}, {}])] == [[], None, None]


def test_missing_fields_are_null_and_others_are_left_out():
    assert read_one([{"id": "a1", "new": {"deep": [1]}, "labels": [{"id": "l1", "new": 5}]}]) == [
        {**dict.fromkeys(ASSET), "id": "a1", "labels": [{**dict.fromkeys(ASSET["labels"][0]), "id": "l1"}]}
    ]


def test_what_stands_beside_the_data_is_left_out():
    body = b'{"extensions":{"cost":1},"data":{"other":5,"data":[{"id":"a1"}]},"more":[{"data":{"data":[]}}]}'
    assert [one["id"] for one in read(body)[0]] == ["a1"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("consensusMark", "1", 1.0),
        ("consensusMark", "-0", 0.0),
        ("consensusMark", '"0.5"', 0.5),
        ("consensusMark", "1e-3", 0.001),
        ("priority", "3.0", 3),
        ("priority", "1e3", 1000),
        ("priority", '"12"', 12),
        ("priority", "-9223372036854775808", -(2**63)),
        ("priority", "9223372036854775807", 2**63 - 1),
        ("priority", '"9223372036854775807"', 2**63 - 1),
        ("skipped", "true", True),
        ("externalId", "12", "12"),
        ("externalId", "0.5", "0.5"),
        ("externalId", "true", "true"),
        ("externalId", '{"a": [1, null, "\\u00e9"]}', '{"a": [1, null, "é"]}'),
        ("externalId", "[]", "[]"),
        ("externalId", '""', ""),
        ("dynamicTilerTokens", '["a", 5]', ["a", "5"]),
    ],
)
def test_a_value_written_otherwise_than_its_type_is_read_where_its_meaning_is_plain(name, text, value):
    found = value_of(name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("priority", "9223372036854775808"),
        ("priority", "1e300"),
        ("priority", "3.5"),
        ("priority", '"3.5"'),
        ("priority", '"many"'),
        ("priority", "true"),
        ("priority", "[1]"),
        ("priority", "NaN"),
        ("priority", "Infinity"),
        ("consensusMark", '"high"'),
        ("consensusMark", "false"),
        ("consensusMark", "{}"),
        ("skipped", "1"),
        ("skipped", '"true"'),
        ("createdAt", '"yesterday"'),
        ("createdAt", "1683820501134"),
        ("createdAt", "{}"),
        ("latestLabel", '"l1"'),
        ("latestLabel", "[]"),
        ("labels", "{}"),
        ("labels", '["l1"]'),
        ("dynamicTilerTokens", '"t1"'),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_an_error_that_names_asset_field_and_value(name, text):
    error = refusal(name, text)
    assert "'a1'" in str(error)
    assert repr(name) in str(error)
    (case,) = error.failure_cases.to_dict("records")
    assert case["column"] == name
    assert case["failure_case"] in str(error)


def test_a_date_before_all_dates_is_an_error_in_an_odd_page():
    assert "0001-01-01" in str(refusal("createdAt", '"0001-01-01T00:00:00+05:00","priority":3.0'))


def test_a_wrong_value_deep_within_an_asset_is_named_by_its_path():
    with pytest.raises(KiliValidationError, match=r"'labels\.author\.email' of 'a7'|'labels\.author' of 'a7'"):
        read_one([ASSET, {"id": "a7", "labels": [{"author": "x"}]}])


def test_a_wrong_value_of_an_asset_without_id_is_named_by_its_position():
    with pytest.raises(KiliValidationError, match="'priority' at position 1 of a page"):
        read_one([ASSET, {"priority": "many"}])


def test_a_long_wrong_value_is_shown_in_part():
    assert len(str(refusal("priority", json.dumps("x" * 10_000)))) < 500


def test_a_value_of_many_megabytes_is_read_among_small_ones():
    text = "é\n" * 5_000_000
    pages = read(body_of([ASSET]), body_of([{"id": "big", "externalId": text}]), body_of([ASSET, ASSET]))
    assert pages[1][0]["externalId"] == text
    assert pages[2] == [SERVED, SERVED]


@pytest.mark.parametrize(
    "text", ["\U0001f600 \U0010ffff", "\u0000\u0001\u001f", "\u2028\u2029", '"\\/\b\f\n\r\t', "\ufeff"]
)
@pytest.mark.parametrize("escaped", [True, False])
def test_any_text_is_read_escaped_or_not(text, escaped):
    assert read_one([{**ASSET, "externalId": text}], ensure_ascii=escaped) == [{**SERVED, "externalId": text}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a\\ud800b"', "a\ufffdb"),
        ('"\\udc00"', "\ufffd"),
        ('"\\ud83d"', "\ufffd"),
        ('"\\ud83d\\ud83d\\ude00"', "\ufffd\U0001f600"),
        ('{"k": "\\ud800"}', '{"k": "\ufffd"}'),
    ],
)
def test_half_a_surrogate_pair_is_replaced_with_a_warning_that_names_the_asset(text, value):
    with pytest.warns(UserWarning, match="'externalId' of 'a1'.*surrogate"):
        assert value_of("externalId", text) == value


def test_raw_control_characters_are_read():
    assert value_of("externalId", b'"a\tb\x01c"') == "a\tb\x01c"


def test_a_raw_line_break_within_text_is_read():
    assert value_of("externalId", b'"a\nb\r\nc"') == "a\nb\r\nc"


def test_a_key_that_comes_twice_has_its_last_value():
    assert value_of("externalId", '"first","externalId":"last"') == "last"


def test_invalid_utf8_is_replaced_with_a_warning():
    with pytest.warns(UserWarning, match="not UTF-8"):
        assert value_of("externalId", b'"a\xffb"') == "a\ufffdb"


def test_a_replacement_character_of_the_user_is_no_reason_to_warn():
    assert value_of("externalId", b'"\xef\xbf\xbd","priority":3.0') == "\ufffd"


def test_nan_is_a_number_that_is_none():
    assert math.isnan(value_of("consensusMark", "NaN"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"2023-05-11T15:55:01.134Z"', INSTANT),
        ('"2023-05-11T15:55:01.134999Z"', INSTANT),
        ('"2023-05-11T15:55:01.134567891Z"', INSTANT),
        ('"2023-05-11T15:55:01Z"', INSTANT.replace(microsecond=0)),
        ('"2023-05-11T15:55:01"', INSTANT.replace(microsecond=0)),
        ('"2023-05-11T17:55:01.134+02:00"', INSTANT),
        ('"2023-05-11"', dt.datetime(2023, 5, 11, tzinfo=dt.UTC)),
        ('"1969-12-31T23:59:59.999500Z"', dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=dt.UTC)),
        ('""', None),
        ("null", None),
    ],
)
def test_a_date_is_read_in_any_precision_and_zone(text, value):
    assert value_of("createdAt", text) == value
    assert value_of("createdAt", f'{text},"priority":3.0') == value, "a date is the same where the page is odd"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (pa.timestamp("s", tz="UTC"), INSTANT.replace(microsecond=0)),
        (pa.timestamp("us", tz="UTC"), INSTANT.replace(microsecond=134567)),
        (pa.timestamp("ms"), INSTANT.replace(tzinfo=None)),
        (pa.timestamp("s"), INSTANT.replace(microsecond=0, tzinfo=None)),
    ],
    ids=str,
)
def test_a_date_is_read_into_any_timestamp_asked_for(type_, value):
    wire = select({"id": None, "newDate": type_}).wire
    assert value_of("newDate", '"2023-05-11T17:55:01.134567+02:00"', wire) == value


def test_a_date_in_nanoseconds_keeps_its_microseconds():
    wire = select({"id": None, "newDate": pa.timestamp("ns", tz="UTC")}).wire
    (page,) = arrays_of([b'{"data":{"data":[{"newDate":"2023-05-11T17:55:01.134567+02:00"}]}}'], wire)
    assert page.field("newDate").cast(pa.int64()).to_pylist() == [1683820501134567000]


PAGE = body_of([ASSET, {**ASSET, "id": "a2"}])
LAYOUTS = {
    "pretty": body_of([ASSET, {**ASSET, "id": "a2"}], indent=2),
    "CRLF": body_of([ASSET, {**ASSET, "id": "a2"}], indent=2).replace(b"\n", b"\r\n"),
    "CR": body_of([ASSET, {**ASSET, "id": "a2"}], indent=2).replace(b"\n", b"\r"),
    "BOM": b"\xef\xbb\xbf" + PAGE,
    "line break at the end": PAGE + b"\r\n\n",
    "space around": b" \n\t" + PAGE + b" ",
}


@pytest.mark.parametrize("body", LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_of_a_page_means_nothing(body):
    expected = [SERVED, {**SERVED, "id": "a2"}]
    assert read(body) == [expected]
    assert read(PAGE, body, PAGE, body) == [expected] * 4


ODD = {
    "3.0 for 3": b'{"data":{"data":[{"id":"odd","priority":3.0}]}}',
    "surrogate": b'{"data":{"data":[{"id":"odd","priority":3,"externalId":"\\udc00"}]}}',
    "duplicate key": b'{"data":{"data":[{"id":"odd","priority":0,"priority":3}]}}',
    "invalid UTF-8": b'{"data":{"data":[{"id":"odd","priority":3,"externalId":"\xff"}]}}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("position", [0, 7, 15])
@pytest.mark.filterwarnings("ignore:.*surrogate", "ignore:.*UTF-8")
def test_one_odd_page_among_others_leaves_them_as_they_are(odd, position):
    bodies = [body_of([{**ASSET, "id": f"a{number}"}]) for number in range(16)]
    bodies[position] = odd
    pages = read(*bodies)
    assert pages[position][0]["priority"] == 3
    assert [page[0]["id"] for page in pages] == ["odd" if number == position else f"a{number}" for number in range(16)]
    assert [page[0] for page in pages if page[0]["id"] != "odd"] == [
        {**SERVED, "id": f"a{number}"} for number in range(16) if number != position
    ]


NO_PAGES = {
    "null list": b'{"data":{"data":null}}',
    "null list in an odd page": b'{"data":{"data":5,"data":null}}',
    "no list": b'{"data":{}}',
    "no data": b'{"data":null}',
    "no data at all": b"{}",
    "null row": b'{"data":{"data":[{"id":"a1"},null]}}',
    "null row in an odd page": b'{"data":{"data":[{"id":"a1","priority":3.0},null]}}',
    "object for the list": b'{"data":{"data":{"id":"a1"}}}',
    "empty object for the list": b'{"data":{"data":{}}}',
    "text for the list": b'{"data":{"data":"abc"}}',
    "empty text for the list": b'{"data":{"data":""}}',
    "number for the list": b'{"data":{"data":5}}',
    "text for the data": b'{"data":"data"}',
    "list for the data": b'{"data":[]}',
    "list": b"[]",
    "text": b'"data"',
    "null": b"null",
    "HTML": b"<html><body>Please log in</body></html>",
    "nothing": b"",
    "cut": PAGE[: len(PAGE) // 2],
    "two pages": PAGE + PAGE,
    "two lines": PAGE + b"\n" + PAGE,
    "one too deep": b'{"data":{"data":[{"new":' + b"[" * 5_000 + b"]" * 5_000 + b',"priority":3.0}]}}',
}


@pytest.mark.parametrize("body", NO_PAGES.values(), ids=NO_PAGES)
def test_what_is_no_page_is_an_error_and_never_an_empty_one(body):
    with pytest.raises(KiliError):
        read(body)
    with pytest.raises(KiliError):
        read(PAGE, body)


def test_a_page_that_is_null_is_an_error_of_the_server():
    for name in ("null list", "null row", "null row in an odd page"):
        with pytest.raises(KiliGraphQLError, match="null"):
            read(NO_PAGES[name])


def test_an_object_that_is_no_object_is_an_error():
    with pytest.raises(KiliValidationError):
        read(b'{"data":{"data":["a1"]}}')


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "{}", '{"a": "\\u00e9"}', "\U0001f600", "null", "é" * 50]
)
VALUES = {
    "string": TEXTS,
    "int64": st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53).map(float),
    "bool": st.booleans(),
    "timestamp[ms, tz=UTC]": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)).map(  # noqa: DTZ001 - as the strategy wants them
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=dt.UTC)
    ),
}


def served(type_):
    """Return what may be served for a type, null included."""
    if pa.types.is_struct(type_):
        values = st.fixed_dictionaries({child.name: served(child.type) for child in type_})
    elif pa.types.is_list(type_):
        values = st.lists(served(type_.value_type), max_size=3)
    else:
        values = VALUES[str(type_)]
    return st.none() | values


def on_the_wire(value):
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"
    if isinstance(value, dict):
        return {name: on_the_wire(inner) for name, inner in value.items()}
    return [on_the_wire(inner) for inner in value] if isinstance(value, list) else value


PATHS = sorted(path for path, _ in leaves(ENTITIES["Asset"]))


@st.composite
def crawls(draw):
    selection = select(draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=8)))
    row = st.fixed_dictionaries({child.name: served(child.type) for child in selection.wire})
    return selection, draw(st.lists(st.lists(row, max_size=4), min_size=1, max_size=4))


def looked_up(value, names):
    for name in names:
        value = None if value is None else value[name]
    return value


@given(crawls(), st.booleans(), st.sampled_from([None, 1]))
@settings(deadline=None, max_examples=150)
def test_whatever_is_served_is_what_stands_in_the_columns(crawl, escaped, indent):
    selection, pages = crawl
    bodies = [body_of(on_the_wire(page), ensure_ascii=escaped, indent=indent) for page in pages]
    arrays = arrays_of(bodies, selection.wire)
    assert [array.to_pylist() for array in arrays] == pages
    for array, page in zip(arrays, pages, strict=True):
        table = columns(array, selection)
        table.validate(full=True)
        assert table.schema == selection.schema
        for column in selection.columns:
            expected = [looked_up(asset, column.name.split(".")) for asset in page]
            assert table[column.name].to_pylist() == expected


@given(crawls())
@settings(deadline=None, max_examples=100)
def test_the_lenient_reading_of_an_ordinary_page_is_the_same(crawl):
    selection, pages = crawl
    for page in pages:
        body = body_of(on_the_wire(page))
        (fast,) = arrays_of([body], selection.wire)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lenient = wire._read_leniently(body, selection.wire)
        assert lenient.to_pylist() == [fast.to_pylist()]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(string.printable, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ASSET, "data", "x"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(JSON_VALUES | st.builds(lambda value: {"data": {"data": [value]}}, JSON_VALUES))
@settings(deadline=None, max_examples=300)
def test_any_json_is_a_page_or_an_error_of_ours(value):
    try:
        (page,) = arrays_of([json.dumps(value).encode()], SELECTION.wire)
    except KiliError:
        return
    assert len(page) == len(value["data"]["data"])


def table_of(assets, selection=SELECTION):
    (page,) = arrays_of([body_of(assets)], selection.wire)
    return columns(page, selection)


def test_a_to_one_column_is_null_where_its_parent_is():
    table = table_of([ASSET, {"latestLabel": None}, {"latestLabel": {"author": None}}, {}])
    assert table["latestLabel.author.email"].to_pylist() == ["a@b.c", None, None, None]
    assert table["latestLabel.secondsToLabel"].to_pylist() == [1.5, None, None, None]


LISTS = [
    {"labels": [{"id": "l1", "createdAt": ASSET["createdAt"], "author": {"id": "u1", "email": "x"}}, None]},
    {"labels": None},
    {"labels": []},
    {"labels": [{"id": "l2", "author": None}]},
    {},
]


@pytest.mark.parametrize("before", [0, 1, 9])
@pytest.mark.parametrize("rows", [LISTS, LISTS[:1], LISTS[1:], []])
def test_what_was_asked_for_and_not_wanted_is_left_out_of_the_columns(rows, before):
    selection = select(
        ["labels.author.email", "labels.createdAt", "status"], also=["id", "createdAt", "labels.id", "labels.author.id"]
    )
    *_, page = arrays_of([body_of(LISTS)] * before + [body_of(rows)], selection.wire)
    table = columns(page, selection)
    table.validate(full=True)
    assert table.schema == selection.schema
    expected = [
        {"author": {"email": "x"}, "createdAt": INSTANT},
        {"author": None, "createdAt": None},
    ]
    lists = [[expected[0], None], None, [], [expected[1]], None]
    assert table["labels"].to_pylist() == [lists[LISTS.index(row)] for row in rows]


def test_lists_within_lists_are_left_out_of_too():
    selection = select(["issues.comments.text"], also=["issues.comments.id", "issues.id"])
    comments = [{"id": "c1", "text": "t"}, None]
    rows = [{"issues": [{"id": "i1", "comments": comments}, {"comments": None}]}, {"issues": None}, {"issues": [None]}]
    for page in arrays_of([body_of(rows), body_of(rows)], selection.wire):
        table = columns(page, selection)
        table.validate(full=True)
        assert table["issues"].to_pylist() == [
            [{"comments": [{"text": "t"}, None]}, {"comments": None}],
            None,
            [None],
        ]
