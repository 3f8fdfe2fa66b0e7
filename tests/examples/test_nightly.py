"""The example of a nightly job: what it prints, and what the project holds in the end."""

import importlib.util
import re
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "examples" / "nightly.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("nightly", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_nights_end_where_they_began(example, capsys):
    example.main()
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[:2] == ["Day 1", "day1.csv: 500 rows, 500 to append"]
    assert "day2.csv: 510 rows, 20 to append, 170 to update, 10 to delete" in lines
    done, left = re.search(r"^half-way: (\d+) applied, 1 declined, (\d+) not_sent$", text, re.MULTILINE).groups()
    assert int(done) + int(left) == 179
    assert f"plan.parquet: {int(left) + 20} applied, 1 declined, {done} unchanged" in lines
    assert "note-002: changed by others since the plan: priority was 0, is 99, was to become 10" in lines
    assert lines[-5:] == [
        "Day 2, the same table again",
        "day2.csv: 510 rows, 1 to update",
        "",
        "Day 3: it was the wrong file",
        "day1.csv: 500 rows, 1 to update",
    ]
