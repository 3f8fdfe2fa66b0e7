"""The nouns by their names."""

from __future__ import annotations

from pandas_kili.catalog.assets import ASSET
from pandas_kili.catalog.labels import ANNOTATION, LABEL
from pandas_kili.catalog.projects import COMMENT, CURRENT_STEP, ISSUE, LOCK, PAGE_RESOLUTION, PROJECT, RESOLUTION, STEP
from pandas_kili.catalog.terms import Entity
from pandas_kili.catalog.users import PROJECT_USER, USER

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
