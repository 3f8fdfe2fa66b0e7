"""Projects, created and deleted: where every pipeline starts, and where a trial ends."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pandas_kili.catalog import CREATE_PROJECT, DELETE_PROJECT, INPUT_TYPES
from pandas_kili.connection import Client, client_or_default, find_project, promised
from pandas_kili.errors import KiliNotFoundError, KiliValidationError
from pandas_kili.json_text import NotJsonError, json_text
from pandas_kili.messages import did_you_mean, nearest, shown
from pandas_kili.writing.mutations import spelling

_PATIENCE = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between looks: a new project shows on all replicas after some


def create_project(
    title: str,
    input_type: str,
    json_interface: Mapping[str, Any] | str | None = None,
    *,
    description: str = "",
    client: Client | None = None,
) -> str:
    """Create a project.

    Parameters
    ----------
    title : str
        What people see; it need not be unique.
    input_type : str
        What its assets are: ``"IMAGE"``, ``"TEXT"``, ``"PDF"``, ``"VIDEO"``, ``"GEOSPATIAL"``, …
    json_interface : mapping or str, optional
        The questions to ask: ``{"jobs": {...}}``, or JSON text of it. By default there are none yet.
    description : str
        What the project is about.
    client : Client, optional
        Connection to use; by default one that the environment describes.

    Returns
    -------
    str
        The id of the project, once the server shows it.

    Raises
    ------
    KiliValidationError
        For an unknown input type, or an interface that is no JSON object with ``jobs``; before anything is sent.
    KiliConnectionError
        Where the outcome is unknown (``outcome_unknown``): look for the title before you try again, since a second call
        would make a second project.
    KiliAuthenticationError, KiliGraphQLError
        Where the server refuses.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> content = {"categories": {"CAT": {"name": "Cat"}}, "input": "radio"}
    >>> jobs = {"KIND": {"mlTask": "CLASSIFICATION", "content": content}}
    >>> project_id = pk.create_project("Cats", "IMAGE", {"jobs": jobs})
    >>> pk.count_assets(project_id)
    0
    """
    if not isinstance(title, str) or not title.strip():
        raise KiliValidationError(f"title is text that is not empty; got {shown(title)}.")
    if input_type not in INPUT_TYPES:
        near = nearest(str(input_type), INPUT_TYPES, most=1)
        hint = did_you_mean(near, "did") or f"there are {', '.join(INPUT_TYPES)}."
        raise KiliValidationError(f"There is no input type {shown(input_type)}; {hint}")
    interface = _interface_text(json_interface)
    client = client_or_default(client)
    mutation = spelling(client, CREATE_PROJECT)
    data = {"title": title, "description": description, "inputType": input_type, "jsonInterface": interface}
    answer = client.execute(mutation.document, {"data": data})
    with promised(mutation.name):
        project_id = str(answer["data"]["id"])
    for pause in _PATIENCE:
        try:
            find_project(client, project_id, "id")
        except KiliNotFoundError:
            time.sleep(pause)
        else:
            break
    return project_id


def delete_project(project_id: str, *, title: str, client: Client | None = None) -> None:
    """Delete a project with all its assets and labels, for good.

    Parameters
    ----------
    project_id : str
        Identifier of the project.
    title : str
        The title of that project, word for word, as a guard against a wrong id.
    client : Client, optional
        Connection to use; by default one that the environment describes.

    Returns
    -------
    None

    Raises
    ------
    KiliNotFoundError
        Where there is no such project, or the key may not see it.
    KiliValidationError
        Where the project has another title; nothing was deleted.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> project_id = pk.create_project("A trial", "TEXT")
    >>> pk.delete_project(project_id, title="A trial")
    """
    client = client_or_default(client)
    known = find_project(client, project_id, "title")["title"]
    if known != title:
        raise KiliValidationError(
            f"Project {project_id!r} is titled {known!r}, not {shown(title)}: nothing was deleted."
        )
    mutation = spelling(client, DELETE_PROJECT)
    client.execute(mutation.document, {"where": {"id": project_id}})


def _interface_text(interface: Mapping[str, Any] | str | None) -> str:
    """Return an interface as JSON text, or say what it lacks."""
    expected = 'json_interface is an object such as {"jobs": {...}}, or JSON text of one'
    try:
        text = interface if isinstance(interface, str) else json.dumps(dict(interface or {"jobs": {}}), allow_nan=False)
        parsed = json.loads(text)
        json_text(parsed)
        jobs = parsed["jobs"]
    except NotJsonError as error:
        raise KiliValidationError(f"json_interface: {error}.") from None
    except (KeyError, RecursionError, TypeError, ValueError):
        raise KiliValidationError(f"{expected}; got {shown(interface)}.") from None
    if not isinstance(jobs, dict):
        raise KiliValidationError(f"{expected}; its jobs are {shown(jobs)}.")
    return text
