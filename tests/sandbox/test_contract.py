"""The catalog and the sandbox's schema were written apart, and say the same of Kili."""

import json

import pyarrow as pa
import pytest
from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    graphql_sync,
    is_leaf_type,
    is_list_type,
    parse,
    validate,
)

from pandas_kili import count_assets, read_kili
from pandas_kili.catalog import ENTITIES, leaves
from pandas_kili.catalog.assets import COUNT_ASSETS, DEFAULT_FIELDS, FILTERS, IN_LIMIT, LIST_ASSETS, PAGE_SIZE, STATUSES
from pandas_kili.catalog.labels import LABEL_TYPES
from pandas_kili.catalog.projects import INPUT_TYPES, ISSUE_STATUSES, ISSUE_TYPES, LIST_PROJECTS, STEP_STATUSES
from pandas_kili.catalog.users import PROJECT_ROLES
from pandas_kili.query.fields import select
from pandas_kili.query.filters import asset_query
from pandas_kili.sandbox import Sandbox
from pandas_kili.sandbox.schema import schema_of

BOTH = schema_of("both")
# Where the two call one noun by different names.
TYPES = {"Resolution": "AssetResolution", "Step": "ProjectStep"}
VALUES = {
    "id": "a1",
    "texts": ["a1"],
    "mark": 0.5,
    "flag": True,
    "date": "2024-02-29T12:00:00Z",
    "day": "2024-02-29",
    "metadata": {"text": "a", "any": ["a", "b"], "range": [1, 2.5], "flag": True},
    "category search": "JOB.CAT.count > 0",
    "people": ["u1"],
    "names": ["Ada"],
}


def value_of(item):
    if item.choices:
        return list(item.choices) if item.kind == "texts" else item.choices[0]
    return VALUES[item.kind]


def served_fields(entity):
    """Return the fields that one type serves; an answer in pieces is asked for by fragments, type by type."""
    return [field for field in ENTITIES[entity].fields if (entity, field.name) != ("Annotation", "annotationValue")]


def test_every_type_of_annotation_has_the_value_that_fragments_ask_for():
    types = BOTH.get_implementations(BOTH.type_map["Annotation"]).objects
    assert len(types) >= 3
    of_videos = BOTH.get_implementations(BOTH.type_map["VideoAnnotation"]).objects  # values frame by frame
    assert all("annotationValue" in type_.fields for type_ in types if type_ not in of_videos)


def type_of(entity):
    return BOTH.type_map[TYPES.get(entity, entity)]


def errors_of(document, schema=BOTH):
    return [error.message for error in validate(schema, parse(document))]


def coerced(where, schema=BOTH):
    """Return what a server makes of a variable of the type AssetWhere."""
    taken = []
    server = {"countAssets": lambda _, where: taken.append(where) or len(taken)}
    variables = {"where": json.loads(json.dumps(where))}
    result = graphql_sync(schema, COUNT_ASSETS, root_value=server, variable_values=variables)
    for error in result.errors or ():
        raise error
    return taken[0]


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_entity_of_the_catalogue_is_a_type(entity):
    assert isinstance(type_of(entity), GraphQLObjectType | GraphQLInterfaceType)


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_field_of_the_catalogue_leads_where_the_schema_says(entity):
    fields = type_of(entity).fields
    wrong = []
    for field in served_fields(entity):
        if field.name not in fields:
            wrong.append(f"{field.name} is not in the schema")
            continue
        type_ = get_nullable_type(fields[field.name].type)
        target = get_named_type(type_)
        if field.to:
            if target is not type_of(field.to):
                wrong.append(f"{field.name} leads to {target}")
            if field.many != is_list_type(type_):
                wrong.append(f"{field.name}: one or many")
        elif not is_leaf_type(target):
            wrong.append(f"{field.name} is no value but {target}")
    assert not wrong


ARROW = {
    "ID": [pa.string()],
    "String": [pa.string()],
    "JSON": [pa.string()],
    "Boolean": [pa.bool_()],
    "DateTime": [pa.timestamp("ms", tz="UTC")],
    "Float": [pa.float64()],
    "Int": [pa.int64(), pa.float64()],  # a whole number may be read as what it was once, or will be: a Float
}


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_value_of_the_catalogue_can_hold_what_the_schema_promises(entity):
    wrong = []
    for field in served_fields(entity):
        if field.type is None:
            continue
        promised = get_nullable_type(type_of(entity).fields[field.name].type)
        type_ = field.type
        if is_list_type(promised):
            promised, type_ = get_nullable_type(promised.of_type), getattr(type_, "value_type", None)
        if type_ not in ARROW.get(promised.name, [pa.string()]):
            wrong.append(f"{field.name}: {type_} for {promised}")
    assert not wrong


def leaf_names(type_):
    return {name for name, field in type_.fields.items() if is_leaf_type(get_named_type(field.type))}


# A dummy; a trigger; and values of which it is not known how servers spell them.
LEFT_OUT = {
    "Asset": {"_"},
    "Project": {"rights", "shouldRelaunchKpiComputation"},
    "User": {"rights"},
    "Label": {"chatItems"},
}


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_value_of_the_schema_is_in_the_catalogue(entity):
    known = {field.name for field in ENTITIES[entity].fields}
    assert leaf_names(type_of(entity)) - known == LEFT_OUT.get(entity, set())


CHOICES = {
    "Status": STATUSES,
    "StatusInStep": STEP_STATUSES,
    "LabelType": LABEL_TYPES,
    "InputType": INPUT_TYPES,
    "IssueType": ISSUE_TYPES,
    "IssueStatus": ISSUE_STATUSES,
    "ProjectRole": PROJECT_ROLES,
    "WorkflowVersion": ("V1", "V2", "V3"),
    "LockType": ("DEFAULT", "REVIEW"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_values_of_an_enumeration_are_those_of_the_schema(name):
    assert set(CHOICES[name]) == set(BOTH.type_map[name].values)


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_field_of_an_enumeration_takes_the_values_of_the_schema(entity):
    for field in served_fields(entity):
        named = get_named_type(type_of(entity).fields[field.name].type)
        if field.type is not None and field.choices:
            assert set(field.choices) == set(named.values), field.name
        if named.name in CHOICES:
            assert field.choices, field.name


@pytest.mark.parametrize("first", ENTITIES["Asset"].fields, ids=lambda field: field.name)
def test_every_selection_is_valid(first):
    paths = [path for path, _ in leaves(ENTITIES["Asset"]) if path.split(".")[0] == first.name]
    assert paths
    for path in paths:
        assert not errors_of(LIST_ASSETS % select([path]).text), path
    assert not errors_of(LIST_ASSETS % select(paths).text)


@pytest.mark.parametrize("generation", ["legacy", "current"])
def test_the_default_selection_is_valid_on_servers_of_both_generations(generation):
    schema = schema_of(generation)
    assert not errors_of(LIST_ASSETS % select(DEFAULT_FIELDS, also=["id", "createdAt"]).text, schema)
    assert not errors_of(COUNT_ASSETS, schema)
    assert not errors_of(LIST_PROJECTS % "id", schema)


def test_the_other_queries_of_a_read_are_valid():
    assert not errors_of(LIST_PROJECTS % "steps { id name }")
    assert not errors_of(LIST_ASSETS % select(["labels.jsonResponse"], also=["labels.jsonResponseUrl"]).text)


def test_every_document_that_a_read_sends_is_valid():
    with Sandbox() as sandbox:
        project = sandbox.create_project("Texts", "TEXT", workflow_version="V2", steps=[{"name": "Label"}])
        sandbox.add_assets(project, [{"externalId": "one", "content": "x"}])
        read_kili(project, step_name_in=["Label"], client=sandbox.client)
        count_assets(project, client=sandbox.client)
        documents = {request.document for request in sandbox.requests if request.document}
    assert len(documents) >= 4
    for document in documents:
        assert not errors_of(document), document


@pytest.mark.parametrize("item", FILTERS, ids=lambda item: item.keyword)
def test_every_filter_is_taken_with_the_value_that_it_is_sent_with(item):
    if item.kind == "step names":
        assert coerced({item.path: ["step-1"]}) == {item.path: ["step-1"]}
        return
    (where,) = asset_query("p1", {item.keyword: value_of(item)}).wheres()
    assert coerced(where) == where


def test_all_filters_are_taken_together():
    chosen = {item.path: (item.keyword, value_of(item)) for item in FILTERS if item.kind != "step names"}
    (where,) = asset_query("p1", dict(chosen.values())).wheres()
    assert coerced(where) == where


def paths_of(type_, prefix=""):
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if not isinstance(named, GraphQLInputObjectType):
            yield prefix + name
        elif name in {"label", "issue"}:
            yield from paths_of(named, f"{name}.")


# Pairs and groups of steps are not filters here; the project has its own argument.
NO_FILTERS = {"groupNameIn", "groupNameNotIn"}


def test_every_condition_of_the_schema_is_a_filter():
    known = {item.path for item in FILTERS}
    assert set(paths_of(BOTH.type_map["AssetWhere"])) - known == NO_FILTERS


def test_the_filters_of_the_seed_are_taken_by_a_server_of_its_generation():
    seed = [
        *("asset_id", "asset_id_in", "external_id_contains", "status_in", "skipped", "metadata_where"),
        *("consensus_mark_gt", "consensus_mark_lt", "honeypot_mark_gt", "honeypot_mark_lt"),
        *("updated_at_gte", "updated_at_lte", "label_author_in", "label_type_in"),
        *("label_created_at", "label_created_at_gt", "label_created_at_lt"),
        *("label_consensus_mark_gt", "label_consensus_mark_lt", "label_honeypot_mark_gt", "label_honeypot_mark_lt"),
        "label_category_search",
    ]
    known = {item.keyword: item for item in FILTERS}
    (where,) = asset_query("p1", {keyword: value_of(known[keyword]) for keyword in seed}).wheres()
    assert coerced(where, schema_of("legacy")) == where


def test_what_a_server_does_not_know_is_noticed_by_these_tests():
    assert errors_of(LIST_ASSETS % "externalID")
    with pytest.raises(GraphQLError):
        coerced({"assetIdIn": ["a"]})
    with pytest.raises(GraphQLError):
        coerced({"statusIn": ["DONE"]})


def test_the_limits_are_those_that_servers_keep():
    assert (PAGE_SIZE, IN_LIMIT) == (100, 1000)
