"""From names to GraphQL and Arrow types, checked before a request."""

from pandas_kili.query.fields import Column, Fields, Selection, known_fields, select
from pandas_kili.query.filters import AssetFilters, Lookup, Query, Where, asset_query

__all__ = [
    "AssetFilters",
    "Column",
    "Fields",
    "Lookup",
    "Query",
    "Selection",
    "Where",
    "asset_query",
    "known_fields",
    "select",
]
