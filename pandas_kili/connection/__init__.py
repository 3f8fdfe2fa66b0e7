"""The one way to the server."""

from pandas_kili.connection.client import Client, default_client
from pandas_kili.connection.lookup import count_matching, counted, current_user, find_project, read_back, where_ids
from pandas_kili.connection.rate_limit import Budget, Clock, RateLimit, limit_of
from pandas_kili.connection.settings import progress_disabled
from pandas_kili.connection.verdict import promised

__all__ = [
    "Budget",
    "Client",
    "Clock",
    "RateLimit",
    "count_matching",
    "counted",
    "current_user",
    "default_client",
    "find_project",
    "limit_of",
    "progress_disabled",
    "promised",
    "read_back",
    "where_ids",
]
