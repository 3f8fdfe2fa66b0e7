"""What exists in Kili, written once, as data: nouns with their fields, filters and limits."""

from pandas_kili.catalog.assets import (
    APPEND,
    APPEND_LATER,
    BATCH_BYTES,
    BATCH_SIZE,
    COUNT_ASSETS,
    DEFAULT_FIELDS,
    DELETE,
    FILTER_EXISTING,
    FILTERS,
    IN_LIMIT,
    LIST_ASSETS,
    PAGE_SIZE,
    PROPERTIES,
    QUEUE,
    REVIEW,
    STATUSES,
    UPDATE,
)
from pandas_kili.catalog.entities import ENTITIES
from pandas_kili.catalog.events import (
    ASSET_IS_GONE,
    EVENT_PAGE,
    EVENT_PAGE_SIZE,
    EVENT_PAYLOADS,
    LIST_EVENTS,
    PROJECT_WORKFLOW,
)
from pandas_kili.catalog.labels import ANNOTATION_VALUE, APPEND_LABELS, LABEL_TYPES
from pandas_kili.catalog.projects import CREATE_PROJECT, DELETE_PROJECT, INPUT_TYPES, LIST_PROJECTS
from pandas_kili.catalog.reference import fields, filters, leaves
from pandas_kili.catalog.terms import Entity, Field, Filter, Mutation
from pandas_kili.catalog.users import LIST_MEMBERS, MEMBER_PAGE_SIZE

__all__ = [
    "ANNOTATION_VALUE",
    "APPEND",
    "APPEND_LABELS",
    "APPEND_LATER",
    "ASSET_IS_GONE",
    "BATCH_BYTES",
    "BATCH_SIZE",
    "COUNT_ASSETS",
    "CREATE_PROJECT",
    "DEFAULT_FIELDS",
    "DELETE",
    "DELETE_PROJECT",
    "ENTITIES",
    "EVENT_PAGE",
    "EVENT_PAGE_SIZE",
    "EVENT_PAYLOADS",
    "FILTERS",
    "FILTER_EXISTING",
    "INPUT_TYPES",
    "IN_LIMIT",
    "LABEL_TYPES",
    "LIST_ASSETS",
    "LIST_EVENTS",
    "LIST_MEMBERS",
    "LIST_PROJECTS",
    "MEMBER_PAGE_SIZE",
    "PAGE_SIZE",
    "PROJECT_WORKFLOW",
    "PROPERTIES",
    "QUEUE",
    "REVIEW",
    "STATUSES",
    "UPDATE",
    "Entity",
    "Field",
    "Filter",
    "Mutation",
    "fields",
    "filters",
    "leaves",
]
