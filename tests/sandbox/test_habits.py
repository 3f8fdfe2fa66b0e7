"""Servers of other habits: capped pages, ties in any order, pages made in two looks, a skip that is not honored."""

import pytest

from pandas_kili.sandbox import Habits, Sandbox

ASSETS = (
    "query($where: AssetWhere!, $first: PageSize!, $skip: Int!)"
    " { data: assets(where: $where, first: $first, skip: $skip) { id externalId createdAt } }"
)
INSTANT = "2024-02-29T12:00:00.000Z"


def filled(rows=30, **habits):
    sandbox = Sandbox(habits=Habits(**habits)).start()
    project = sandbox.create_project("P", "TEXT")
    sandbox.add_assets(project, [{"externalId": f"{row:02}", "createdAt": INSTANT} for row in range(rows)])
    return sandbox, project


def names(sandbox, project, first=100, skip=0, **where):
    variables = {"where": {"project": {"id": project}, **where}, "first": first, "skip": skip}
    return [row["externalId"] for row in sandbox.client.execute(ASSETS, variables)["data"]]


def test_a_page_holds_no_more_than_the_cap():
    sandbox, project = filled(longest_page=7)
    with sandbox:
        assert len(names(sandbox, project)) == 7
        assert len(names(sandbox, project, first=3)) == 3


def test_ties_come_in_another_order_each_time():
    sandbox, project = filled(stable_ties=False)
    with sandbox:
        seen = [names(sandbox, project) for _ in range(5)]
    assert len({tuple(each) for each in seen}) > 1
    assert all(sorted(each) == [f"{row:02}" for row in range(30)] for each in seen)


@pytest.mark.parametrize(("habit", "first"), [("clamped", "05"), ("ignored", "00"), ("honored", "20")])
def test_skip_is_honored_clamped_or_ignored(habit, first):
    sandbox, project = filled(skip=habit, longest_skip=5)
    with sandbox:
        assert names(sandbox, project, skip=20)[0] == first


def test_what_changes_between_the_two_looks_makes_a_page_shorter():
    sandbox, project = filled(ids_first=True)
    with sandbox:
        ids = [row["id"] for row in sandbox.assets(project)]
        sandbox.between_looks(lambda: sandbox.set_asset(ids[4], status="LABELED"))
        sandbox.between_looks(lambda: sandbox.delete_assets([ids[5]]))
        assert names(sandbox, project, first=10, statusIn=["TODO"]) == [
            "00",
            "01",
            "02",
            "03",
            *["06", "07", "08", "09"],
        ]
        sandbox.clear_hooks()
        assert len(names(sandbox, project, first=10, statusIn=["TODO"])) == 10


def test_projects_are_found_in_two_looks_as_well():
    sandbox, project = filled(ids_first=True)
    with sandbox:
        query = "query($id: ID!) { data: projects(where: {id: $id}, first: 1, skip: 0) { id } }"
        assert sandbox.client.execute(query, {"id": project}) == {"data": [{"id": project}]}


def test_filters_by_creation_can_be_ignored():
    sandbox, project = filled(created_at_filters=False)
    with sandbox:
        assert len(names(sandbox, project, createdAtGte="2030-01-01")) == 30


def test_lists_can_be_in_the_order_of_insertion():
    with Sandbox(habits=Habits(by_creation=False)) as sandbox:
        project = sandbox.create_project("P", "TEXT")
        sandbox.add_assets(project, [{"externalId": f"{row}", "createdAt": f"202{9 - row}-01-01"} for row in range(4)])
        assert names(sandbox, project, first=3) == ["0", "1", "2"]
        assert names(sandbox, project, skip=2) == ["2", "3"]


def test_unknown_habits_are_refused():
    with pytest.raises(ValueError, match="clamped"):
        Habits(skip="never")
    with pytest.raises(ValueError, match="one row"):
        Habits(longest_page=0)
