"""Whether this user may upload files, and how to wait for an import that continues after its response."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from pandas_kili.connection import current_user, promised
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliGraphQLError

if TYPE_CHECKING:
    from pandas_kili.connection import Client

_LICENSE = """query organizations($where: OrganizationWhere!, $first: PageSize!, $skip: Int!) {
  data: organizations(where: $where, first: $first, skip: $skip) { license { uploadLocalData } }
}"""
_NOTIFICATION = """query notifications($where: NotificationWhere!, $first: PageSize!, $skip: Int!) {
  data: notifications(where: $where, first: $first, skip: $skip) { %s }
}"""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 16.0  # the official SDK pauses from 1 to 16 seconds (26.2.4)
_LONGEST_SILENCE = 60.0  # seconds: replicas show the notification of an import late
_LONGEST_IMPORT = 3600.0


def check_license(client: Client) -> None:
    """Raise unless this user may upload files.

    Raises
    ------
    KiliAuthenticationError
        If the license of the organization does not allow it.
    """
    email = current_user(client, "email")
    data = client.execute(_LICENSE, {"where": {"user": {"email": email}}, "first": 1, "skip": 0})
    with promised("organizations"):
        allowed = [(each.get("license") or {}).get("uploadLocalData") for each in data["data"] or ()]
    if allowed and allowed[0] is False:
        raise KiliAuthenticationError(
            f"The license of {email}'s organization does not allow uploads of local files or raw text:"
            " give URLs of hosted files, or ask Kili for the right."
        )


def wait_for_import(client: Client, notification_id: str, *, stop: threading.Event | None = None) -> None:
    """Wait for the end of an import that continues after its response.

    Parameters
    ----------
    client : Client
        Connection.
    notification_id : str
        Id of the notification, which the mutation returned.
    stop : threading.Event, optional
        Once set, waiting ends with `concurrent.futures.CancelledError`.

    Raises
    ------
    KiliGraphQLError
        If the import failed, with the message of the server.
    KiliConnectionError
        If its end did not become known; `outcome_unknown` is set.
    """
    if "notifications" not in client.names("Query"):
        return  # the first servers respond when the work is done
    start, pause = time.monotonic(), _FIRST_PAUSE
    while not _has_ended(found := _notification(client, notification_id, stop)):
        elapsed = time.monotonic() - start
        if elapsed > (_LONGEST_IMPORT if found else _LONGEST_SILENCE):
            state = "has not ended" if found else "is not known to the server"
            raise KiliConnectionError(
                f"The import {notification_id} {state} after {elapsed:.0f} seconds.", outcome_unknown=True
            )
        if (stop or threading.Event()).wait(pause):
            raise CancelledError
        pause = min(2 * pause, _LONGEST_PAUSE)


def _notification(client: Client, notification_id: str, stop: threading.Event | None) -> dict[str, Any] | None:
    fields = "status message" if "message" in client.names("Notification") else "status"
    variables = {"where": {"id": notification_id}, "first": 1, "skip": 0}
    data = client.execute(_NOTIFICATION % fields, variables, stop=stop)
    with promised("notifications"):
        return dict(data["data"][0]) if data["data"] else None


def _has_ended(notification: dict[str, Any] | None) -> bool:
    status = (notification or {}).get("status")
    if status == "FAILURE":
        said = (notification or {}).get("message") or "the server does not say why"
        raise KiliGraphQLError(f"The import failed: {said}", operation="import")
    return status == "SUCCESS"
