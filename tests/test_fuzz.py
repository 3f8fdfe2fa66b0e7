"""Whatever comes in, from users or from the server, what goes out is a result or an error of our tree."""

import contextlib
import decimal
import fractions
import json
import os
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Reply, ScriptedServer
from writing import SwiftClock, client_of, filled, hurry

import pandas_kili as pk
from pandas_kili.category_search import CategorySearchError, check_category_search
from pandas_kili.filters import AssetFilters, asset_query
from pandas_kili.frame import read_pages
from pandas_kili.operation import encoded
from pandas_kili.sandbox import Sandbox
from pandas_kili.selection import select

EFFORT = int(os.environ.get("FUZZ", "1"))  # FUZZ=50 searches for half an hour

# --- values of every kind --------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Lo"])),
    st.sampled_from(["", " ", "\x00", "\ud800", "a\x00b", "2024-01-01", "0", "nan", "null", "{}", "[", "LABELED", "é"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 2**64, -(2**63) - 1, 10**400]),
    st.floats(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    TEXTS,
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.timedeltas(),
    st.times(),
    st.uuids(),
    st.sampled_from(
        [pd.NA, pd.NaT, np.nan, np.datetime64("NaT"), pd.Timestamp(0), pd.Timestamp("2024-01-01", tz="UTC")]
    ),
    st.sampled_from(
        [np.int8(1), np.uint64(2**64 - 1), np.float32("inf"), np.bool_(True), np.str_("x"), np.bytes_(b"x")]
    ),
    st.sampled_from([pd.Timedelta(1), pd.Interval(0, 1), pd.Period("2024"), pa.scalar("x"), pa.scalar(None), ...]),
    st.sampled_from([object(), print, int, range(3), iter(()), decimal.Decimal("sNaN"), fractions.Fraction(1, 3)]),
)
HASHABLE = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.floats(), st.dates(), st.uuids())
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(TEXTS | HASHABLE, inner, max_size=3),
    ),
    max_leaves=6,
)


def quietly(make):
    """Build what pandas or Arrow may refuse to build."""

    def built(values):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(values)
        return None

    return built


LISTS = st.lists(TEXTS | SCALARS, max_size=5)
CONTAINERS = st.one_of(
    LISTS.map(quietly(pd.Series)),
    LISTS.map(quietly(pd.Index)),
    LISTS.map(quietly(np.array)),
    LISTS.map(quietly(pa.array)),
    LISTS.map(quietly(lambda values: pa.chunked_array([values, values]))),
    LISTS.map(quietly(lambda values: pd.DataFrame({"a": values}))),
    LISTS.map(quietly(lambda values: pd.Series(values, dtype="category"))),
    LISTS.map(quietly(lambda values: np.array([values, values]))),
    LISTS.map(iter),
    st.sets(HASHABLE, max_size=4),
    st.frozensets(HASHABLE, max_size=4),
)
ANYTHING = NESTED | CONTAINERS


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

ARROW = st.sampled_from(
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.int8(), pa.uint64(), pa.int64(), pa.float16(),
        pa.float64(), pa.bool_(), pa.date32(), pa.date64(), pa.time64("ns"), pa.timestamp("ns"),
        pa.timestamp("s", "UTC"),
        pa.duration("ms"), pa.decimal128(20, 3), pa.null(), pa.list_(pa.string()), pa.large_list(pa.int64()),
        pa.list_(pa.float64(), 2), pa.struct([("email", pa.string()), ("n", pa.float64())]),
        pa.list_(pa.struct([("user", pa.struct([("email", pa.string())]))])), pa.map_(pa.string(), pa.int64()),
        pa.dictionary(pa.int8(), pa.string()),
    ]
)  # fmt: skip
PANDAS = st.sampled_from(
    [
        "object", "string", "string[python]", "string[pyarrow]", "str", "category", "Int8", "Int64", "UInt64",
        "Float32",
        "Float64", "boolean", "bool", "int8", "int64", "uint64", "float16", "float64", "complex128", "datetime64[ns]",
        "datetime64[s]", "datetime64[ns, UTC]", "datetime64[ns, Europe/Paris]", "timedelta64[ns]", "period[D]",
        "interval[int64]", "Sparse[int64]", "Sparse[float64]", "S5", "U5", "bytes",
    ]
)  # fmt: skip
PROPERTIES = ["priority", "jsonMetadata", "consensusMark", "honeypotMark", "toBeLabeledBy", "content", "jsonContent"]
PROPERTIES += ["status", "isUsedForConsensus", "isHoneypot"]
CELLS = st.lists(
    SCALARS | NESTED | st.sampled_from(["LABELED", '{"a": 1}', "[1]", '{"a": NaN}', 0.5, 1, 7, True, ["a@b.org"]]),
    min_size=4,
    max_size=4,
)


@st.composite
def columns(draw):
    """Four cells as a column of whatever dtype takes them."""
    cells = draw(CELLS | CELLS.map(lambda cells: [cells[0]] * 4))
    dtype = draw(st.one_of(st.just("object"), PANDAS, ARROW.map(pd.ArrowDtype)))
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.Series(cells, dtype=dtype)
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.Series(pd.Series(cells).convert_dtypes(dtype_backend="pyarrow"))
    return pd.Series(cells, dtype=object)


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


@contextlib.contextmanager
def only_our_errors():
    """Let errors and warnings of our tree pass."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This server computes the status", UserWarning)
        warnings.filterwarnings("ignore", category=pk.KiliDeclinedWarning)
        with contextlib.suppress(pk.KiliError):
            yield


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


# --- answers of the server -------------------------------------------------------------------------------------------

FIELDS = ["id", "externalId", "createdAt", "priority", "consensusMark", "isHoneypot", "jsonMetadata", "status"]
FIELDS += ["labels.id", "labels.jsonResponse", "labels.author.email", "currentStep.name"]
SELECTION = select(FIELDS, also=["id", "createdAt"])


def asset(number):
    return {
        "id": f"a{number}",
        "externalId": f"ünï {number} \N{GRINNING FACE}",
        "createdAt": f"2024-01-01T00:00:00.{number:03}Z",
        "priority": number,
        "consensusMark": number / 10,
        "isHoneypot": bool(number % 2),
        "jsonMetadata": json.dumps({"n": number, "text": 'a "b" \\ c'}),
        "status": "LABELED",
        "labels": [
            {"id": f"l{n}", "jsonResponse": '{"J": {"categories": [{"name": "A"}]}}', "author": {"email": "x@y.org"}}
            for n in range(number % 3)
        ],
        "currentStep": None if number % 2 else {"name": "Review"},
    }


ASSETS = [asset(number) for number in range(4)]
PAGE = json.dumps({"data": {"data": ASSETS}}, ensure_ascii=False, separators=(",", ":")).encode()


def rows_of(bodies):
    assets, lengths = read_pages(bodies, SELECTION.wire)
    assets.validate(full=True)
    assert sum(lengths) == len(assets)
    return assets.to_pylist()


GOOD = rows_of([PAGE])
PIECES = [
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"1e999",
    b"-",
    b"NaN",
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b"\\ud800",
    b'"',
    b"\\",
]
PIECES += [b",", b":", b"{", b"}", b"[", b"]", b"\n", b"\xef\xbb\xbf", b"9" * 30, b'"id":', b'"data":', b"true"]


@st.composite
def mutated(draw):
    """A page of which some bytes were changed, put in, taken out or said twice."""
    body = bytearray(PAGE)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from([0, 1, 1, 2, 5, 40])))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.just(bytes(body[start:end]) * 2)))
        body[start:end] = piece
    return bytes(body)


def meaning(body):
    """What another parser makes of the same bytes, as far as it takes them."""
    objects = json.loads(body)["data"]["data"]
    return [(each["id"], each.get("externalId"), each.get("priority"), each.get("jsonMetadata")) for each in objects]


def rows_or_refusal(body):
    """Read a page, and return nothing where it is refused, or said to be repaired."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            rows = rows_of([body])
        except pk.KiliError:
            rows = []
    texts = [str(warning.message) for warning in said]
    assert all("UTF-8" in text or "surrogate" in text for text in texts)
    return [] if texts else rows


@settings(max_examples=400 * EFFORT)
@given(body=mutated())
def test_a_damaged_page_is_read_as_it_says_or_refused(body):
    rows = rows_or_refusal(body)
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, UnicodeError):
        for row, (id_, external_id, priority, metadata) in zip(rows, meaning(body), strict=True):
            assert row["id"] == id_ or not isinstance(id_, str)
            assert row["externalId"] == external_id or not isinstance(external_id, str)
            assert row["jsonMetadata"] == metadata or not isinstance(metadata, str)
            assert row["priority"] == priority or not isinstance(priority, int)


@settings(max_examples=60 * EFFORT)
@given(body=mutated())
def test_a_damaged_page_damages_no_page_beside_it(body):
    with contextlib.suppress(pk.KiliError, UserWarning):
        rows = rows_of([PAGE, body, PAGE])
        assert rows[: len(GOOD)] == rows[-len(GOOD) :] == GOOD


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ASSETS[0], "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200 * EFFORT)
@given(data=st.dictionaries(st.sampled_from(list(ASSETS[0])), JSON))
def test_values_of_other_types_are_read_or_refused(data):
    """Whatever stands in a field, it comes out as itself, as its JSON text, or not at all."""
    body = json.dumps({"data": {"data": [{**ASSETS[0], **data}]}}).encode()
    row = (rows_or_refusal(body) or [{**data}])[0]
    for name in ("id", "externalId", "jsonMetadata", "status"):
        if name in data and isinstance(data[name], str):
            assert row[name] == data[name]
    if isinstance(data.get("priority"), int) and not isinstance(data["priority"], bool):
        assert row["priority"] == data["priority"]
    if isinstance(data.get("isHoneypot"), bool):
        assert row["isHoneypot"] is data["isHoneypot"]


@pytest.fixture(scope="module")
def server():
    server = ScriptedServer()
    yield server
    server.close()


@settings(max_examples=80 * EFFORT)
@given(body=mutated() | st.binary() | JSON.map(lambda content: json.dumps({"data": {"data": content}}).encode()))
def test_a_read_of_damaged_answers_ends_with_rows_or_with_an_error_of_ours(server, body):
    class Answers:
        """Gives the damaged answer to every query but that of the count."""

        def pop(self, _):
            count = b"countAssets" in server.asked[-1].body
            return Reply(b'{"data":{"data":4}}' if count else body)

        def __bool__(self):
            return True

    server.asked.clear()
    server.script = Answers()
    client = pk.Client("key", server.endpoint, timeout=(5, 5), max_calls_per_minute=10**6, max_workers=2)
    client._use_clock(SwiftClock())
    with warnings.catch_warnings(), client:
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", pk.KiliConsistencyWarning)
        with contextlib.suppress(pk.KiliError):
            frame = pk.read_kili("p", fields=["id", "externalId", "priority"], client=client, validate=False)
            assert frame["id"].is_unique
    assert len(server.asked) < 100
