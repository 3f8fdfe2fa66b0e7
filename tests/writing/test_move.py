"""Assets sent to review, back to the queue, or away."""

import pandas as pd
import pytest
from writing import VERBS, client_of, filled, outcomes, read, sent, stored

import pandas_kili as pk


def test_assets_are_deleted_and_no_others(sandbox):
    project, ids = filled(sandbox, 5)
    frame = pd.DataFrame({"id": [ids[3], ids[0]]})
    assert outcomes(frame.kili.delete_many_from_dataset(client=client_of(sandbox))) == ["applied"] * 2
    assert list(stored(sandbox, project, "id")) == [ids[1], ids[2], ids[4]]


def test_what_is_deleted_already_is_unchanged_by_id_and_by_external_id(sandbox):
    project, ids = filled(sandbox, 3)
    sandbox.delete_assets(ids[:1])
    frame = pd.DataFrame({"id": [ids[0], ids[2], ids[2], "unknown"]})
    client = client_of(sandbox)
    assert outcomes(frame.kili.delete_many_from_dataset(client=client)) == [
        "unchanged",
        "applied",
        "applied",
        "unchanged",
    ]
    named = pd.DataFrame({"externalId": ["n0", "n1", "n2"]})
    out = named.kili.delete_many_from_dataset(project_id=project, client=client)
    assert outcomes(out) == ["unchanged", "applied", "unchanged"]
    sandbox.clear_requests()
    again = named.kili.delete_many_from_dataset(project_id=project, client=client)
    assert outcomes(again) == ["unchanged"] * 3
    assert sent(sandbox) == []


def test_review_takes_what_is_labeled_and_declines_the_rest(sandbox):
    project, ids = filled(sandbox, 6, labeled=[0, 1, 2])
    sandbox.set_asset(ids[2], status="TO_REVIEW")
    sandbox.add_labels(pd.DataFrame({"assetId": ids[5:], "jsonResponse": "{}", "labelType": "PREDICTION"}))
    frame = read(sandbox, project)
    with pytest.warns(pk.KiliDeclinedWarning, match="add_to_review: 3 of 6 rows declined") as told:
        out = frame.kili.add_to_review(client=client_of(sandbox))
    assert [one.filename for one in told] == [__file__]
    assert outcomes(out) == ["applied"] * 3 + ["declined"] * 3
    assert out["status"].tolist() == ["TO_REVIEW"] * 3 + ["TODO"] * 3
    assert list(stored(sandbox, project, "status").values()) == ["TO_REVIEW"] * 3 + ["TODO"] * 3
    assert out.kili.report["message"].tolist()[3] == "it has no label to review"


def test_the_queue_takes_what_was_labeled_and_leaves_what_is_in_it(sandbox):
    project, ids = filled(sandbox, 5, labeled=[0, 1, 2])
    sandbox.set_asset(ids[2], status="ONGOING")
    frame = read(sandbox, project)
    out = frame.kili.send_back_to_queue(client=client_of(sandbox))
    assert outcomes(out) == ["applied"] * 3 + ["unchanged"] * 2
    assert out["status"].tolist() == ["ONGOING"] * 3 + ["TODO"] * 2
    assert list(stored(sandbox, project, "status").values()) == ["ONGOING"] * 3 + ["TODO"] * 2


@pytest.mark.parametrize("verb", ["delete", "review", "queue"])
def test_an_asset_given_in_several_rows_is_sent_once(sandbox, verb):
    project, ids = filled(sandbox, 2, labeled=[0, 1])
    sandbox.clear_requests()
    frame = pd.DataFrame({"id": [ids[1], None, ids[0], ids[1]], "externalId": ["?", "n1", None, None]})
    out = VERBS[verb](frame, project_id=project, client=client_of(sandbox))
    assert outcomes(out) == ["applied"] * 4
    (variables,) = sent(sandbox)
    assert sorted(variables["where"]["idIn"]) == sorted(ids)
