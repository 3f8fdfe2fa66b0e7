"""The command line: ``python -m pandas_kili sandbox`` runs a local Kili, ``sync`` refreshes a copy of a project."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from pandas_kili import __version__
from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.copy import sync
from pandas_kili.errors import KiliError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas_kili.sandbox import Sandbox

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` spell, by default those of the process, and return its exit status."""
    chosen = _parser().parse_args(arguments)
    status: int = chosen.run(chosen)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pandas-kili", description="Kili projects as pandas frames.")
    parser.add_argument("--version", action="version", version=f"pandas-kili {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    sandbox = commands.add_parser("sandbox", help="serve a local Kili on loopback until interrupted")
    sandbox.add_argument(
        "--path", metavar="DIR", help="folder that keeps data and key; without it, they are gone at the end"
    )
    sandbox.add_argument(
        "--project", metavar="TITLE:TYPE", action="append", default=[], help='create a project, such as "Digits:IMAGE"'
    )
    sandbox.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on; any free one by default")
    sandbox.set_defaults(run=_serve_sandbox)
    refreshing = commands.add_parser(
        "sync",
        help="make or refresh a copy of a project, a Delta table",
        description="Make or refresh a copy of a project, a Delta table. The last line of output says what was done.",
        epilog="KILI_API_KEY holds the key, KILI_API_ENDPOINT the server; an object store takes its own variables, such"
        " as AWS_ACCESS_KEY_ID. The exit status is 0; 1 where it failed, with the reason on stderr; 2 for wrong"
        " arguments. It may be run again at any time.",
    )
    refreshing.add_argument("project", help="identifier of the project")
    refreshing.add_argument("copy", help="folder of the copy, or its address in an object store")
    refreshing.add_argument(
        "--field", action="append", metavar="PATH", help="a field to copy instead of the default ones; may be repeated"
    )
    refreshing.add_argument("--verify", action="store_true", help="compare all with the project, and repair the copy")
    refreshing.add_argument("--full", action="store_true", help="make the copy anew, also with other fields")
    refreshing.set_defaults(run=_sync)
    return parser


def _sync(chosen: argparse.Namespace) -> int:
    fields = chosen.field or DEFAULT_FIELDS
    try:
        report = sync(chosen.project, chosen.copy, fields=fields, verify=chosen.verify, full=chosen.full)
    except (KiliError, ImportError) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Run it again: what is copied already is kept.", file=sys.stderr, flush=True)
        os._exit(128 + signal.SIGINT)  # a call that hangs is not waited for: it only reads
    print(report)
    return 0


def _serve_sandbox(chosen: argparse.Namespace) -> int:
    try:
        from pandas_kili.sandbox import Sandbox  # noqa: PLC0415 - an optional dependency, needed by this command only
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        sandbox = Sandbox(chosen.path, port=chosen.port).start()
    except OSError as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        return 1
    try:
        projects = [_create_project(sandbox, text) for text in chosen.project]
    except ValueError as error:
        print(error, file=sys.stderr)
        sandbox.stop()
        return 1
    print(f"A local Kili is serving at {sandbox.api_endpoint} with the key {sandbox.api_key}\n")
    print(f"export KILI_API_ENDPOINT={sandbox.api_endpoint}")
    print(f"export KILI_API_KEY={sandbox.api_key}\n")
    for title, project_id in projects:
        print(f"The project {title!r} has the id {project_id}")
    sys.stdout.flush()
    stopping.wait()
    sandbox.stop()
    return 0


def _create_project(sandbox: Sandbox, text: str) -> tuple[str, str]:
    """Create the project that ``TITLE:TYPE`` names; return its title and id."""
    title, _, input_type = text.rpartition(":")
    if not title:
        raise ValueError(f'--project takes a title and an input type, such as "Digits:IMAGE"; got {text!r}')
    return title, sandbox.create_project(title, input_type)


if __name__ == "__main__":
    sys.exit(main())
