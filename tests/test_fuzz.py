"""Whatever users give, what goes out is a result or an error of our tree."""

import contextlib
import datetime as dt
import json
import re
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import (
    ANYTHING,
    HASHABLE,
    LISTS,
    SCALARS,
    TEXTS,
    columns,
    examples,
    no_hang,
    only_our_errors,
    quietly,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy
from writing import client_of, filled, hurry

import pandas_kili as pk
from pandas_kili.connection.document import encoded
from pandas_kili.query.category_search import CategorySearchError, check_category_search
from pandas_kili.query.fields import select
from pandas_kili.query.filters import AssetFilters, asset_query
from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module", autouse=True)
def swift():
    with pytest.MonkeyPatch.context() as monkeypatch:
        hurry(monkeypatch)
        with no_hang():
            yield


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        sandbox.project, sandbox.ids = filled(sandbox, 6, labeled=range(3))
        sandbox.other = sandbox.create_project("Other", "IMAGE")
        sandbox.user = client_of(sandbox)
        yield sandbox


# --- filters and fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", [*AssetFilters.__annotations__, "no_such_filter"])
@settings(max_examples=examples(12))
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


@settings(max_examples=examples(60))
@given(filters=st.dictionaries(st.sampled_from(sorted(AssetFilters.__annotations__)), ANYTHING, max_size=4))
def test_filters_that_are_taken_are_understood_by_the_server(sandbox, filters):
    with contextlib.suppress(pk.KiliFilterError):
        assert 0 <= pk.count_assets(sandbox.project, client=sandbox.user, **filters) <= 6


@settings(max_examples=examples(80))
@given(fields=st.one_of(ANYTHING, st.lists(TEXTS), st.dictionaries(TEXTS | HASHABLE, SCALARS | st.just(pa.string()))))
def test_fields_are_known_or_said_to_be_unknown(fields):
    with contextlib.suppress(pk.KiliFieldError):
        assert select(fields).schema is not None


@settings(max_examples=examples(30))
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


@settings(max_examples=examples(100))
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


@settings(max_examples=examples(80))
@given(data=frames(*PROPERTIES, "id", "externalId"))
def test_any_column_can_be_updated_or_is_said_to_be_wrong(sandbox, data):
    frame = framed(data, sandbox.ids)
    before = frame.copy()
    names = [name for name in frame.columns if name in PROPERTIES]
    with only_our_errors():
        out = frame.kili.update_properties_in_assets(
            *names, project_id=sandbox.project, client=sandbox.user, dry_run=True
        )
        assert set(out.kili.report["outcome"]) <= {"not_sent"}
        assert len(out) == 4
    with contextlib.suppress(ArithmeticError, NotImplementedError):  # what pandas cannot compare
        pd.testing.assert_frame_equal(frame, before)


@settings(max_examples=examples(80))
@given(data=frames("content", "externalId", "id", "jsonContent", "jsonMetadata", "isHoneypot", "status"))
def test_any_column_can_be_appended_or_is_said_to_be_wrong(sandbox, data):
    frame = framed(data)
    for if_exists in ("fail", "skip"):
        with only_our_errors():
            out = frame.kili.append_many_to_dataset(
                sandbox.project, if_exists=if_exists, client=sandbox.user, dry_run=True
            )
            assert set(out.kili.report["outcome"]) <= {"not_sent"}
    assert len(sandbox.assets(sandbox.project)) == 6


@settings(max_examples=examples(30))
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


@settings(max_examples=examples(30))
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


@settings(max_examples=examples(40))
@given(
    data=frames("id", "externalId", "answer", "site", "seconds"), kind=SCALARS, model=SCALARS | st.just(pd.Index([1]))
)
def test_any_column_can_be_a_label_or_metadata_or_is_said_to_be_wrong(sandbox, data, kind, model):
    frame = framed(data, sandbox.ids)
    given_ = {"project_id": sandbox.project, "client": sandbox.user, "dry_run": True}
    with only_our_errors():
        frame.kili.append_labels("answer", seconds_to_label="seconds" if "seconds" in frame else None, **given_)
    with only_our_errors():
        frame.kili.append_labels("answer", label_type=kind, model_name=model, **given_)
    with only_our_errors():
        frame.kili.merge_metadata("site", **given_)


def is_null(cell):
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell))


@settings(max_examples=examples(40))
@given(data=frames("priority", "jsonMetadata"))
def test_what_is_said_to_be_applied_stands_there_as_it_was_given(sandbox, data):
    frame = framed(data).reset_index(drop=True)
    frame.insert(0, "id", sandbox.add_assets(sandbox.other, [{"content": "https://example.com/a.png"}] * 4))
    with only_our_errors():
        out = frame.kili.update_properties_in_assets(
            *frame.columns.drop("id"), project_id=sandbox.other, client=sandbox.user
        )
        shown = {asset["id"]: asset for asset in sandbox.assets(sandbox.other)}
        assert set(out.kili.report["outcome"]) <= {"applied", "unchanged"}
        for row, asset_id in enumerate(frame["id"]):
            cells = {name: column.iloc[row] for name, column in frame.items() if not is_null(column.iloc[row])}
            assert "priority" not in cells or shown[asset_id]["priority"] == int(cells["priority"])
            if isinstance(cells.get("jsonMetadata"), str) and cells["jsonMetadata"].strip():
                assert shown[asset_id]["jsonMetadata"] == cells["jsonMetadata"]


# --- tidy frames -----------------------------------------------------------------------------------------------------

SERVED = ["id", "externalId", "jsonMetadata", "status", "content", "labels", "labels.id", "labels.jsonResponse"]
SERVED += ["labels.author.email", "labels.labelType", "labels.createdAt", "latestLabel", "resolution.width"]
WORDS_OF_ANSWERS = (
    "JOB_0 categories name confidence annotations mid type boundingPoly text normalizedVertices point points"
)
WORDS_OF_ANSWERS += " polyline children beginOffset content 0 1 startEntities endEntities isKeyFrame mask x y"
POINTS = [{"x": 0.1, "y": 0.2}, {"x": 0.5, "y": 2}, {"x": None}, [], "x", {"x": 10**30, "y": float("nan")}]
PARTS = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["RADIO", "rectangle", "A", "0"]),
    lambda inner: (
        st.lists(inner | st.sampled_from(POINTS), max_size=3)
        | st.dictionaries(st.sampled_from(WORDS_OF_ANSWERS.split()), inner, max_size=4)
    ),
    max_leaves=12,
)
ANSWERS = st.dictionaries(st.sampled_from(["JOB_0", "JOB_1", "0", "1", ""]), PARTS, max_size=3)


LABEL = [("id", pa.string()), ("jsonResponse", pa.string()), ("labelType", pa.string())]
LABELS = pa.list_(pa.struct([*LABEL, ("author", pa.struct([("email", pa.string())]))]))


def tidied(frame):
    """Make every tidy frame of a frame, as far as it lets us."""
    for make in (
        frame.kili.labels,
        lambda: frame.kili.labels(["id", "jsonResponse"]),
        frame.kili.annotations,
        frame.kili.metadata,
        frame.kili.agreement,
        frame.kili.disagreements,
        lambda: frame.kili.preview(n=4)._repr_html_(),
    ):
        with only_our_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert make() is not None


@settings(max_examples=examples(50))
@given(data=frames(*SERVED))
def test_any_column_gives_tidy_frames_or_is_said_to_be_wrong(sandbox, data):
    tidied(framed(data))


@settings(max_examples=examples(50))
@given(answers=st.lists(ANSWERS, min_size=2, max_size=2))
@example(answers=[{"J": []}, {"J": {"points": None, "children": None}}])
def test_any_answer_is_told_in_rows(answers):
    """What is no annotation gives a row that says so; no job is lost without a word."""
    labels = [
        {"id": f"l{n}", "jsonResponse": json.dumps(answer), "labelType": "DEFAULT", "author": {"email": f"{n}@b.org"}}
        for n, answer in enumerate(answers)
    ]
    frame = pd.DataFrame({"id": ["a"], "labels": pd.array([labels], dtype=pd.ArrowDtype(LABELS))})
    rows = frame.kili.annotations()
    assert set(rows["labelId"]) <= {"l0", "l1"}
    for label, answer in zip(["l0", "l1"], answers, strict=True):
        assert bool(answer) <= bool((rows["labelId"] == label).any())
    tidied(frame)


COLUMNS = [*pk.ANNOTATION_SCHEMA.names, "resolution.width", "resolution.height"]
SHAPES = st.sampled_from(
    [
        {"job": "J", "tool": "rectangle", "category": "A", "xmin": 0.1, "ymin": 0.1, "xmax": 0.2, "ymax": 0.2},
        {"job": "J", "tool": "polygon", "category": "A", "rings": [[{"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.3}]]},
        {"job": "J", "tool": "marker", "category": "A", "x": 0.1, "y": 0.9},
        {"job": "J", "category": "A", "confidence": 90},
        {"job": "N", "category": "A", "beginOffset": 1, "endOffset": 2},
        {"job": "T", "text": "x"},
    ]
)


def strictly(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@settings(max_examples=examples(150))
@given(row=SHAPES, data=st.dictionaries(st.sampled_from(COLUMNS), columns(), min_size=1, max_size=3))
def test_annotations_with_any_column_are_written_as_answers_or_refused_with_rows(row, data):
    """Whatever a column of annotations holds, nothing broken is written, and an error says where the fault is."""
    frame = pd.DataFrame([row] * 4)
    frame = frame.assign(**{name: column.set_axis(frame.index) for name, column in data.items()}, key=list("abcd"))
    answers, refused = None, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            answers = pk.to_json_response(frame, by="key")
        except pk.KiliValidationError as error:
            refused = error.failure_cases
    if answers is None:
        assert len(refused) > 0
        return
    assert answers.index.tolist() == list("abcd")
    for text in answers:
        assert isinstance(strictly(text), dict)
        text.encode()


MESSY = st.sampled_from(
    [
        lambda frame: pd.concat([frame, frame], axis=1),
        lambda frame: frame.set_axis(pd.MultiIndex.from_product([["a"], frame.columns]), axis=1),
        lambda frame: frame.set_axis(range(frame.shape[1]), axis=1),
        lambda frame: frame.set_axis(pd.MultiIndex.from_product([[1, 1], ["x", None]]), axis=0),
        lambda frame: frame.set_axis(pd.CategoricalIndex(["a", "a", "b", None]), axis=0),
        lambda frame: frame.set_axis(pd.date_range("2024", periods=4, tz="UTC"), axis=0),
        lambda frame: frame.set_axis(pd.IntervalIndex.from_breaks(range(5)), axis=0),
        lambda frame: frame.iloc[:0],
        lambda frame: frame.iloc[:, :0],
        lambda frame: frame.T,
        lambda frame: frame.rename(columns=dict.fromkeys(frame.columns, "id")),
    ]
)


@settings(max_examples=examples(50))
@given(data=frames("id", "externalId", "content", "labels.jsonResponse", "priority", "jsonMetadata"), mess=MESSY)
def test_frames_of_any_shape_are_taken_or_said_to_be_wrong(sandbox, data, mess):
    frame = mess(framed(data, sandbox.ids))
    given_ = {"project_id": sandbox.project, "client": sandbox.user, "dry_run": True}
    for act in (
        lambda: frame.kili.append_many_to_dataset(sandbox.project, client=sandbox.user, dry_run=True),
        lambda: frame.kili.update_properties_in_assets("priority", **given_),
        lambda: frame.kili.change_asset_external_ids("content", **given_),
        lambda: frame.kili.delete_many_from_dataset(**given_),
        lambda: frame.kili.send_back_to_queue(**given_),
        lambda: frame.kili.append_labels("content", **given_),
        lambda: frame.kili.merge_metadata("content", **given_),
    ):
        with only_our_errors():
            pd.testing.assert_index_equal(act().index, frame.index)
    tidied(frame)


@pytest.mark.parametrize("verb", ["append_many_to_dataset", "delete_many_from_dataset", "add_to_review"])
def test_rows_without_columns_are_told_what_they_lack(sandbox, verb):
    frame = pd.DataFrame(index=range(3))
    options = {"client": sandbox.user, "dry_run": True}
    with pytest.raises(pk.KiliError, match=r"content|id"):
        getattr(frame.kili, verb)(project_id=sandbox.project, **options)


def test_what_nests_too_deeply_is_told(sandbox):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    frame = pd.DataFrame({"id": sandbox.ids[:1], "jsonMetadata": pd.Series([deep], dtype=object)})
    with pytest.raises(pk.KiliValidationError, match=r"jsonMetadata.*too deeply"):
        frame.kili.update_properties_in_assets("jsonMetadata", project_id=sandbox.project, client=sandbox.user)
    with pytest.raises(pk.KiliValidationError, match="json_interface"):
        frame.kili.annotations("[" * 100_000)


@pytest.mark.parametrize("verb", ["labels", "annotations", "metadata", "agreement", "preview"])
def test_two_columns_of_a_name_are_told(verb):
    frame = pd.DataFrame([["[]", "{}"] * 2], columns=["labels", "jsonMetadata"] * 2)
    with pytest.raises(pk.KiliError, match="columns"):
        getattr(frame.kili, verb)()


@pytest.mark.parametrize("cells", [[[2**63], ["x"]], [[{"id": 2**70}], None]])
def test_labels_without_a_type_in_common_are_told(cells):
    with pytest.raises(pk.KiliError):
        pd.DataFrame({"labels": pd.Series(cells, dtype=object)}).kili.labels()


def test_a_resolution_that_is_no_number_is_told():
    labels = pd.array([[{"id": "l", "jsonResponse": "{}"}]], dtype=pd.ArrowDtype(pa.list_(pa.struct(LABEL[:2]))))
    frame = pd.DataFrame({"id": ["a"], "labels": labels, "resolution.width": ["wide"]})
    with pytest.raises(pk.KiliValidationError, match=r"resolution\.width"):
        frame.kili.annotations()


# --- scalars inside metadata -----------------------------------------------------------------------------------------

NUMPY = st.one_of(
    numpy.from_dtype(dtype)
    for dtype in [
        *map(np.dtype, "?bhilqBHILQefdgFDG"),
        *map(np.dtype, ["S3", "U3", "M8[D]", "M8[ns]", "m8[s]", "i4,f4"]),
    ]
)
ARRAYS = st.one_of(
    numpy.arrays(dtype, numpy.array_shapes(max_dims=2, max_side=2))
    for dtype in ["?", "i1", "u8", "f2", "f8", "c8", "S2", "U2", "M8[D]", "M8[ns]", "m8[ns]"]
)
ARROW_TYPES = [
    pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.string(), pa.large_string(),
    pa.string_view(), pa.binary(), pa.binary_view(), pa.binary(2), pa.date32(), pa.date64(), pa.time32("s"),
    pa.time64("ns"), pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.duration("us"), pa.decimal128(20, 3),
    pa.month_day_nano_interval(), pa.list_(pa.int8()), pa.list_view(pa.string()), pa.struct([("a", pa.float64())]),
    pa.map_(pa.string(), pa.int8()), pa.dictionary(pa.int8(), pa.string()), pa.json_(),
]  # fmt: skip
ARROW_SCALARS = st.tuples(SCALARS | LISTS | st.dictionaries(TEXTS, st.integers()), st.sampled_from(ARROW_TYPES)).map(
    quietly(lambda pair: pa.scalar(*pair))
)
PANDAS_SCALARS = st.one_of(
    st.datetimes().map(pd.Timestamp),
    st.timedeltas().map(quietly(pd.Timedelta)),
    st.sampled_from(
        [pd.NA, pd.NaT, pd.Period("2024-01", "M"), pd.Interval(0, 1), pd.Timestamp("2024", tz="Asia/Tokyo")]
    ),
    st.sampled_from([pd.Series([1, 2]), pd.Index(["a"]), pd.array([1, None], "Int8"), pd.Categorical(["a"])]),
)
SPANS = (dt.timedelta, np.timedelta64, pa.DurationScalar)


@settings(max_examples=examples(150))
@given(value=NUMPY | ARRAYS | ARROW_SCALARS | PANDAS_SCALARS | SCALARS, depth=st.integers(0, 2))
def test_a_scalar_inside_metadata_is_held_as_itself_or_refused_by_its_key(sandbox, value, depth):
    nested = [[value], {"deep": value}, value][depth]
    frame = pd.DataFrame({"id": sandbox.ids[:1], "meta": pd.Series([{"kept": 1, "key": nested}], dtype=object)})
    try:
        frame.kili.update_properties_in_assets(json_metadata="meta", project_id=sandbox.project, client=sandbox.user)
    except pk.KiliValidationError as error:
        refused = str(error)
    else:
        refused = ""
    assert not refused or re.search(r"key 'key(\.[^']*)?' holds |a key is a", refused)
    if refused:
        return
    held = json.loads(next(a for a in sandbox.assets(sandbox.project) if a["id"] == sandbox.ids[0])["jsonMetadata"])
    assert held["kept"] == 1
    said = {0: lambda: held["key"][0], 1: lambda: held["key"]["deep"], 2: lambda: held["key"]}[depth]()
    assert said is None or not isinstance(value, SPANS)
    if isinstance(value, (np.datetime64, dt.date)) and not pd.isna(value):
        assert said[:10] == str(value)[:10]  # the day; the rest differs by how it is written
    elif isinstance(value, np.ndarray) and value.dtype.kind == "M":
        assert not re.search(r"[\[ ]-?\d", json.dumps(said))  # text, not numbers
    elif isinstance(value, (bool, np.bool_, int, np.integer)):
        assert said == value
