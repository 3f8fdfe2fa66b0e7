"""From names to GraphQL and Arrow types, checked before a request."""

from pandas_kili.query.fields import Column, Fields, Selection, known_fields, select
from pandas_kili.query.filters import AssetFilters, Query, Where, asset_query, shown

__all__ = [
    "AssetFilters",
    "Column",
    "Fields",
    "Query",
    "Selection",
    "Where",
    "asset_query",
    "known_fields",
    "select",
    "shown",
]
