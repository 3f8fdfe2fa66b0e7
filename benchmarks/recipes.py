"""How much of the official SDK's own recipes runs against the sandbox.

python -m benchmarks.recipes SDK_CHECKOUT SDK_PYTHON [DOCUMENT ...]

``SDK_CHECKOUT`` is a checkout of the SDK's repository, ``SDK_PYTHON`` an interpreter that has the SDK. The recipes are
its notebooks (``recipes/*.ipynb``) and guides (``docs/sdk/tutorials/*.md``). Each runs in a process of its own,
statement by statement: one that fails ends neither its cell nor its document. What needs the network, another service,
a package or a file that is not there, or a value that the reader has to fill in, is counted as "outside", and so is
what fails after it in that document. "refused" are operations that the sandbox says it does not have.
"""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pandas_kili.sandbox import Sandbox

_SECONDS = 240  # for one document; some wait for a server in loops of a minute
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"\bkili\.(\w+)\(")
_WORKER = """
import ast, builtins, contextlib, getpass, io, json, os, pathlib, shutil, sys, types, urllib.request, warnings
warnings.simplefilter("ignore")
from kili.client import Kili
as_it_is = Kili.__init__
Kili.__init__ = lambda self, *_, **__: as_it_is(self)  # guides give keys such as "my-key"
builtins.input = getpass.getpass = lambda *_: os.environ["KILI_API_KEY"]
sys.modules["IPython.display"] = shown = types.ModuleType("IPython.display")
shown.__getattr__ = lambda name: lambda *args, **kwargs: None
retrieve = urllib.request.urlretrieve
def from_checkout(url, filename=None, *rest):
    file = pathlib.Path.cwd() / "recipes" / str(url).partition("/recipes/")[2]
    return shutil.copy(file, filename) if "/recipes/" in str(url) and file.is_file() else retrieve(url, filename, *rest)
urllib.request.urlretrieve = from_checkout
space = {"__name__": "__main__", "display": print}
outcomes = []
for source in json.load(sys.stdin):
    failure = None
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            statements = ast.parse(source).body
        except SyntaxError as error:
            statements, failure = [], ["SyntaxError", str(error)]
        for statement in statements:
            try:
                exec(compile(ast.Module([statement], []), "cell", "exec"), space)
            except BaseException as error:
                failure = failure or [type(error).__name__, str(error)[:300]]
    outcomes.append(failure)
    print(json.dumps(outcomes), flush=True)
"""
# What fails for want of a network, a package, a file, or a value that the reader has to fill in.
_OUTSIDE = re.compile(
    r"ModuleNotFoundError|ImportError|ConnectionError|MaxRetryError|URLError|Name or service not known|Max retries"
    r"|FileNotFoundError|does not exist|No project with id|of Id project_id"
)
_REFUSED = re.compile(r"not in the sandbox")


def cells(document: Path) -> list[str]:
    """Return the Python cells of a notebook or a guide, without what only a notebook's shell understands."""
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".ipynb":
        found = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    else:
        found = _BLOCK.findall(text)
    plain = (re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE) for source in found)
    return [source for source in plain if source.strip()]


def run(document: Path, python: Path, folder: Path) -> list[list[str] | None]:
    """Run a document in a sandbox of its own, and return for each cell None or the error's name and text."""
    sources = cells(document)
    with Sandbox(max_calls_per_minute=None) as sandbox, tempfile.TemporaryDirectory() as work:
        Path(work, "recipes").symlink_to(folder)
        environment = {**os.environ, **sandbox.environ, "HOME": work, "MPLBACKEND": "Agg", "KILI_SDK_SKIP_CHECKS": "1"}
        command = [str(python), "-c", _WORKER]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=work, env=environment
        )
        try:
            said, _ = process.communicate(json.dumps(sources), timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    outcomes: list[list[str] | None] = json.loads(said.splitlines()[-1]) if said else []
    return outcomes + [["Unfinished", "the document ended or hung here"]] * (len(sources) - len(outcomes))


def judged(sources: list[str], outcomes: list[list[str] | None]) -> collections.Counter[str]:
    """Count the cells that ran, that the sandbox refused by name, that need something from outside, and that failed.

    After the first cell that needs something from outside, the failures of a document may hang on that.
    """
    counts: collections.Counter[str] = collections.Counter()
    stored = "\n".join(sources)
    outside = False
    for outcome in outcomes:
        told = ": ".join(outcome or [])
        unknown = re.search(r"name '(\w+)' is not defined", told)
        given = unknown and re.search(rf"^(?:for )?{unknown[1]}\b *(?:=|,|in )", stored, re.MULTILINE)
        outside |= bool(_OUTSIDE.search(told) or (unknown and not given))
        if outcome is None:
            counts["ran"] += 1
        elif _REFUSED.search(told):
            counts["refused"] += 1
            outside = True
        else:
            counts["outside" if outside else "failed"] += 1
    return counts


def main() -> None:
    """Run the documents, print a line for each and for each failure, and the counts."""
    checkout, python, *wanted = map(Path, sys.argv[1:])
    documents = sorted([*checkout.glob("recipes/*.ipynb"), *checkout.glob("docs/sdk/tutorials/*.md")])
    total: collections.Counter[str] = collections.Counter()
    called: collections.Counter[str] = collections.Counter()
    for document in documents:
        if wanted and document.name not in map(str, wanted):
            continue
        sources, outcomes = cells(document), run(document, python.absolute(), (checkout / "recipes").absolute())
        counts = judged(sources, outcomes)
        total += counts + collections.Counter(documents=1, cells=len(sources))
        called += collections.Counter(set(_CALL.findall("\n".join(sources))))
        print(f"{document.name}: {dict(counts)}", flush=True)
        for place, outcome in enumerate(outcomes):
            if outcome:
                print(f"    cell {place}: {outcome[0]}: {' '.join(outcome[1].split())[:200]}")
    print(dict(total))
    print("documents that call each operation:", dict(called.most_common()))


if __name__ == "__main__":
    main()
