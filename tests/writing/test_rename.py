"""New external ids, in whatever order they change hands."""

import pandas as pd
from writing import client_of, filled, outcomes, read, stored

from pandas_kili.sandbox import Fault, Sandbox


def test_external_ids_follow_a_renaming(sandbox):
    project, ids = filled(sandbox, 4)
    frame = read(sandbox, project)[["externalId", "id"]]
    frame["new"] = ["x", "y", "n2", "N0"]  # one keeps its name, one differs in case only
    out = frame.kili.change_asset_external_ids("new", client=client_of(sandbox))
    assert out["externalId"].tolist() == ["x", "y", "n2", "N0"]
    assert stored(sandbox, project, "externalId") == dict(zip(ids, ["x", "y", "n2", "N0"], strict=True))


def test_assets_are_renamed_by_their_old_names(sandbox):
    project, _ = filled(sandbox, 3)
    frame = pd.DataFrame({"externalId": ["n2", "n0"], "new": ["c", "a"]})
    out = frame.kili.change_asset_external_ids("new", project_id=project, client=client_of(sandbox))
    assert out["externalId"].tolist() == ["c", "a"]
    assert list(stored(sandbox, project, "externalId").values()) == ["a", "n1", "c"]


def test_names_move_along_a_chain_in_whatever_order_the_rows_come(sandbox):
    project, ids = filled(sandbox, 250)
    frame = pd.DataFrame({"id": ids, "new": [f"n{i + 1}" for i in range(250)]}).sample(frac=1, random_state=1)
    sandbox.inject(Fault("latency", operation="updatePropertiesInAssets", seconds=0.1))  # the others could overtake
    out = frame.kili.change_asset_external_ids("new", project_id=project, client=client_of(sandbox))
    assert outcomes(out) == ["applied"] * 250
    assert list(stored(sandbox, project, "externalId").values()) == [f"n{i + 1}" for i in range(250)]


def test_a_swap_is_the_servers_to_judge():
    for unique in (False, True):
        with Sandbox(generation="current", unique_external_ids=unique) as sandbox:
            project, ids = filled(sandbox, 3)
            frame = pd.DataFrame({"id": ids, "new": ["n1", "n0", "free"]})
            out = frame.kili.change_asset_external_ids(
                "new", project_id=project, client=client_of(sandbox), errors="report"
            )
            swapped = ["failed", "failed", "applied"] if unique else ["applied"] * 3
            assert outcomes(out) == swapped
            held = ["n0", "n1", "free"] if unique else ["n1", "n0", "free"]
            assert list(stored(sandbox, project, "externalId").values()) == held
