"""The people of a project, as a frame: `read_members`."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import LIST_MEMBERS, MEMBER_PAGE_SIZE
from pandas_kili.connection import Client, client_or_default, find_project, promised
from pandas_kili.errors import KiliValidationError
from pandas_kili.messages import shown
from pandas_kili.reading.frame import to_pandas

_PERSON = {"email": "email", "userId": "id", "firstname": "firstname", "lastname": "lastname"}
_SCHEMA = pa.schema([(name, pa.string()) for name in (*_PERSON, "role", "status")])


def read_members(project_id: str, *, client: Client | None = None) -> pd.DataFrame:
    """Read who works in a project, and in which role.

    Parameters
    ----------
    project_id : str
        Identifier of the project.
    client : Client, optional
        Connection to use; by default one that the environment describes.

    Returns
    -------
    pandas.DataFrame
        One row per member, those who were removed left out. All columns are ``string``: ``email``, ``userId``,
        ``firstname``, ``lastname``, ``role`` (``ADMIN``, ``TEAM_MANAGER``, ``REVIEWER``, ``LABELER``) and ``status``
        (``ACTIVATED``; ``ORG_ADMIN`` for administrators of the organization, who are in all its projects;
        ``ORG_SUSPENDED``).

    Raises
    ------
    KiliNotFoundError
        Where there is no such project, or the key may not see it.
    KiliValidationError
        For an identifier that is not text, or empty.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> members = pk.read_members(project_id)
    >>> members.loc[members["email"] == "ada@example.com", "role"].tolist()
    ['LABELER']
    """
    if not isinstance(project_id, str) or not project_id.strip():
        raise KiliValidationError(f"project_id is the identifier of a project; got {shown(project_id)}.")
    client = client_or_default(client)
    find_project(client, project_id, "id")  # whether it is there: some servers give no members where it is not
    found: dict[str, dict[str, Any]] = {}
    while (page := _page(client, project_id, len(found))).keys() - found.keys():
        found |= page
    table = pa.Table.from_pylist(list(found.values()), _SCHEMA)
    return to_pandas(table, {"project_id": project_id, "api_endpoint": client.api_endpoint})


def _page(client: Client, project_id: str, skip: int) -> dict[str, dict[str, Any]]:
    where = {"project": {"id": project_id}, "deleted": False}
    data = client.execute(LIST_MEMBERS, {"where": where, "first": MEMBER_PAGE_SIZE, "skip": skip})
    with promised("projectUsers"):
        return {
            str(member["user"]["id"]): {
                **{name: member["user"][field] for name, field in _PERSON.items()},
                "role": member["role"],
                "status": member["status"],
            }
            for member in data["data"]
        }
