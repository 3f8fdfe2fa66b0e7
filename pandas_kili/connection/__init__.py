"""The one way to the server."""

from pandas_kili.connection.client import Client, client_or_default
from pandas_kili.connection.downloads import side_by_side
from pandas_kili.connection.files import PIECE
from pandas_kili.connection.graphql_response import promised
from pandas_kili.connection.lookup import (
    count_matching,
    counted,
    current_user,
    find_project,
    known_project,
    read_back,
    resolved,
    where_ids,
)
from pandas_kili.connection.pools import Opened
from pandas_kili.connection.rate_limit import Budget, Clock, Limit, limit_of, showing_waits, wait_for_turn
from pandas_kili.connection.settings import progress_disabled

__all__ = [
    "PIECE",
    "Budget",
    "Client",
    "Clock",
    "Limit",
    "Opened",
    "client_or_default",
    "count_matching",
    "counted",
    "current_user",
    "find_project",
    "known_project",
    "limit_of",
    "progress_disabled",
    "promised",
    "read_back",
    "resolved",
    "showing_waits",
    "side_by_side",
    "wait_for_turn",
    "where_ids",
]
