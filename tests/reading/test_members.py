"""Who works in a project."""

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

ADD = """mutation add($data: AppendToRolesData!, $where: ProjectWhere!) {
  data: appendToRoles(data: $data, where: $where) { id }
}"""


@pytest.fixture(params=["current", "legacy"])
def box(request):
    with Sandbox(generation=request.param, max_calls_per_minute=None) as box:
        yield box


def project_of(box, people):
    project_id = box.create_project("Team", "TEXT")
    for email, role in people.items():
        variables = {"data": {"userEmail": email, "role": role}, "where": {"id": project_id}}
        box.client.execute(ADD, variables)
    return project_id


def test_members_come_with_their_roles(box):
    project_id = project_of(box, {"ada@example.com": "REVIEWER", "bob@example.com": "LABELER"})
    members = pk.read_members(project_id, client=box.client)
    assert members.columns.tolist() == ["email", "userId", "firstname", "lastname", "role", "status"]
    assert {str(dtype) for dtype in members.dtypes} == {"string[pyarrow]"}
    assert members.attrs["kili"] == {"project_id": project_id, "api_endpoint": box.api_endpoint}
    roles = members.set_index("email")["role"].to_dict()
    assert roles["ada@example.com"] == "REVIEWER"
    assert roles["bob@example.com"] == "LABELER"
    assert members["userId"].is_unique
    assert box.user_id("bob@example.com") in members["userId"].tolist()


def test_more_members_than_a_page_are_all_read(box):
    people = {f"labeler-{number}@example.com": "LABELER" for number in range(120)}
    members = pk.read_members(project_of(box, people), client=box.client)
    assert people.keys() <= set(members["email"])
    assert members["email"].is_unique


def test_who_labeled_nothing_this_week_can_be_answered(box):
    project_id = project_of(box, {f"{name}@example.com": "LABELER" for name in ("ada", "bob", "cid")})
    texts = pd.DataFrame({"externalId": ["a", "b"], "content": ["One.", "Two."]})
    box.add_assets(project_id, texts)
    now = pd.Timestamp.now(tz="UTC")
    labels = texts.assign(
        jsonResponse="{}", author=["ada@example.com", "bob@example.com"], createdAt=[now, now - pd.Timedelta("8D")]
    )
    box.add_labels(labels, project_id=project_id)

    members = pk.read_members(project_id, client=box.client).query("role == 'LABELER'")
    week = now - pd.Timedelta("7D")
    labels = pd.read_kili(project_id, label_created_at_gte=week, client=box.client).kili.labels()
    idle = set(members["email"]) - set(labels.loc[labels["createdAt"] >= week, "author.email"])
    assert idle == {"bob@example.com", "cid@example.com"}


def test_a_project_that_is_not_there_is_named(box):
    with pytest.raises(pk.KiliNotFoundError, match="no-such-project"):
        pk.read_members("no-such-project", client=box.client)
    with pytest.raises(pk.KiliValidationError, match="project_id"):
        pk.read_members("", client=box.client)
