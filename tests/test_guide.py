"""README and guide tell what is so. ``python tests/test_guide.py`` brings outputs and generated parts up to date."""

import contextlib
import inspect
import io
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili import errors
from pandas_kili.catalog import ENTITIES, EVENT_PAYLOADS
from pandas_kili.catalog.assets import FILTERS
from pandas_kili.catalog.reference import TAKES
from pandas_kili.catalog.terms import DATE, FLAG, REAL, TEXT, TEXTS, WHOLE
from pandas_kili.sandbox import Sandbox

if os.environ.get("LOWEST_VERSIONS"):  # of matplotlib and scikit-learn: they call what their neighbors deprecate
    pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "pandas_kili" / "catalog" / "README.md", *sorted((ROOT / "examples" / "guide").glob("*.md"))]
LINKED = [*PAGES, ROOT / "examples" / "README.md", ROOT / "CONTRIBUTING.md"]
EXAMPLE = re.compile(r"```python\n(?P<source>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
GENERATED = re.compile(r"(?P<head><!-- generated: (?P<name>\w+) -->\n)(?P<body>.*?)(?P<foot><!-- end -->)", re.DOTALL)

TYPES = {TEXT: "string", WHOLE: "int64", REAL: "double", FLAG: "bool", DATE: "timestamp", TEXTS: "list of string"}


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def with_choices(note, choices):
    return "; ".join(part for part in (note, ", ".join(f"`{choice}`" for choice in choices)) if part)


def filter_table():
    rows = [[f"`{x.keyword}`", TAKES[x.kind], with_choices(x.note, x.choices)] for x in FILTERS]
    return table(["keyword", "takes", "matches assets with or that are"], rows)


def column_type(field):
    if field.type is not None:
        return TYPES[field.type]
    return f"list of {field.to}" if field.many else field.to


def field_table(name):
    rows = [[f"`{x.name}`", column_type(x), with_choices(x.note, x.choices)] for x in ENTITIES[name].fields]
    return table(["field", "type", ""], rows)


def nested_tables():
    names = [name for name in ENTITIES if name != "Asset"]
    return "\n".join(f"**{name}**\n\n{field_table(name)}" for name in names)


def event_table():
    rows = [[f"`{subject}`", ", ".join(f"`{name}`" for name in names)] for subject, names in EVENT_PAYLOADS.items()]
    return table(["subject", "payload"], rows)


def error_tree():
    tree = inspect.cleandoc(errors.__doc__).partition("::\n\n")[2]
    return f"```text\n{inspect.cleandoc(tree)}\n```\n"


def default_fields():
    return ", ".join(f"`{field}`" for field in pk.DEFAULT_FIELDS) + "\n"


PARTS = {
    "filters": filter_table,
    "assets": lambda: field_table("Asset"),
    "nested": nested_tables,
    "defaults": default_fields,
    "events": event_table,
    "errors": error_tree,
}


def regenerated(text):
    return GENERATED.sub(lambda part: f"{part['head']}{PARTS[part['name']]()}{part['foot']}", text)


def outputs(text):
    """Run the examples in order, as one session, and return what each prints."""
    namespace, printed = {}, []
    try:
        for example in EXAMPLE.finditer(text):
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(example["source"], namespace)
            printed.append(stdout.getvalue())
    finally:
        for value in namespace.values():
            if isinstance(value, Sandbox):
                value.stop()
    return printed


def rewritten(text):
    printed = iter(outputs(text))

    def example(match):
        output = next(printed)
        return f"```python\n{match['source']}```\n" + (f"\n```text\n{output}```\n" if output else "")

    return regenerated(EXAMPLE.sub(example, text))


@pytest.fixture(scope="module")
def readme():
    return README.read_text(encoding="utf-8")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if EXAMPLE.search(page.read_text("utf-8"))], ids=name_of)
def test_the_examples_print_what_the_page_shows(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("KILI_API_KEY", "KILI_API_ENDPOINT"):
        monkeypatch.setenv(name, "restored after the page, which sets it")
    text = page.read_text(encoding="utf-8")
    shown = [example["output"] or "" for example in EXAMPLE.finditer(text)]
    assert outputs(text) == shown
    assert any(shown)


def test_every_part_that_can_be_generated_is_there_and_up_to_date():
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    assert {part["name"] for text in texts.values() for part in GENERATED.finditer(text)} == set(PARTS)
    for page, text in texts.items():
        assert regenerated(text) == text, name_of(page)


def test_the_readme_is_read_to_its_end(readme):
    assert len(readme.splitlines()) <= 180


def test_the_recipes_are_nine_jobs_of_less_than_ten_lines_each(readme):
    text = (ROOT / "examples" / "guide" / "recipes.md").read_text(encoding="utf-8")
    jobs = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    lines = {job.partition("\n")[0]: re.findall(r"```py(?:thon)?\n(.*?)```", job, re.DOTALL) for job in jobs}
    assert len(lines) == 9
    for job, blocks in lines.items():
        assert 1 <= len([line for block in blocks for line in block.splitlines() if line]) < 10, job
    assert "(examples/guide/recipes.md)" in readme


def test_the_tests_and_benchmarks_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tests = {f"tests/{name}" for name in re.findall(r"`((?:\w+/)?test_\w+\.py)\b", text)}
    benchmarks = {f"benchmarks/{name}.py" for name in re.findall(r"-m benchmarks\.(\w+)", text)}
    assert len(tests) > 20
    assert len(benchmarks) >= 4
    assert [name for name in sorted(tests | benchmarks) if not (ROOT / name).exists()] == []


def test_the_first_block_is_the_two_commands(readme):
    first = readme.split("```")[1].splitlines()
    assert first[0] == "sh"
    assert len(first) == 3
    assert first[1].endswith("examples/quickstart.py")
    assert first[2].endswith("pytest")


def test_ci_runs_the_second_command(readme):
    line = next(line for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines() if "README.md" in line)
    script = f'{line}; printf %s "$command"'
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found == readme.split("```")[1].splitlines()[2]


def headings(text):
    """Return the places that links can lead to, as code hosts name them."""
    titles = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    assert all(hasattr(pk, name) for name in re.findall(r"\bpk\.(\w+)", text) if name != "sandbox")
    assert all(hasattr(pk.KiliAccessor, name) for name in re.findall(r"\bdf\.kili\.(\w+)", text))
    links = [link.partition("#") for link in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)]
    assert [path for path, _, _ in links if not (page.parent / path).exists()] == []
    for path, _, place in links:
        assert not place or place in headings((page.parent / path).read_text(encoding="utf-8")), f"{path}#{place}"


def test_pandas_reads_with_the_function_of_the_package():
    assert pd.read_kili is pk.read_kili


if __name__ == "__main__":
    for path in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            current = rewritten(path.read_text(encoding="utf-8"))
        path.write_text(current, encoding="utf-8")
