"""What exists in Kili, written once, as data: nouns with their fields, filters and limits."""

from pandas_kili.catalog.assets import (
    APPEND,
    APPEND_LATER,
    ASSET,
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
from pandas_kili.catalog.events import EVENT_PAGE_SIZE, EVENT_PAYLOADS, LIST_EVENTS, PROJECT_WORKFLOW
from pandas_kili.catalog.labels import ANNOTATION, ANNOTATION_VALUE, APPEND_LABELS, LABEL, LABEL_TYPES
from pandas_kili.catalog.projects import (
    COMMENT,
    CREATE_PROJECT,
    CURRENT_STEP,
    DELETE_PROJECT,
    INPUT_TYPES,
    ISSUE,
    LIST_PROJECTS,
    LOCK,
    PAGE_RESOLUTION,
    PROJECT,
    RESOLUTION,
    STEP,
)
from pandas_kili.catalog.terms import Entity, Field, Filter, Mutation
from pandas_kili.catalog.users import PROJECT_USER, USER

__all__ = [
    "ANNOTATION_VALUE",
    "APPEND",
    "APPEND_LABELS",
    "APPEND_LATER",
    "BATCH_BYTES",
    "BATCH_SIZE",
    "COUNT_ASSETS",
    "CREATE_PROJECT",
    "DEFAULT_FIELDS",
    "DELETE",
    "DELETE_PROJECT",
    "ENTITIES",
    "EVENT_PAGE_SIZE",
    "EVENT_PAYLOADS",
    "FILTERS",
    "FILTER_EXISTING",
    "INPUT_TYPES",
    "IN_LIMIT",
    "LABEL_TYPES",
    "LIST_ASSETS",
    "LIST_EVENTS",
    "LIST_PROJECTS",
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
]

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        ASSET,
        LABEL,
        ANNOTATION,
        PROJECT,
        STEP,
        CURRENT_STEP,
        ISSUE,
        COMMENT,
        LOCK,
        RESOLUTION,
        PAGE_RESOLUTION,
        USER,
        PROJECT_USER,
    )
}
