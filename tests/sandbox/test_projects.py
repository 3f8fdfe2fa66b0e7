"""The sandbox keeps projects, members, tags and issues as Kili does."""

import pytest

from pandas_kili.errors import KiliGraphQLError
from pandas_kili.sandbox import Sandbox

PROJECTS = """query projects($where: ProjectWhere!) { data: projects(where: $where, first: 100, skip: 0) {
  id title instructions archivedAt minConsensusSize canSkipAsset metadataProperties numberOfAssets
  roles { role user { email } } } }"""
UPDATE = """mutation($where: ProjectWhere!, $data: ProjectData!) {
  data: updatePropertiesInProject(where: $where, data: $data) { id title archivedAt } }"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def execute(sandbox):
    return lambda document, **variables: sandbox.client.execute(document, variables)["data"]


@pytest.fixture
def project_id(sandbox):
    return sandbox.create_project("Cats", "TEXT")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Cats", "TEXTS"), "input_type is one of"),
        (("Cats", "TEXT", "[]"), "json_interface"),
        (("C", "TEXT", {}), "jobs"),
    ],
)
def test_what_is_no_project_is_refused(sandbox, arguments, said):
    if arguments[-1] == {}:
        arguments = (*arguments[:-1], '{"job": 1}')
    with pytest.raises(ValueError, match=said):
        sandbox.create_project(*arguments)


def test_properties_change_and_null_leaves_them(execute, project_id):
    data = {"title": "Dogs", "instructions": "Look twice.", "minConsensusSize": 3, "canSkipAsset": False}
    execute(UPDATE, where={"id": project_id}, data={**data, "metadataProperties": {"site": {"type": "string"}}})
    execute(UPDATE, where={"id": project_id}, data={"title": None, "canSkipAsset": None})
    (project,) = execute(PROJECTS, where={"id": project_id})
    assert {name: project[name] for name in data} == data
    assert project["metadataProperties"] == {"site": {"type": "string"}}


def test_a_variable_that_is_not_given_leaves_its_property(execute, project_id):
    document = """mutation($id: ID!, $title: String, $canSkipAsset: Boolean) {
      data: updatePropertiesInProject(where: {id: $id}, data: {title: $title, canSkipAsset: $canSkipAsset}) {
        title canSkipAsset }
    }"""
    assert execute(document, id=project_id, canSkipAsset=False) == {"title": "Cats", "canSkipAsset": False}


def test_archived_projects_are_told_apart(execute, project_id):
    execute(UPDATE, where={"id": project_id}, data={"archived": True})
    assert project_id in [each["id"] for each in execute(PROJECTS, where={"archived": True})]
    assert project_id not in [each["id"] for each in execute(PROJECTS, where={"archived": False})]
    assert execute(UPDATE, where={"id": project_id}, data={"archived": False})["archivedAt"] is None


def test_a_copy_has_the_interface_and_where_asked_for_the_assets(sandbox, execute, project_id):
    sandbox.add_assets(project_id, [{"externalId": "a", "content": "Meow."}, {"externalId": "b", "content": "Woof."}])
    copy = "mutation($data: CopyProjectData!) { data: copyProject(data: $data) }"
    bare = execute(copy, data={"projectId": project_id})
    full = execute(copy, data={"projectId": project_id, "shouldCopyAssets": True, "shouldCopyUsers": True})
    assert sandbox.assets(bare) == []
    assert [each["externalId"] for each in sandbox.assets(full)] == ["a", "b"]
    assert {each["id"] for each in sandbox.assets(full)}.isdisjoint(each["id"] for each in sandbox.assets(project_id))


def test_members_come_change_and_go(execute, project_id):
    append = """mutation($data: AppendToRolesData!, $where: ProjectWhere!) {
      data: appendToRoles(data: $data, where: $where) { id roles { role user { email } } } }"""
    roles = execute(append, data={"role": "REVIEWER", "userEmail": "eve@example.com"}, where={"id": project_id})[
        "roles"
    ]
    assert {"role": "REVIEWER", "user": {"email": "eve@example.com"}} in roles
    members = """query($where: ProjectUserWhere!) { data: projectUsers(where: $where, first: 100, skip: 0) {
      id role user { id email } } }"""
    (eve,) = execute(members, where={"project": {"id": project_id}, "user": {"email": "eve@example.com"}})
    change = """mutation($data: RoleData!, $where: ProjectUserWhere!) {
      data: updatePropertiesInRole(data: $data, where: $where) { role } }"""
    role = {"role": "TEAM_MANAGER", "projectID": project_id, "userID": eve["user"]["id"]}
    assert execute(change, data=role, where={"id": eve["id"]}) == {"role": "TEAM_MANAGER"}
    execute(
        "mutation($where: ProjectUserWhere!) { data: deleteFromRoles(where: $where) { id } }", where={"id": eve["id"]}
    )
    assert execute(members, where={"project": {"id": project_id}, "user": {"email": "eve@example.com"}}) == []


def test_tags_are_put_on_projects(execute, project_id):
    tag = execute(
        "mutation($data: TagData!) { data: createTag(data: $data) { id label color } }", data={"label": "wild"}
    )
    check = "mutation($data: CheckedTagData!) { data: checkTag(data: $data) { id } }"
    execute(check, data={"projectId": project_id, "tagId": tag["id"]})
    listed = "query($projectId: ID!) { data: listTagsByProject(projectId: $projectId) { label } }"
    assert execute(listed, projectId=project_id) == [{"label": "wild"}]
    assert [each["id"] for each in execute(PROJECTS, where={"tagIds": [tag["id"]]})] == [project_id]
    uncheck = "mutation($p: ID!, $t: ID!) { data: uncheckTag(projectId: $p, tagId: $t) { id } }"
    execute(uncheck, p=project_id, t=tag["id"])
    assert execute(listed, projectId=project_id) == []
    assert execute("mutation($t: ID!) { data: deleteTag(tagId: $t) }", t=tag["id"]) is True


def test_issues_are_raised_listed_and_solved(sandbox, execute, project_id):
    asset_id = sandbox.add_assets(project_id, [{"externalId": "a", "content": "Meow."}])[0]
    create = """mutation($issues: [IssueToCreate!]!, $where: AssetWhere!) {
      data: createIssues(issues: $issues, where: $where) { id } }"""
    issue = {"assetId": asset_id, "type": "QUESTION", "text": "Cat or dog?", "objectMid": "m1"}
    (made,) = execute(create, issues=[issue], where={"project": {"id": project_id}})
    listed = """query($where: IssueWhere!) { data: issues(where: $where, first: 100, skip: 0) {
      id status objectMid comments { text } author { email } } }"""
    (found,) = execute(listed, where={"project": {"id": project_id}, "type": "QUESTION"})
    assert (found["id"], found["objectMid"], found["comments"]) == (made["id"], "m1", [{"text": "Cat or dog?"}])
    solve = """mutation($data: IssueData!, $where: IssueWhere!) {
      data: updatePropertiesInIssue(data: $data, where: $where) { id } }"""
    execute(solve, data={"status": "SOLVED"}, where={"id": made["id"]})
    count = "query($where: IssueWhere!) { data: countIssues(where: $where) }"
    assert execute(count, where={"project": {"id": project_id}, "status": "OPEN"}) == 0
    with pytest.raises(KiliGraphQLError, match="No assets"):
        execute(create, issues=[{**issue, "assetId": "none"}], where={"project": {"id": project_id}})


def test_steps_are_added_renamed_changed_and_deleted(sandbox, execute):
    steps = [{"name": "Label"}, {"name": "Review", "type": "REVIEW"}]
    project_id = sandbox.create_project("Cats", "TEXT", workflow_version="V2", steps=steps)
    eve = sandbox.user_id("eve@example.com")
    listed = """query($where: ProjectWhere!) { data: projects(where: $where, first: 1, skip: 0) {
      steps { id name type order stepCoverage assignees { email } } } }"""

    def steps_now():
        return execute(listed, where={"id": project_id})[0]["steps"]

    add = "mutation($input: AddReviewStepInput!) { data: addReviewStep(input: $input) { steps { id name } } }"
    execute(add, input={"projectId": project_id, "name": "Second look", "assignees": [eve], "stepCoverage": 50})
    last = steps_now()[-1]
    assert (last["name"], last["type"], last["order"], last["stepCoverage"]) == ("Second look", "REVIEW", 2, 50)
    assert last["assignees"] == [{"email": "eve@example.com"}]
    assert {"email": "admin@sandbox.local"} in steps_now()[0]["assignees"], "a step that names no one is for everyone"

    rename = "mutation($input: RenameStepInput!) { data: renameStep(input: $input) { id } }"
    execute(rename, input={"projectId": project_id, "stepId": last["id"], "newName": "Third look"})
    edit = """mutation($input: EditProjectWorkflowSettingsInput!) {
      data: editProjectWorkflowSettings(input: $input) { id } }"""
    changes = {"deletes": [steps_now()[1]["id"]], "creates": [{"name": "Final", "type": "REVIEW"}]}
    execute(edit, input={"projectId": project_id, "steps": changes})
    assert [step["name"] for step in steps_now()] == ["Label", "Third look", "Final"]
    with pytest.raises(KiliGraphQLError, match="names of their own"):
        execute(add, input={"projectId": project_id, "name": "Final"})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{ data: listPlugins { name } }", "Plugins are not in the sandbox: listPlugins"),
        ("mutation($data: WebhookData!) { data: createWebhook(data: $data) }", "Webhooks are not in the sandbox"),
        ("mutation($input: CreateModelInput!) { createModel(input: $input) { id } }", "Models of LLM projects are not"),
        ("{ data: dataIntegrations(first: 10, skip: 0) { id } }", "Cloud storages are not in the sandbox"),
        ("query($where: ProjectVersionWhere!) { data: projectVersions(where: $where) { id } }", "Versions of projects"),
    ],
)
def test_what_is_not_in_the_sandbox_says_so_by_name_whatever_the_arguments(execute, document, told):
    with pytest.raises(KiliGraphQLError, match=told):
        execute(document)
