"""A job that runs every night: a table says how the project should be, and a plan makes it so.

1. Day 1: the table of a shop, a CSV file of 500 notes, becomes a project in a Kili that runs on this machine.
2. Day 2: the next file has new, changed and removed rows. The job compares it with the project and saves the plan,
   which a person or a CI job reads before anything is sent. Meanwhile a colleague changes a note in Kili.
3. Another job applies the plan. The server turns away in the middle; applying the plan again completes it, and nothing
   is done twice. What the colleague changed is kept, and told with both values.
4. The same table again: nothing differs but what the colleague changed.
5. It was the wrong file: the plan is taken back.

Neither account nor network is needed: ``python examples/nightly.py``. For a project of your own, leave out the sandbox
and `client=`, and take the id from the project's URL.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox

KEYS = ["customer", "language"]  # columns that become keys of the metadata; all other keys stay as they are


def main() -> None:
    """Run two nights, with all that can happen in them."""
    warnings.simplefilter("ignore", pk.KiliDeclinedWarning)  # the report is printed
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as name:
        folder, client = Path(name), sandbox.client
        write_files(folder)
        project_id = sandbox.create_project("Notes of customers", "TEXT")

        print("Day 1")
        plan_for(folder / "day1.csv", project_id, client).apply()

        print("\nDay 2: a plan for review")
        plan = plan_for(folder / "day2.csv", project_id, client)
        plan.save(folder / "plan.parquet")
        print(plan)
        colleague_writes(project_id, "note-002", priority=99, client=client)

        print("\nDay 2: the plan is applied")
        # The first change of properties gets through, all later ones are refused as if the key had been withdrawn.
        sandbox.inject(Fault("status", operation="updatePropertiesInAssets", nth=2, times=None, status=401))
        try:
            apply(folder / "plan.parquet", client)
        except pk.KiliMutationError as error:
            print(f"half-way: {summary(error.report)}")
        sandbox.clear_faults()
        plan = apply(folder / "plan.parquet", client)
        declined = plan.outcomes[plan.outcomes["outcome"] == "declined"]
        print("\n".join(declined["externalId"] + ": " + declined["message"]))

        print("\nDay 2, the same table again")
        plan_for(folder / "day2.csv", project_id, client)

        print("\nDay 3: it was the wrong file")
        plan.inverse().apply(delete=True, client=client)
        plan_for(folder / "day1.csv", project_id, client)


def plan_for(path: Path, project_id: str, client: pk.Client) -> pk.Plan:
    """Compare a table with the project."""
    table = pd.read_csv(path, dtype_backend="pyarrow")
    plan = table.kili.plan(project_id, metadata=KEYS, missing="delete", client=client)
    counts = ", ".join(f"{count} to {what}" for what, count in plan.summary.items() if count)
    print(f"{path.name}: {len(table)} rows, {counts or 'nothing to do'}")
    return plan


def apply(path: Path, client: pk.Client) -> pk.Plan:
    """Apply a plan that was reviewed."""
    plan = pk.read_plan(path)
    plan.apply(delete=plan.summary["delete"], client=client)
    print(f"{path.name}: {summary(plan.outcomes)}")
    return plan


def colleague_writes(project_id: str, name: str, priority: int, client: pk.Client) -> None:
    """Change an asset, as somebody does it in Kili meanwhile."""
    row = pd.DataFrame({"externalId": [name], "priority": [priority]})
    row.kili.update_properties_in_assets("priority", project_id=project_id, client=client)


def summary(report: pd.DataFrame) -> str:
    """Say how often there is which outcome."""
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(report["outcome"]).items()))


def write_files(folder: Path) -> None:
    """Write the tables of two days: on the second, 20 rows are new, 150 changed and 10 gone."""
    numbers = pd.Series(range(500))
    day1 = pd.DataFrame({"externalId": numbers.map("note-{:03}".format), "content": "Dear shop, ", "priority": 0})
    day1["content"] += day1["externalId"]
    day1["customer"] = numbers.mod(5).eq(0).map({True: "gold", False: "standard"})
    day1["language"] = "en"
    day1.to_csv(folder / "day1.csv", index=False)
    day2 = day1.iloc[:-10].copy()
    day2.loc[day2.index < 150, "priority"] = 10  # noqa: PLR2004 - as said above
    fresh = day2.head(20).assign(externalId=[f"new-{n:02}" for n in range(20)], language="fr")
    pd.concat([day2, fresh]).to_csv(folder / "day2.csv", index=False)


if __name__ == "__main__":
    main()
