"""What exists in Kili, written once, as data: nouns with their fields, filters and limits."""

from pandas_kili.catalog import assets, labels, projects, users
from pandas_kili.catalog.terms import Entity

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        assets.ASSET,
        labels.LABEL,
        labels.ANNOTATION,
        projects.PROJECT,
        projects.STEP,
        projects.CURRENT_STEP,
        projects.ISSUE,
        projects.COMMENT,
        projects.LOCK,
        projects.RESOLUTION,
        projects.PAGE_RESOLUTION,
        users.USER,
        users.PROJECT_USER,
    )
}
