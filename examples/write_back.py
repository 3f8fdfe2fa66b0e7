"""A job that runs every night: read a project, decide with pandas, write the decisions back.

1. 300 notes of customers become a project in a Kili that runs on this machine; two labelers answer the first 120.
2. The job reads the project and decides: notes of gold customers come first, every note gets a reason in its metadata,
   and where the labelers disagree, a reviewer shall look.
3. It writes the decisions back, each row as one change of one asset. In the middle of it, the server turns away:
   the error says what became of every row, and giving the rest again completes the work.
4. The job runs a second time, and finds nothing to change.

Neither account nor network is needed: ``python examples/write_back.py``. For a project of your own, leave out the
sandbox and `client=`, and take the id from the project's URL.
"""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox

FIELDS = ["id", "externalId", "status", "priority", "jsonMetadata", "labels.author.email", "labels.jsonResponse"]


def main() -> None:
    """Run the job until nothing is left to do."""
    with Sandbox() as sandbox:
        project_id = fill(sandbox)
        # The first change of properties gets through, all later ones are refused as if the key had been withdrawn.
        sandbox.inject(Fault("status", operation="updatePropertiesInAssets", nth=2, times=None, status=401))
        try:
            run(project_id, sandbox.client)
        except pk.KiliMutationError as error:
            print(f"Half-way: {error}")
            sandbox.clear_faults()
            rest = error.frame[error.report["outcome"] != "applied"]
            recover(rest, sandbox.client)
        for night in ("second", "third"):
            print(f"\nThe {night} night")
            run(project_id, sandbox.client)
        print("\nIn the end:", counts(pk.read_kili(project_id, fields=["status", "priority"], client=sandbox.client)))


def run(project_id: str, client: pk.Client) -> None:
    """Read, decide, write back: one chain for the properties, one for the review."""
    frame = pk.read_kili(project_id, fields=FIELDS, client=client)
    updated = (
        frame.pipe(with_decisions)
        .pipe(only_changed)
        .kili.update_properties_in_assets(priority="wantedPriority", json_metadata="wantedMetadata", client=client)
    )
    print(f"{len(updated):3} of {len(frame)} assets updated: {summary(updated)}")
    reviewed = frame[frame["status"].eq("LABELED") & disagreement(frame)].kili.add_to_review(client=client)
    print(f"{len(reviewed):3} of {len(frame)} assets sent to review: {summary(reviewed)}")


def recover(rest: pd.DataFrame, client: pk.Client) -> None:
    """Give the rows that were not applied again: what is there already is not done twice."""
    updated = rest.kili.update_properties_in_assets(
        priority="wantedPriority", json_metadata="wantedMetadata", client=client
    )
    print(f"{len(updated):3} rows given again: {summary(updated)}")


# ------------------------------------------------------------------------------------------------------- the decisions


def with_decisions(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the columns ``wantedPriority`` and ``wantedMetadata``."""
    metadata = [json.loads(text) for text in frame["jsonMetadata"]]
    gold = [entries["customer"] == "gold" for entries in metadata]
    reasons = ["gold customer" if is_gold else "in order of arrival" for is_gold in gold]
    return frame.assign(
        wantedPriority=[10 if is_gold else 0 for is_gold in gold],
        wantedMetadata=[{**entries, "reason": why} for entries, why in zip(metadata, reasons, strict=True)],
    )


def only_changed(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows whose decision is not what Kili has already: a second run then has none."""
    pairs = zip(frame["jsonMetadata"], frame["wantedMetadata"], strict=True)
    other_metadata = pd.Series([json.loads(held) != wanted for held, wanted in pairs], frame.index, dtype=bool)
    return frame[other_metadata | (frame["priority"] != frame["wantedPriority"])]


def disagreement(frame: pd.DataFrame) -> pd.Series:
    """Say for each asset whether its labels differ."""
    answers = frame["labels"].explode().dropna()
    answers = pd.Series([label["jsonResponse"] for label in answers], index=answers.index, dtype="string")
    different = answers.groupby(level=0).nunique().reindex(frame.index, fill_value=0)
    return different > 1


# ---------------------------------------------------------------------------------------------------------- the project


def fill(sandbox: Sandbox) -> str:
    """Make the project; return its id."""
    project_id = sandbox.create_project("Notes of customers", "TEXT")
    notes = pd.DataFrame({"externalId": [f"note-{i:03}" for i in range(300)]})
    notes["content"] = "Dear shop, " + notes["externalId"]
    notes["jsonMetadata"] = [{"customer": "gold" if i % 5 == 0 else "standard"} for i in range(300)]
    appended = notes.kili.append_many_to_dataset(project_id, client=sandbox.client)
    print(f"{len(appended):3} assets appended: {summary(appended)}")
    for author, praise in (("ada@example.com", 2), ("bob@example.com", 3)):
        answers = [
            {"TONE": {"categories": [{"name": "PRAISE" if i % praise == 0 else "COMPLAINT"}]}} for i in range(120)
        ]
        labels = notes[["externalId"]].head(120).assign(author=author, jsonResponse=answers)
        sandbox.add_labels(labels, project_id=project_id)
    return project_id


def summary(frame: pd.DataFrame) -> str:
    """Say how many rows came to which outcome."""
    outcomes = Counter(frame.kili.report["outcome"])
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "nothing to do"


def counts(frame: pd.DataFrame) -> dict[str, dict[object, int]]:
    """Return how often each value stands in each column."""
    return {str(name): frame[name].value_counts().sort_index().to_dict() for name in frame}


if __name__ == "__main__":
    main()
