"""Small questions to the server: which project, how many assets, which user, which ids."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pandas_kili.catalog import BATCH_SIZE, COUNT_ASSETS, LIST_ASSETS, LIST_PROJECTS
from pandas_kili.connection.client import Client
from pandas_kili.connection.graphql_response import promised
from pandas_kili.errors import KiliFilterError, KiliGraphQLError, KiliNotFoundError, KiliValidationError
from pandas_kili.messages import shown
from pandas_kili.query import Lookup, Query, Where

_MOST_ASSETS = 2**31  # what GraphQL calls an integer
_CURRENT_USER = "query me { data: %s { %s } }"


def current_user(client: Client, field: str) -> str:
    """Return a field, such as ``id`` or ``email``, of the user that the key belongs to."""
    query = "viewer" if "viewer" in client.names("Query") else "me"
    data = client.execute(_CURRENT_USER % (query, field))
    with promised(query):
        return str(data["data"][field])


def count_matching(client: Client, project_id: str, where: Where, *, stop: threading.Event | None = None) -> int:
    """Count the assets that match; raise where the project does not exist."""
    with known_project(client, project_id):
        count = counted(client, where, stop=stop)
    if not count:
        find_project(client, project_id, "id")
    return count


@contextlib.contextmanager
def known_project(client: Client, project_id: str) -> Iterator[None]:
    """Raise `KiliNotFoundError` where the server refuses a question because there is no such project."""
    try:
        yield
    except KiliGraphQLError as error:
        with contextlib.suppress(KiliGraphQLError):
            find_project(client, project_id, "id")
        raise error from None


def counted(client: Client, where: Where, *, stop: threading.Event | None = None) -> int:
    """Return the server's count."""
    data = client.execute(COUNT_ASSETS, {"where": where}, stop=stop)
    with promised("countAssets"):
        count = data["data"]
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < _MOST_ASSETS:
            raise TypeError
        return count


def find_project(
    client: Client, project_id: str, fields: str, *, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Return fields of a project, or raise `KiliNotFoundError`."""
    if not isinstance(project_id, str):
        raise KiliValidationError(f"project_id is the identifier of a project, a string; got {shown(project_id)}.")
    data = client.execute(LIST_PROJECTS % fields, {"where": {"id": project_id}, "first": 1, "skip": 0}, stop=stop)
    with promised("projects"):
        found = [dict(project) for project in data["data"] or ()]
    if not found:
        raise KiliNotFoundError(
            f"There is no project {project_id!r} at {client.api_endpoint}, or this API key may not see it."
        )
    return found[0]


def read_back(
    client: Client, ids: Sequence[str], fields: str, project_id: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return fields of at most one batch of assets, by id; assets that do not exist are left out.

    A server may give fewer assets than it has, so what is missing is asked for until the answer is empty.
    """
    found: dict[str, dict[str, Any]] = {}
    missing = list(ids)
    while missing:
        variables = {"where": where_ids(project_id, missing), "first": BATCH_SIZE, "skip": 0}
        data = client.execute(LIST_ASSETS % fields, variables)
        with promised("assets"):
            shown = {asset["id"]: dict(asset) for asset in data["data"]}
        if not shown.keys() - found.keys():
            break
        found |= shown
        missing = [asset_id for asset_id in missing if asset_id not in found]
    return found


def where_ids(project_id: str | None, ids: Sequence[str]) -> Where:
    """Return the condition that names assets by their ids, within a project where it is known."""
    where: Where = {"idIn": list(ids)}
    return where if project_id is None else {"project": {"id": project_id}, **where}


def resolved(client: Client, query: Query) -> Query:
    """Return a query with ids in the place of the names of workflow steps and the e-mail addresses of people.

    Raises
    ------
    KiliFilterError
        For steps and people that the project does not have.
    """
    conditions = dict(query.conditions)
    for kind in sorted(set(query.lookups.values())):
        ids = _ids_by_name(client, query.project_id, kind)
        paths = [path for path, lookup in query.lookups.items() if lookup == kind]
        # People may be given by their ids as well, which hold no "@"; addresses are the same in any case.
        names = {name for path in paths for name in conditions[path] if kind == "steps" or "@" in name}
        known = {name: ids.get(name if kind == "steps" else name.lower()) for name in names}
        if unknown := sorted(name for name, found in known.items() if found is None):
            there = f"its {kind} are {', '.join(map(repr, ids))}" if ids else f"it has no {kind}"
            raise KiliFilterError(
                f"Project {query.project_id!r} has no {kind} {', '.join(map(repr, unknown))}: {there}.",
                problems={kind: f"unknown: {', '.join(unknown)}"},
            )
        conditions |= {path: [known.get(name) or name for name in conditions[path]] for path in paths}
    return dataclasses.replace(query, conditions=conditions, lookups={})


def _ids_by_name(client: Client, project_id: str, kind: Lookup) -> dict[str, str]:
    """Return the ids of a project's steps by name, or of its people by e-mail address in lower case."""
    with promised("projects"):
        if kind == "steps":
            steps = find_project(client, project_id, "steps { id name }")["steps"] or []
            return {str(step["name"]): str(step["id"]) for step in steps}
        roles = find_project(client, project_id, "roles { user { id email } }")["roles"] or []
        return {str(role["user"]["email"]).lower(): str(role["user"]["id"]) for role in roles}
