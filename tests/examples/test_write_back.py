"""The example of a nightly job: what it prints, and that the second run changes nothing."""

import importlib.util
from pathlib import Path

import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

PATH = Path(__file__).resolve().parents[2] / "examples" / "write_back.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("write_back", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_fails_half_way_recovers_and_then_finds_nothing_to_do(example, capsys):
    example.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "300 assets appended: 300 applied"
    assert lines[1].startswith(
        "Half-way: update_properties_in_assets: 100 applied, 0 declined, 0 failed, 200 not sent."
    )
    assert lines[2] == "200 rows given again: 200 applied"
    assert lines[4:7] == [
        "The second night",
        "  0 of 300 assets updated: nothing to do",
        " 60 of 300 assets sent to review: 60 applied",
    ]
    assert lines[8:11] == [
        "The third night",
        "  0 of 300 assets updated: nothing to do",
        "  0 of 300 assets sent to review: nothing to do",
    ]
    assert lines[12] == (
        "In the end: {'status': {'LABELED': 60, 'TODO': 180, 'TO_REVIEW': 60}, 'priority': {0: 240, 10: 60}}"
    )


def test_a_second_run_sends_no_mutation_and_leaves_the_project_as_it_is(example, capsys):
    with Sandbox() as sandbox:
        project_id = example.fill(sandbox)
        example.run(project_id, sandbox.client)
        before = sandbox.assets(project_id)
        sandbox.clear_requests()
        example.run(project_id, sandbox.client)
        assert sandbox.assets(project_id) == before
        assert not [each for each in sandbox.requests if (each.document or "").startswith("mutation")]
        frame = pk.read_kili(project_id, fields=["jsonMetadata"], client=sandbox.client)
        assert frame["jsonMetadata"][:2].tolist() == [
            '{"customer": "gold", "reason": "gold customer"}',
            '{"customer": "standard", "reason": "in order of arrival"}',
        ]
