"""Run all questions that have a goal, and print one table: `python -m benchmarks [--quick] [--only NAME ...]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.contest import HEAD, SDK, Line, Terms, add_options

QUESTIONS = (
    "parse",
    "read_cpu",
    "read_wall",
    "answers",
    "resident",
    "media",
    "chunks",
    "mutations",
    "append",
    "importing",
    "sustained",
)
OTHERS = {  # they have tables of their own
    "annotations": "annotations a second: `python -m benchmarks.annotations`",
    "crash": "processes killed while they write: `python -m benchmarks.crash`",
    "crash_server": "the server killed while it is written to: `python -m benchmarks.crash_server`",
    "exactness": "reads while others write: `python -m benchmarks.exactness`",
    "formats": "training data out: `python -m benchmarks.formats`",
    "files": "files in and out: `python -m benchmarks.files`",
    "plan": "a frame as the desired state: `python -m benchmarks.plan`",
    "soak": "reads and writes while every tenth request fails: `python -m benchmarks.soak`",
    "sync": "a copy refreshed beside a full read: `python -m benchmarks.sync`",
    "write_prepare": "preparing rows for a mutation: `python -m benchmarks.write_prepare`",
}
_README = Path(__file__).with_name("README.md")
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    """Ask, print, and write down where that is wanted."""
    options = _options()
    terms = Terms(options.quick, options.sdk_python)
    print(HEAD, flush=True)
    lines: list[Line] = []
    for name in options.only or QUESTIONS:
        start = time.monotonic()
        found = importlib.import_module(f"benchmarks.{name}").ask(terms)
        for line in found:
            print(line.text(), flush=True)
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
        lines += found
    if options.write:
        _write(lines)


def _options() -> argparse.Namespace:
    others = "\n".join(f"  {text}" for name, text in OTHERS.items() if Path(__file__).with_name(f"{name}.py").exists())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"not among them:\n{others}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, metavar="NAME", help=", ".join(QUESTIONS))
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    return parser.parse_args()


def _write(lines: list[Line]) -> None:
    """Put lines into the table, in the place of those of the same goals; say which run each line is from."""
    readme = _README.read_text(encoding="utf-8")
    goals = {line.goal for line in lines}
    table = _TABLE.search(readme)
    rows_before = re.findall(r"^\| \d.*", table[0], re.MULTILINE) if table else []
    kept = [row for row in rows_before if row.split()[1] not in goals]
    rows = sorted([*kept, *(line.text() for line in lines)], key=lambda row: int(row.split()[1]))
    earlier = re.findall(r"^\* goals .*", readme, re.MULTILINE) if kept else []
    load = os.getloadavg()[2]
    run = f"* goals {', '.join(sorted(goals, key=int))}: `{_command()}`, {_machine()}, load {load:.1f} at the end"
    runs = "\n".join([*earlier, run])
    text = f"\nThe runs; where two name a goal, its lines are from the later one:\n\n{runs}\n\n"
    text += "\n".join([HEAD, *rows]) + "\n\n"
    _README.write_text(_TABLE.sub(lambda _: text, readme), encoding="utf-8")


def _command() -> str:
    words = list(sys.argv[1:])
    if "--sdk-python" in words:
        place = words.index("--sdk-python")
        del words[place : place + 2]  # a path of this machine
    return shlex.join(["python", "-m", "benchmarks", *words])


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pandas", "pyarrow", "requests", "orjson"))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {libraries}, kili {SDK}"


if __name__ == "__main__":
    main()
