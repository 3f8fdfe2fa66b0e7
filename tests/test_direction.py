"""The package reads from top to bottom: each module imports only what comes before it."""

import ast
from pathlib import Path

import pytest

import pandas_kili

ROOT = Path(pandas_kili.__file__).parent
ROWS = (
    "errors parallel",
    "catalog.terms catalog.users catalog.projects catalog.labels catalog.issues catalog.assets catalog",
    "query query.fields query.category_search query.filters",
    "connection connection.settings connection.private_networks connection.rate_limit connection.document",
    "connection.transport connection.retry connection.verdict connection.server_schema connection.client",
    "progress",
    "reading reading.frame reading.windows reading.long_answers reading.crawl",
    "media.kinds media.inspection media.plan media.upload media.imports",
    "media.names media.ledger media.fetch media.download media",
    "reading.read",
    "tidy.answers tidy.answers.schema tidy.answers.json_values tidy.answers.geometry tidy.answers.columns",
    "tidy.answers.rows tidy.answers.shapes tidy.answers.parse tidy.answers.parse_bulk tidy.labels tidy.annotations",
    "tidy.answers.compose tidy tidy.metadata tidy.agreement",
    "writing writing.cells writing.delivery writing.identity writing.mutations writing.work writing.append_assets",
    "writing.append_labels writing.merge_metadata",
    "display.escaping display.palette display.choice display.decoder display.thumbnails display.decoding display.media",
    "display.overlay display.spans display.summary display.cards display.style display.gallery display",
    "display.plot accessor dask",
    "sandbox __main__ .",
)
ORDER = " ".join(ROWS).split()
PRESENT = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__").replace("__init__", ".")
    for path in ROOT.rglob("*.py")
)


def imported(module):
    path = ROOT.joinpath(*module.strip(".").split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        pairs = [(each.name, None) for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            pairs = [(node.module, each.name) for each in node.names]
        for package, name in pairs:
            head, _, tail = package.partition(".")
            if head == "pandas_kili":
                inner = f"{tail}.{name}".strip(".")
                yield inner if inner in PRESENT else tail or "."


@pytest.mark.parametrize("module", [name for name in PRESENT if not name.startswith("sandbox")])
def test_a_module_imports_only_earlier_ones(module):
    assert module in ORDER, f"{module} has no place in the reading order"
    earlier = ORDER[: ORDER.index(module)]
    names = [name if name in ORDER else name.partition(".")[0] for name in imported(module)]
    assert [name for name in names if name not in [*earlier, module]] == []


@pytest.mark.parametrize("module", [name for name in PRESENT if name.startswith("sandbox")])
def test_the_sandbox_knows_errors_and_the_client_and_never_the_catalog(module):
    assert {name for name in imported(module) if not name.startswith("sandbox")} <= {"errors", "connection.client"}
