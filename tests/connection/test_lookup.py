"""Names that only the server knows become ids before assets are asked for."""

import pandas as pd
import pytest

from pandas_kili import KiliFilterError, count_assets
from pandas_kili.sandbox import Sandbox


@pytest.fixture(scope="module")
def people():
    """A sandbox with nine labeled assets, the first three by Ada, the next three by Grace; Ada is assigned the last."""
    with Sandbox() as sandbox:
        project = sandbox.create_project("People", "TEXT")
        names = [f"t{number}" for number in range(9)]
        frame = pd.DataFrame({"externalId": names, "content": names})
        frame = frame.kili.append_many_to_dataset(project, client=sandbox.client)
        authors = ["ada@x.example"] * 3 + ["grace@x.example"] * 3
        labels = pd.DataFrame({"assetId": frame["id"][:6], "author": authors, "jsonResponse": "{}"})
        sandbox.add_labels(labels)
        last = frame[8:].assign(toBeLabeledBy=[["ada@x.example"]])
        last.kili.update_properties_in_assets("toBeLabeledBy", client=sandbox.client)
        yield sandbox, project


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"label_labeler_in": ["ada@x.example"]}, 3),
        ({"label_labeler_in": ["ADA@x.example", "grace@x.example"]}, 6),
        ({"label_labeler_not_in": ["ada@x.example"]}, 3),
        ({"assignee_in": ["ada@x.example"]}, 1),
        ({"assignee_not_in": ["ada@x.example"]}, 8),
        ({"assignee_in": ["ada@x.example"], "label_labeler_in": ["grace@x.example"]}, 0),
    ],
)
def test_people_are_named_by_their_addresses(people, filters, count):
    sandbox, project = people
    assert count_assets(project, client=sandbox.client, **filters) == count


def test_people_may_be_named_by_ids_beside_addresses(people):
    sandbox, project = people
    (grace,) = sandbox.client.execute(
        "query q($w: UserWhere!) { data: users(where: $w, first: 1, skip: 0) { id } }",
        {"w": {"email": "grace@x.example"}},
    )["data"]
    asked = {"label_labeler_in": ["ada@x.example", grace["id"]]}
    assert count_assets(project, client=sandbox.client, **asked) == 6


def test_an_unknown_address_is_refused_with_those_that_there_are(people):
    sandbox, project = people
    with pytest.raises(KiliFilterError, match=r"has no people 'adda@x.example': its people are .*'ada@x.example'"):
        count_assets(project, client=sandbox.client, assignee_in=["adda@x.example"])


def test_authors_are_named_by_their_names(people):
    sandbox, project = people
    with pytest.raises(KiliFilterError, match="label_labeler_in"):
        count_assets(project, client=sandbox.client, label_author_in=["ada@x.example"])
