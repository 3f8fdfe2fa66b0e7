"""`Sandbox`: a local Kili to start, fill, and look into."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

import pandas as pd

from pandas_kili.connection import Client
from pandas_kili.messages import warn
from pandas_kili.sandbox.conversation_imports import ConversationImports, conversation_resolvers
from pandas_kili.sandbox.edits import Edits, edit_resolvers
from pandas_kili.sandbox.event_log import EventHabit, EventLog, event_resolvers
from pandas_kili.sandbox.execution import Executor
from pandas_kili.sandbox.faults import Fault, FaultPlan
from pandas_kili.sandbox.files import Bucket
from pandas_kili.sandbox.filling import asset_rows, label_rows
from pandas_kili.sandbox.habits import Habits
from pandas_kili.sandbox.imports import Imports, import_resolvers
from pandas_kili.sandbox.issues import Issues, issue_resolvers
from pandas_kili.sandbox.labeling import Labeling, labeling_resolvers
from pandas_kili.sandbox.loading import Loader
from pandas_kili.sandbox.organization import ADMIN_EMAIL
from pandas_kili.sandbox.projects import Projects, check_interface, project_resolvers
from pandas_kili.sandbox.queries import query_resolvers
from pandas_kili.sandbox.refusals import Refusal
from pandas_kili.sandbox.routes import GRAPHQL_ROUTE, Request, Routes
from pandas_kili.sandbox.schema import Generation, schema_of
from pandas_kili.sandbox.server import Server
from pandas_kili.sandbox.stamps import new_id, now
from pandas_kili.sandbox.steps import Steps, step_resolvers
from pandas_kili.sandbox.store import Row, Store, one_of
from pandas_kili.sandbox.workspace import Workspace

__all__ = ["Sandbox"]

_FORMER_GENERATIONS: dict[str, Generation] = {"seed": "legacy", "today": "current"}

_ANY_NUMBER_OF_CALLS = 1_000_000


class Sandbox:
    """A local Kili: serves the GraphQL API on loopback, with rows in a SQLite file and files beside it.

    Parameters
    ----------
    path : str or Path, optional
        Folder that keeps the data; without one, the data is removed when the sandbox stops.
    api_key : str, optional
        The key to accept; by default a random one, which is kept with the data.
    port : int
        Where to listen; 0 takes a free port.
    faults : iterable of Fault
        Failures that requests meet.
    generation : {"both", "legacy", "current"}
        The generation of the API: ``"legacy"`` has ``appendManyToDataset``, ``"current"`` has ``appendManyAssets``,
        and ``"both"`` has the two side by side.
    max_calls_per_minute : int, optional
        The most operations a minute; more are refused with HTTP 429. None for no limit.
    signed_url_ttl : float
        How long a signed upload URL is valid, in seconds.
    unique_external_ids : bool
        Whether external ids are unique within a project.
    json_response_urls : bool
        Whether the answers of labels are served behind URLs instead of inline.
    import_delay : float
        Seconds that an asynchronous import takes.
    upload_local_data : bool
        Whether the license allows uploads of local files.
    habits : Habits, optional
        Ways to serve pages that differ from Kili's documented ones: caps, ties in any order, a `skip` that is ignored.
    events : {"kept", "late", "short", "none"}
        How the log of events is served: as it is; late, out of order and some events twice; without older events; or
        not at all, as on older servers.
    longest_event_delay : float
        For ``events="late"``: seconds after which an event shows at the latest.
    kept_events : int
        For ``events="short"``: how many events are kept.
    seed : int
        The seed of the chances of faults and of the delays of events.

    Notes
    -----
    As Kili does it: projects with their interface, settings, steps, members and tags; assets of all input types, their
    files behind signed URLs, filters, order, pages and limits; labels, predictions, reviews, issues and questions;
    statuses and steps; copies and deletions; the log of events; the rate limit. The official SDK says so, in whole
    pipelines (``tests/conformance``).

    Approximately: consensus, honeypot and inference marks, by a formula of its own (`pandas_kili.sandbox.marks`), as
    Kili's is not published; resolutions and durations, of the files that Pillow's and PyAV's readers know; imports,
    which take `import_delay` seconds whatever their size; replicas, which lag only where a fault says so; text search
    and the order of ties.

    Not at all: plugins, webhooks, models of LLM projects, cloud storages, versions of projects, changes of accounts and
    organizations, anonymous reviews. These operations are refused by their names. There are no rights: the one key may
    do everything.

    Examples
    --------
    >>> with Sandbox() as sandbox:
    ...     project_id = sandbox.create_project("Digits", "IMAGE")
    """

    def __init__(  # noqa: PLR0913 - each is one rule of the sandbox, by keyword
        self,
        path: str | Path | None = None,
        *,
        api_key: str | None = None,
        port: int = 0,
        faults: Iterable[Fault] = (),
        generation: Generation = "both",
        max_calls_per_minute: int | None = 500,
        signed_url_ttl: float = 3600.0,
        unique_external_ids: bool = True,
        json_response_urls: bool = False,
        import_delay: float = 0.05,
        upload_local_data: bool = True,
        habits: Habits | None = None,
        events: EventHabit = "kept",
        longest_event_delay: float = 0.2,
        kept_events: int = 100,
        seed: int = 0,
    ) -> None:
        self._path = None if path is None else Path(path).expanduser()
        self._given_key = api_key
        self._port = port
        self._generation = _known_generation(generation)
        self._max_calls_per_minute = max_calls_per_minute
        self._signed_url_ttl = signed_url_ttl
        self._rules: dict[str, Any] = {
            "unique_external_ids": unique_external_ids,
            "json_response_urls": json_response_urls,
            "import_delay": import_delay,
            "upload_local_data": upload_local_data,
            "habits": habits or Habits(),
        }
        if events not in get_args(EventHabit):
            raise ValueError(f"Unknown events={events!r}: one of {', '.join(get_args(EventHabit))}")
        self._events: EventHabit = events
        self._event_rules: dict[str, Any] = {
            "longest_delay": longest_event_delay,
            "kept_events": kept_events,
            "seed": seed,
        }
        self._plan = FaultPlan(faults, seed)
        self._server: Server | None = None
        self._client: Client | None = None

    def __repr__(self) -> str:
        return f"<Sandbox at {self.api_endpoint}>" if self._server else "<Sandbox, not started>"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which clients find this sandbox, for `os.environ.update`."""
        return {"KILI_API_ENDPOINT": self.api_endpoint, "KILI_API_KEY": self.api_key}

    def start(self) -> Self:
        """Start to serve, in threads of this process."""
        if self._server is not None:
            raise RuntimeError("The sandbox is started already")
        self._folder = self._path or Path(tempfile.mkdtemp(prefix="kili-sandbox-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._store = Store(self._folder / "sandbox.sqlite")
        self._workspace = self._opened()
        self._imports, self._labeling = Imports(self._workspace), Labeling(self._workspace)
        self._issues = Issues(self._workspace, Loader(self._workspace).issues)
        self._schema = schema_of(self._generation, events=self._events != "none")
        executor = Executor(self._schema, self._resolvers())
        routes = Routes(self._workspace, executor, self._imports.settle, self._max_calls_per_minute)
        self._server = Server(self._port, routes, self._store, self._plan)
        self._workspace.bucket.origin = self._server.origin
        self._server.start()
        return self

    def _opened(self) -> Workspace:
        key = self._given_key or self._store.setting("api_key", secrets.token_hex(20))
        self._store.replicas.longest_lag = self._plan.longest_lag()
        bucket = Bucket(self._store, self._folder / "files", self._signed_url_ttl)
        workspace = Workspace(self._store, bucket, key, self._generation, **self._rules)
        workspace.events = EventLog(self._store, self._events, **self._event_rules)
        workspace.admin_id()  # the administrator is the first user
        return workspace

    def _resolvers(self) -> dict[str, Any]:
        return {
            **query_resolvers(self._workspace),
            **import_resolvers(self._imports),
            **edit_resolvers(Edits(self._workspace, self._imports)),
            **labeling_resolvers(self._labeling),
            **project_resolvers(projects := Projects(self._workspace)),
            **step_resolvers(Steps(self._workspace, projects.loaded)),
            **issue_resolvers(self._issues),
            **conversation_resolvers(ConversationImports(self._workspace, self._imports, self._labeling)),
            **event_resolvers(self._workspace.events),
        }

    def stop(self) -> None:
        """Stop serving; without a `path`, the data is removed."""
        if self._server is None:
            return
        if self._client is not None:
            self._client.close()
            self._client = None
        self._server.stop()
        self._server = None
        self._store.close()
        if self._path is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start() if self._server is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("The sandbox is not started: use `with Sandbox() as sandbox`, or `start()`")
        return self._server

    @property
    def api_endpoint(self) -> str:
        """The URL of the GraphQL API."""
        return self._running().origin + GRAPHQL_ROUTE

    @property
    def api_key(self) -> str:
        """The key that is served."""
        self._running()
        return self._workspace.api_key

    @property
    def client(self) -> Client:
        """A client of this sandbox, closed with it; it keeps to the limit of calls that the sandbox has."""
        if self._client is None:
            calls = self._max_calls_per_minute or _ANY_NUMBER_OF_CALLS
            self._client = Client(self.api_key, self.api_endpoint, max_calls_per_minute=calls)
        return self._client

    def create_project(
        self,
        title: str,
        input_type: str,
        json_interface: Mapping[str, Any] | str | None = None,
        *,
        workflow_version: str = "V1",
        steps: Sequence[Mapping[str, Any]] = (),
        min_consensus_size: int = 1,
        data_connections: Sequence[str] = (),
    ) -> str:
        """Create a project and return its id.

        Parameters
        ----------
        title, input_type : str
            As Kili has them: ``"IMAGE"``, ``"TEXT"``, ``"PDF"``, ``"VIDEO"``, …
        json_interface : Mapping or str, optional
            The jobs to annotate.
        workflow_version : {"V1", "V2", "V3"}
            From V2 on, assets move through `steps`.
        steps : sequence of Mapping
            The steps, each with a ``name``.
        min_consensus_size : int
            How many labels an asset used for consensus needs.
        data_connections : sequence of str
            Ids of the cloud storages that are connected to it; ``dataIntegrationId`` of an asset names one of them.
        """
        interface = json_interface if isinstance(json_interface, str) else json.dumps(json_interface or {"jobs": {}})
        self._running()
        input_types = self._schema.type_map["InputType"].values  # type: ignore[attr-defined]  # an enumeration
        if input_type not in input_types:
            raise ValueError(f"input_type is one of {', '.join(input_types)}; got {input_type!r}")
        try:
            check_interface(interface)
        except Refusal as error:
            raise ValueError(f"json_interface: {error}") from None
        instant, project_id = now(), new_id()
        project = {
            "id": project_id,
            "title": title,
            "inputType": input_type,
            "jsonInterface": interface,
            "minConsensusSize": min_consensus_size,
            "workflowVersion": workflow_version,
            "steps": json.dumps([{"id": new_id(), "type": "DEFAULT", **step} for step in steps]),
            "dataConnections": json.dumps([{"id": connection} for connection in data_connections]),
            "createdAt": instant,
            "updatedAt": instant,
        }
        self._store.insert("projects", [project])
        return project_id

    def add_assets(self, project_id: str, rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[str]:
        """Add assets by the thousand without the wire, and return their ids.

        Parameters
        ----------
        project_id : str
            Where they go.
        rows : DataFrame or iterable of Mapping
            Columns as Kili names them: ``externalId``, ``content``, ``jsonMetadata``, ``status``, ``createdAt``, …
        """
        self._running()
        created = self._imports.append(self._workspace.project(project_id), asset_rows(rows))
        return [row["id"] for row in created]

    def add_labels(self, frame: pd.DataFrame, *, project_id: str | None = None) -> list[str]:
        """Add labels, as if labelers had made them, and return their ids; the statuses of the assets follow.

        Parameters
        ----------
        frame : DataFrame
            ``assetId``, or ``externalId`` with ``projectId``; ``jsonResponse`` (object or JSON text); ``author`` or
            ``author.email`` (an email; an unknown one becomes a user); and optionally ``labelType``,
            ``createdAt``, ``secondsToLabel``, ``modelName`` and the marks.
        project_id : str, optional
            The project of the external ids, instead of a column.
        """
        self._running()
        with self._store.transaction():
            return [label["id"] for label in self._labeling.add(label_rows(self._workspace, frame, project_id))]

    def add_issue(self, asset_id: str, type: str = "ISSUE", status: str = "OPEN") -> str:  # noqa: A002 - Kili's name
        """Raise an issue or a question on an asset, and return its id."""
        self._running()
        return str(self._issues.add([{"assetId": asset_id, "type": type, "status": status}])[0]["id"])

    def set_asset(self, asset_id: str, **columns: Any) -> None:
        """Set stored columns of one asset, whatever the API would say: ``status="REVIEWED"``, ``consensusMark=0.5``.

        No event tells of it, and `updatedAt` stays as it is.
        """
        self._running()
        assignments = ", ".join(f'"{name}" = ?' for name in columns)
        self._store.change(f"UPDATE assets SET {assignments} WHERE id = ?", (*columns.values(), asset_id))

    def delete_assets(self, asset_ids: Iterable[str]) -> None:
        """Delete assets without the wire."""
        self._running()
        with self._store.transaction() as store:
            found = store.rows(
                "SELECT * FROM assets WHERE id IN (SELECT value FROM json_each(?))", (one_of(asset_ids),)
            )
            store.change("DELETE FROM assets WHERE id IN (SELECT value FROM json_each(?))", (one_of(asset_ids),))
            self._workspace.events.about_assets("asset.deleted", found, self._workspace.admin_id())

    def user_id(self, email: str = ADMIN_EMAIL) -> str:
        """Return the id of a user, made where there is none."""
        self._running()
        return self._workspace.user_ids([email])[email]

    def assets(self, project_id: str) -> list[Row]:
        """Return the assets of a project as stored, in the order of creation."""
        self._running()
        return self._store.rows("SELECT * FROM assets WHERE projectId = ? ORDER BY createdAt, rank", (project_id,))

    def labels(self, project_id: str) -> list[Row]:
        """Return the labels of a project as stored, in the order of creation."""
        self._running()
        return self._store.rows("SELECT * FROM labels WHERE projectId = ? ORDER BY createdAt, rank", (project_id,))

    def assignees(self, asset_id: str) -> list[str]:
        """Return the emails of those who are to label an asset."""
        self._running()
        sql = "SELECT email FROM assignees JOIN users ON users.id = userId WHERE assetId = ? ORDER BY email"
        return [row["email"] for row in self._store.rows(sql, (asset_id,))]

    @property
    def requests(self) -> list[Request]:
        """The requests that arrived, oldest first: the last 20,000 at most, with 64 MiB of bodies at most."""
        return self._running().requests.entries()

    def clear_requests(self) -> None:
        """Forget the requests that arrived."""
        self._running().requests.clear()

    def inject(self, *faults: Fault) -> None:
        """Add faults."""
        for fault in faults:
            self._plan.add(fault)
        if self._server is not None:
            self._store.replicas.longest_lag = self._plan.longest_lag()

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._plan.clear()
        if self._server is not None:
            self._store.replicas.longest_lag = 0.0

    def before_request(self, hook: Callable[[Request], None]) -> None:
        """Call `hook` with each request before its work, in the thread that serves it."""
        self._running().before.append(hook)

    def after_request(self, hook: Callable[[Request], None]) -> None:
        """Call `hook` with each request after its work, before the answer leaves."""
        self._running().after.append(hook)

    def between_looks(self, hook: Callable[[], None]) -> None:
        """Call `hook` between the two looks of each page, where `Habits.ids_first` makes pages in two looks."""
        self._running()
        self._workspace.between_looks.append(hook)

    def clear_hooks(self) -> None:
        """Remove all hooks."""
        self._running().before.clear()
        self._workspace.between_looks.clear()
        self._running().after.clear()


def _known_generation(name: str) -> Generation:
    if name in _FORMER_GENERATIONS:
        warn(f"generation={name!r} is now called {_FORMER_GENERATIONS[name]!r}", FutureWarning)
        return _FORMER_GENERATIONS[name]
    if name not in get_args(Generation):
        raise ValueError(f"Unknown generation {name!r}: one of {', '.join(get_args(Generation))}")
    return name  # type: ignore[return-value]  # mypy does not see that it is one of them
