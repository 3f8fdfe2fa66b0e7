"""The classes of a frame's project, in the order of its interface: that order decides their colors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

import pandas as pd

from pandas_kili.connection import Client, client_or_default, find_project
from pandas_kili.display.deadline import within
from pandas_kili.display.palette import JobClass
from pandas_kili.errors import KiliError
from pandas_kili.tidy import jobs_of

_SECONDS = 3.0  # to wait for the interface; without it, names decide the colors
_KNOWN: dict[tuple[str, str], list[JobClass]] = {}  # by endpoint and project


def known_classes(frame: pd.DataFrame, client: Client | None = None) -> list[JobClass]:
    """Return all jobs and classes of the project that a frame was read from; nothing where they cannot be known.

    A process asks once for each project, so that all its charts and pages have the same colors. Only the server that
    the frame was read from is asked.
    """
    home = frame.attrs.get("kili")
    told = home if isinstance(home, Mapping) else {}
    endpoint, project_id = (str(told.get(name) or "") for name in ("api_endpoint", "project_id"))
    if project_id and (endpoint, project_id) not in _KNOWN:
        with contextlib.suppress(KiliError):  # without a key, for example
            client = client_or_default(client)
            if client.api_endpoint == endpoint:
                _KNOWN[endpoint, project_id] = _asked(client, project_id)
    return _KNOWN.get((endpoint, project_id), [])


def _asked(client: Client, project_id: str) -> list[JobClass]:
    stop = threading.Event()
    try:
        project = within(_SECONDS, lambda: find_project(client, project_id, "jsonInterface", stop=stop))
        jobs = jobs_of(project["jsonInterface"] or {})
    except (KiliError, TimeoutError):
        return []
    finally:
        stop.set()
    # What has a job and no class has the name of the job.
    return [(job.name, name) for job in jobs.values() for name in job.categories or [job.name]]
