"""The official SDK makes a project in the sandbox, works in it, and takes it away."""

import pytest
from official_sdk import GENERATION, newest

from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.conformance


@pytest.fixture
def sandbox():
    with Sandbox(generation=GENERATION, max_calls_per_minute=None) as sandbox:
        yield sandbox


def test_a_project_from_its_creation_to_its_end(run):
    shown = run("""
        content = {"categories": {"CAT": {"children": [], "name": "Cat"}}, "input": "radio"}
        interface = {"jobs": {"KIND": {"content": content, "mlTask": "CLASSIFICATION", "required": 1}}}
        project_id = kili.create_project(title="Cats", input_type="TEXT", json_interface=interface)["id"]
        kili.update_properties_in_project(project_id, title="Cats and dogs", instructions="Look twice.")
        kili.append_to_roles(project_id=project_id, user_email="eve@example.com", role="REVIEWER")
        kili.append_many_to_dataset(project_id, content_array=["Meow."], external_id_array=["a"])
        asset_id = kili.assets(project_id, fields=["id"])[0]["id"]
        label = {"KIND": {"categories": [{"name": "CAT"}]}}
        kili.append_labels(project_id=project_id, asset_id_array=[asset_id], json_response_array=[label])
        label_id = kili.labels(project_id, fields=["id"])[0]["id"]
        kili.create_issues(project_id=project_id, label_id_array=[label_id], text_array=["A cat?"])
        issues = kili.issues(project_id, fields=["id", "type", "status"])
        kili.update_issue_status(issue_id=issues[0]["id"], status="SOLVED")
        users = kili.project_users(project_id, fields=["role", "user.email"])
        fields = ["title", "instructions", "jsonInterface", "numberOfAssets"]
        (project,) = kili.projects(project_id=project_id, fields=fields)
        kili.archive_project(project_id)
        archived = [each["id"] for each in kili.projects(archived=True, fields=["id"])] == [project_id]
        kili.delete_project(project_id)
        result = {
            "project": project,
            "interface": project["jsonInterface"] == interface,
            "issues": sorted(each["type"] for each in issues),
            "open": [each["type"] for each in kili.issues(project_id, fields=["type"], status="OPEN")],
            "reviewers": [each["user"]["email"] for each in users if each["role"] == "REVIEWER"],
            "archived": archived,
            "left": kili.count_projects(project_id=project_id),
        }
    """)
    project = shown.pop("project")
    assert (project["title"], project["instructions"], project["numberOfAssets"]) == ("Cats and dogs", "Look twice.", 1)
    assert shown == {
        "interface": True,
        "issues": ["ISSUE"],
        "open": [],
        "reviewers": ["eve@example.com"],
        "archived": True,
        "left": 0,
    }


@newest
def test_labels_go_to_a_named_step(run, sandbox):
    steps = [{"name": "Label"}, {"name": "Review", "type": "REVIEW"}]
    project_id = sandbox.create_project("Cats", "TEXT", workflow_version="V2", steps=steps)
    asset_id = sandbox.add_assets(project_id, [{"externalId": "a", "content": "Meow."}])[0]
    shown = run(
        """
        label = {"KIND": {"categories": [{"name": "CAT"}]}}
        kili.append_labels(project_id=given["project_id"], asset_id_array=[given["asset_id"]],
                           json_response_array=[label], step_name="Label")
        names = [step["name"] for step in kili.get_steps(given["project_id"])]
        result = [names, kili.assets(given["project_id"], fields=["currentStep.name"])]
        """,
        project_id=project_id,
        asset_id=asset_id,
    )
    assert shown == [["Label", "Review"], [{"currentStep": {"name": "Review"}}]]
