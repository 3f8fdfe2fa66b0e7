"""What the resolvers work on: the rows, the files, and the rules of this sandbox."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.habits import Habits
from pandas_kili.sandbox.organization import ADMIN_EMAIL, ORGANIZATION
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.store import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pandas_kili.sandbox.event_log import EventLog
    from pandas_kili.sandbox.files import Bucket
    from pandas_kili.sandbox.schema import Generation
    from pandas_kili.sandbox.store import Row, Store

__all__ = ["BATCH_LIMIT", "Workspace"]

BATCH_LIMIT = 100


@dataclass
class Workspace:
    """The state of one sandbox and the rules that it was started with."""

    store: Store
    bucket: Bucket
    api_key: str
    generation: Generation = "both"
    unique_external_ids: bool = True
    json_response_urls: bool = False
    import_delay: float = 0.05
    upload_local_data: bool = True
    habits: Habits = field(default_factory=Habits)
    events: EventLog = field(init=False)
    between_looks: list[Callable[[], None]] = field(default_factory=list)

    def organization(self) -> dict[str, Any]:
        """Return the organization of all users, with its license."""
        rights = {**ORGANIZATION["license"], "uploadLocalData": self.upload_local_data}
        return {**ORGANIZATION, "license": rights}

    def admin_id(self) -> str:
        """Return the id of the user that the key belongs to."""
        return self.user_ids([ADMIN_EMAIL])[ADMIN_EMAIL]

    def user_ids(self, emails: Iterable[str]) -> dict[str, str]:
        """Return the ids of users by email; unknown emails become users."""
        asked = list(dict.fromkeys(emails))
        known = self._known_users(asked)
        strangers = [email for email in asked if email not in known]
        if strangers:
            with self.store.transaction() as store:
                store.insert("users", [_new_user(email) for email in strangers])
            known = self._known_users(asked)
        return known

    def _known_users(self, emails: list[str]) -> dict[str, str]:
        found = self.store.rows(
            "SELECT email, id FROM users WHERE email IN (SELECT value FROM json_each(?))", (one_of(emails),)
        )
        return {row["email"]: row["id"] for row in found}

    def project(self, project_id: str | None) -> Row:
        """Return the row of a project, or refuse."""
        rows = self.store.rows("SELECT * FROM projects WHERE id = ?", (project_id,))
        if not rows:
            raise Refusal(f"[unexpectedRetrieving] No project with id {project_id}")
        return rows[0]

    def is_key(self, candidate: str) -> bool:
        """Compare a key with ours in constant time."""
        return secrets.compare_digest(candidate.encode(), self.api_key.encode())


def _new_user(email: str) -> Row:
    first, _, last = email.partition("@")[0].replace("_", ".").partition(".")
    return {
        "id": new_id(),
        "email": email,
        "firstname": first.capitalize(),
        "lastname": last.capitalize(),
        "createdAt": now(),
    }
