"""The tasks, done by the official SDK, which needs an interpreter of its own."""

from __future__ import annotations

import itertools
import tempfile
from typing import Any

from kili.client import Kili
from kili.core.graphql import graphql_client

from benchmarks.canned import asset_id
from benchmarks.contenders import sizes
from benchmarks.meter import measured, serve

_ENDLESS = 10_000  # rows of a read that goes on and on: projects have a few hundred


def _kili(endpoint: str, key: str) -> Kili:
    return Kili(key, endpoint, disable_tqdm=True)


def read(endpoint: str, key: str, project: str) -> dict[str, Any]:
    """Read all assets with their labels, which it does by default, after a small read."""
    kili = _kili(endpoint, key)
    kili.assets(project, first=1)
    cost = measured(lambda: kili.assets(project))
    return cost | {"result": len(cost["result"])}


def download(endpoint: str, key: str, project: str) -> dict[str, Any]:
    """Fetch the media of all assets into a folder."""
    kili = _kili(endpoint, key)
    kili.assets(project, first=1)
    with tempfile.TemporaryDirectory() as folder:
        fields = ["id", "externalId", "content"]
        cost = measured(lambda: kili.assets(project, fields=fields, download_media=True, local_media_dir=folder))
        return cost | {"result": len(cost["result"])}


def upload(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Append pictures from a folder, and do not wait until the server has looked at them."""
    kili = _kili(endpoint, key)
    kili.assets(project, first=1)
    with tempfile.TemporaryDirectory() as folder:
        paths, names = sizes.pictures(folder, rows), [f"picture-{row}" for row in range(rows)]
        given = {"content_array": paths, "external_id_array": names, "wait_until_availability": False}
        cost = measured(lambda: kili.append_many_to_dataset(project, **given))
        return cost | {"result": len(cost["result"]["asset_ids"])}


def mutate(endpoint: str, key: str, project: str, *, verb: str, rows: int) -> dict[str, Any]:
    """Change assets, given their ids; the project is not asked for then."""
    del project
    kili = _kili(endpoint, key)
    ids = [asset_id(row) for row in range(rows)]
    verbs = {
        "update": lambda: kili.update_properties_in_assets(ids, priorities=list(range(rows))),
        "rename": lambda: kili.change_asset_external_ids([f"renamed-{row}" for row in range(rows)], ids),
        "review": lambda: kili.add_to_review(ids),
    }
    cost = measured(verbs[verb])
    result = cost["result"]
    return cost | {"result": len(result["succeeded"] if isinstance(result, dict) else result)}


def append(endpoint: str, key: str, project: str, *, rows: int) -> dict[str, Any]:
    """Append hosted images with external ids and metadata."""
    kili = _kili(endpoint, key)
    given = sizes.appended(rows)
    cost = measured(
        lambda: kili.append_many_to_dataset(
            project,
            content_array=given["content"],
            external_id_array=given["externalId"],
            json_metadata_array=given["jsonMetadata"],
        )
    )
    return cost | {"result": len(cost["result"]["asset_ids"])}


def exactness(
    endpoint: str, key: str, projects: list[str], status: str, *, ids: bool, empty: int = 0
) -> dict[str, Any]:
    """Return of each project the external ids that were read, its own limit of calls lifted; it warns of nothing.

    With `empty`, so many rows at a time are deleted before the next ones are read. A read that ends with an error gives
    its text instead.
    """
    graphql_client._limiter = _Unlimited()  # noqa: SLF001 - of the module, not to be had otherwise
    kili = _kili(endpoint, key)
    fields = ["externalId", "id"] if ids else ["externalId"]

    def read(project: str) -> list[str] | str:
        try:
            rows = kili.assets(project, fields=fields, status_in=[status], as_generator=True, disable_tqdm=True)
            names: list[str] = []
            while part := list(itertools.islice(rows, empty or _ENDLESS)):
                if len(names) + len(part) >= _ENDLESS:
                    return f"no end after {_ENDLESS:,} rows"
                names += [row["externalId"] for row in part]
                if empty:
                    kili.delete_many_from_dataset(asset_ids=[row["id"] for row in part])
        except Exception as error:  # noqa: BLE001 - whatever it raises is what its user gets
            return str(error)
        return names

    return {"result": {project: (read(project), 0) for project in projects}}


class _Unlimited:
    def try_acquire(self, name: str) -> None:
        """Let it pass."""


if __name__ == "__main__":
    serve(
        {
            "read": read,
            "download": download,
            "upload": upload,
            "mutate": mutate,
            "append": append,
            "exactness": exactness,
        }
    )
