"""The official SDK's parsed labels agree on what is a valid answer, as far as they look."""

import json
import random

import pytest
from answering import answer_to, changes, faults_of_each, interface_of

from pandas_kili.tidy.jobs import jobs_of

pytestmark = pytest.mark.conformance

SCRIPT = """
import json, sys
from kili.utils.labels.parsing import ParsedLabel
said = []
for interface, answer in json.load(sys.stdin):
    try:
        ParsedLabel({"jsonResponse": answer}, interface, "IMAGE")
        said.append(None)
    except Exception as error:
        said.append(str(error))
print(json.dumps(said))
"""
SEEDS = 60
REFUSED_BY_BOTH = {
    "letter of a category",
    "letter of a job",
    "wrong tool",
    "two classes",
    "the same class twice",
    "too few corners",
}
REFUSED_BY_US = {  # the SDK does not look at these, or only where a value is set
    "coordinate",
    "confidence",
    "end before its beginning",
    "relation to nothing",
    "no number",
    "letter of a point",
}


@pytest.fixture(scope="module")
def said(script_of_sdk):
    """Return of each answer what was changed in it, what the SDK says of it, and whether we refuse it."""
    cases, refused = [], []
    for seed in range(SEEDS):
        rng = random.Random(seed)
        interface = interface_of(rng)
        answer = answer_to(interface, rng)
        own = [("nothing", answer), *((what, changed) for what, _, changed in changes(interface, answer))]
        cases += [(what, interface, each) for what, each in own]
        refused += map(bool, faults_of_each([each for _, each in own], jobs_of(interface), is_whole=False))
    given = json.dumps([case[1:] for case in cases])
    errors = json.loads(script_of_sdk(SCRIPT, given))
    return [(what, error, ours) for (what, *_), error, ours in zip(cases, errors, refused, strict=True)]


def test_what_an_interface_allows_is_valid_for_both(said):
    assert [each for each in said if each[0] == "nothing"] == [("nothing", None, False)] * SEEDS


def test_what_the_sdk_refuses_is_refused(said):
    assert {what for what, error, _ in said if error is not None} == REFUSED_BY_BOTH
    assert [each for each in said if each[1] is not None and not each[2]] == []


def test_what_the_sdk_does_not_look_at_is_refused_too(said):
    assert {what for what, error, _ in said if error is None} == {"nothing", "missing required job", *REFUSED_BY_US}
    assert [each for each in said if each[0] in REFUSED_BY_US and not each[2]] == []
