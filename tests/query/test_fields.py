"""Field paths become what is asked, and the schemas of the answer and of the frame."""

import pyarrow as pa
import pytest

from pandas_kili.catalog import ANNOTATION_VALUE, ENTITIES, leaves
from pandas_kili.catalog.terms import DATE, FLAG, REAL, TEXT, WHOLE
from pandas_kili.errors import KiliFieldError
from pandas_kili.query.fields import known_fields, select

ASSET = ENTITIES["Asset"]


def refused(fields, **options):
    with pytest.raises(KiliFieldError) as caught:
        select(fields, **options)
    assert isinstance(caught.value, ValueError)
    return caught.value


@pytest.mark.parametrize("root", ENTITIES.values(), ids=ENTITIES)
def test_every_path_of_the_catalog_is_a_selection_with_a_schema(root):
    for path, _ in leaves(root):
        selection = select([path], root=root)
        text = selection.text.replace(ANNOTATION_VALUE, "annotationValue")  # a shape for each type of annotation
        assert text.replace("{", " ").replace("}", " ").split() == path.split(".")
        (column,) = selection.columns
        leaf = known_fields(path, root=root)[-1]
        assert path.startswith(column.name)
        assert column.many or column.type == leaf.type
        assert selection.schema.field(column.name).type == column.type


def test_a_path_of_any_depth_is_known():
    selection = select(["labels.labelOf.latestLabel.author.email"])
    assert selection.text == "labels { labelOf { latestLabel { author { email } } } }"
    assert selection.schema.names == ["labels"]


def test_columns_of_plain_fields_come_in_the_order_of_the_fields():
    selection = select(["status", "id", "priority", "createdAt", "skipped", "consensusMark"])
    assert selection.schema == pa.schema(
        {"status": TEXT, "id": TEXT, "priority": WHOLE, "createdAt": DATE, "skipped": FLAG, "consensusMark": REAL}
    )
    assert selection.text == "status id priority createdAt skipped consensusMark"


def test_a_to_one_nest_is_a_dotted_column_per_leaf_in_place_even_when_interleaved():
    fields = ["currentStep.name", "status", "latestLabel.author.email", "currentStep.status", "latestLabel.id"]
    selection = select(fields)
    assert selection.schema.names == fields
    assert selection.text == "currentStep { name status } status latestLabel { author { email } id }"


def test_a_to_many_nest_is_one_column_at_the_place_of_its_first_leaf():
    selection = select(["id", "labels.createdAt", "status", "labels.author.email", "priority", "labels.id"])
    assert selection.schema.names == ["id", "labels", "status", "priority"]
    author = pa.struct([("email", TEXT)])
    assert selection.schema.field("labels").type == pa.list_(
        pa.struct([("createdAt", DATE), ("author", author), ("id", TEXT)])
    )


def test_a_to_many_nest_below_a_to_one_nest_is_a_column_named_by_the_way_to_it():
    selection = select(["project.roles.role", "project.title", "project.roles.user.email"])
    assert selection.schema.names == ["project.roles", "project.title"]
    assert selection.schema.field("project.roles").type == pa.list_(
        pa.struct([("role", TEXT), ("user", pa.struct([("email", TEXT)]))])
    )


def test_a_to_many_nest_within_a_to_many_nest_stays_inside_of_it():
    selection = select(["issues.comments.text", "issues.id"])
    comments = pa.list_(pa.struct([("text", TEXT)]))
    assert selection.schema == pa.schema({"issues": pa.list_(pa.struct([("comments", comments), ("id", TEXT)]))})


def test_a_field_asked_for_twice_is_one_column():
    assert select(["id", "status", "id"]).schema.names == ["id", "status"]
    assert select(["labels.id", "labels.id"]).text == "labels { id }"


def test_what_is_asked_also_is_no_column():
    selection = select(["status", "labels.createdAt"], also=["id", "createdAt", "labels.id"])
    assert selection.text == "status labels { createdAt id } id createdAt"
    assert selection.schema.names == ["status", "labels"]
    assert selection.schema.field("labels").type == pa.list_(pa.struct([("createdAt", DATE)]))
    assert [child.name for child in selection.wire] == ["status", "labels", "id", "createdAt"]


def test_fields_may_be_any_iterable_of_paths():
    for fields in (("id", "status"), iter(["id", "status"]), dict.fromkeys(["id", "status"]), {"id": 0}.keys()):
        assert select(fields).schema.names[0] == "id"


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("externalID", "externalId"),
        ("external_id", "externalId"),
        ("EXTERNALID", "externalId"),
        ("stauts", "status"),
        ("labels.autor.email", "labels.author.email"),
        ("labels.json_response", "labels.jsonResponse"),
        ("curentStep.name", "currentStep.name"),
        ("email", "labels.author.email"),
    ],
)
def test_an_unknown_path_is_refused_with_the_nearest_known_ones(path, suggestion):
    error = refused(["id", path])
    assert error.field == path
    assert any(suggestion == near or near.endswith(suggestion.rpartition(".")[2]) for near in error.suggestions)
    assert repr(path) in str(error)
    assert "Did you mean" in str(error)
    assert "pa.string()" in str(error), "how a field newer than the package is read"


def test_a_path_like_no_other_is_refused_without_a_guess():
    error = refused(["qqqqzzzz"])
    assert error.suggestions == ()
    assert "Did you mean" not in str(error)


def test_a_path_that_goes_on_from_a_value_is_refused():
    assert refused(["status.name"]).field == "status.name"


@pytest.mark.parametrize("path", ["labels", "currentStep", "labels.author", "project.roles"])
def test_an_entity_is_no_value_and_its_leaves_are_named(path):
    error = refused([path])
    assert error.field == path
    assert f"{path}.id" in error.suggestions
    for suggestion in error.suggestions:
        select([suggestion])


def test_an_entity_is_no_value_even_with_a_type():
    for type_ in (pa.string(), pa.struct([("id", pa.string())]), pa.list_(pa.struct([("id", pa.string())]))):
        assert refused({"labels": type_}).field == "labels"


@pytest.mark.parametrize("path", ["", ".", "id.", ".id", "labels..id", "labels.", " id", "id status", "id}"])
def test_what_is_no_path_is_refused(path):
    refused([path])
    refused({path: pa.string()})


@pytest.mark.parametrize("fields", ["id", "externalId"])
def test_a_string_instead_of_a_list_is_refused_with_the_list_to_write(fields):
    assert f"[{fields!r}]" in str(refused(fields))


@pytest.mark.parametrize("fields", [[], (), {}, iter(())])
def test_no_fields_are_refused(fields):
    assert "empty" in str(refused(fields))


@pytest.mark.parametrize("fields", [None, 5, b"id", ["id", 5], [None], [["id"]], [b"id"], {5: pa.string()}])
def test_what_are_no_paths_at_all_is_refused(fields):
    assert str(refused(fields)).startswith(("fields is a list of paths", "a field is a string"))


UNKNOWN = [
    (pa.string(), "newField"),
    (pa.int64(), "newField"),
    (pa.float64(), "labels.newField"),
    (pa.bool_(), "newEntity.newField"),
    (pa.timestamp("ms", tz="UTC"), "latestLabel.newEntity.newField"),
    (pa.timestamp("us"), "newField"),
    (pa.list_(pa.string()), "newField"),
    (pa.struct([("a", pa.int64()), ("b", pa.list_(pa.struct([("c", pa.bool_())])))]), "newField"),
]


@pytest.mark.parametrize(("type_", "path"), UNKNOWN, ids=[f"{path}: {type_}" for type_, path in UNKNOWN])
def test_a_field_that_the_catalog_lacks_is_read_with_the_type_given(type_, path):
    selection = select({"id": None, path: type_, "status": None})
    assert path.rpartition(".")[2] in selection.text
    if path.startswith("labels."):
        assert selection.schema.field("labels").type == pa.list_(pa.struct([("newField", type_)]))
    else:
        assert selection.schema.names == ["id", path, "status"]
        assert selection.schema.field(path).type == type_


def test_a_known_field_may_be_read_with_another_type():
    assert select({"priority": pa.float64()}).schema.field("priority").type == pa.float64()


def test_an_unknown_field_without_a_type_is_refused_in_a_mapping_too():
    assert refused({"id": None, "newField": None}).field == "newField"


@pytest.mark.parametrize(
    "type_",
    [
        pa.int32(),
        pa.large_string(),
        pa.date32(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.map_(pa.string(), pa.string()),
        pa.list_(pa.binary()),
        pa.struct([("a", pa.decimal128(5))]),
    ],
    ids=str,
)
def test_a_type_that_pages_cannot_be_read_into_is_refused(type_):
    error = refused({"newField": type_})
    assert error.field.startswith("newField")
    assert "int64" in str(error), "what can be given instead"


@pytest.mark.parametrize("type_", [str, "string", int, float])
def test_a_type_that_is_no_arrow_type_is_refused(type_):
    assert "pa.string()" in str(refused({"newField": type_}))


@pytest.mark.parametrize("order", [1, -1])
def test_a_field_is_a_value_or_a_way_not_both(order):
    fields = dict([("newField", pa.string()), ("newField.id", pa.string())][::order])
    assert refused(fields).field in fields


@pytest.mark.parametrize(("name", "type_"), [("id", pa.int64()), ("createdAt", pa.string())])
def test_what_reads_are_joined_by_keeps_its_type(name, type_):
    assert refused({name: type_}, also=["id", "createdAt"]).field == name
