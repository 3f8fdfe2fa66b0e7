"""From names to GraphQL and Arrow types, checked before a request."""

from pandas_kili.query.fields import Column, Fields, Selection, known_fields, select
from pandas_kili.query.filters import AssetFilters, Date, Lookup, Query, Where, as_date, asset_query, with_filters

__all__ = [
    "AssetFilters",
    "Column",
    "Date",
    "Fields",
    "Lookup",
    "Query",
    "Selection",
    "Where",
    "as_date",
    "asset_query",
    "known_fields",
    "select",
    "with_filters",
]
