"""Read a labeled project into pandas and find out whom to trust, with a Kili that runs on this machine.

1. 1,797 handwritten digits become the assets of a project in a sandbox; three labelers answer each of them.
2. `pd.read_kili` reads the project into a frame.
3. Plain pandas says who errs how often, what a majority vote gains, and which digits are mistaken for which.
4. A page with the most disputed pictures is written, and the result as Parquet and CSV files.

Neither account nor network is needed: ``python examples/quickstart.py``
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from digits import ERROR_RATES, JOB, interface, simulate_answers, write_pictures
from digits_page import page_of
from tqdm.auto import tqdm

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox


def main() -> None:
    """Run the example from end to end."""
    chosen = parse_arguments()
    start = time.perf_counter()
    with Sandbox() as sandbox:
        os.environ.update(sandbox.environ)
        project_id = fill(sandbox, chosen.out / "digits", chosen.assets)

        read = time.perf_counter()
        frame = pk.read_kili(project_id)  # pd.read_kili is the same function
        print_frame(frame, time.perf_counter() - read)

        findings = analyze(frame)
        print_findings(findings)
        disputed = findings.assets.nlargest(24, ["dispute"])
        pictures = [sandbox.client.get(url) for url in tqdm(disputed["content"], desc="fetching", disable=None)]
    paths = write(chosen.out, findings, disputed, pictures)
    print(f"Done in {time.perf_counter() - start:.0f} s. The result:", *paths, sep="\n  ")


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here / "out", metavar="DIR", help="where to write the result")
    parser.add_argument("--assets", type=int, default=1797, metavar="N", help="how many digits to take (1 to 1797)")
    chosen = parser.parse_args()
    if not 1 <= chosen.assets <= 1797:  # noqa: PLR2004 - there are no more
        parser.error("--assets must be within 1 and 1797")
    return chosen


# ------------------------------------------------------------------------------------------------ a project to read


def fill(sandbox: Sandbox, folder: Path, most: int) -> str:
    """Make a project of digits and of what the labelers say about them; return its id."""
    project_id = pk.create_project("Handwritten digits", "IMAGE", interface())
    pictures = write_pictures(folder, most)
    pictures.kili.append_many_to_dataset(project_id, content="path", json_metadata=["truth"])
    sandbox.add_labels(simulate_answers(pictures), project_id=project_id)
    return project_id


# ---------------------------------------------------------------------------------------------- what is found in it


@dataclass(frozen=True)
class Findings:
    """What the frame tells: one row an answer, one row an asset, and the tables made of them."""

    answers: pd.DataFrame
    assets: pd.DataFrame
    labelers: pd.DataFrame
    consensus: pd.DataFrame
    confusion: pd.DataFrame


def analyze(frame: pd.DataFrame) -> Findings:
    """Find out who errs, what a majority vote gains, and what is mistaken for what."""
    answers = answers_in(frame)
    assets = judge_assets(frame, answers)
    confusion = pd.crosstab(answers["truth"], answers["answer"])
    return Findings(answers, assets, judge_labelers(answers), judge_votes(assets), confusion)


def answers_in(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each label: the `asset` (its row in the frame), `author`, `answer` and `truth`."""
    said = frame.kili.annotations(wide=True)  # a row a label, a column a job
    answers = said[["author"]].assign(answer=said[JOB], truth=truths(frame))
    answers["wrong"] = answers["answer"] != answers["truth"]
    return answers.rename_axis("asset").reset_index()


def truths(frame: pd.DataFrame) -> pd.Series:
    """Return the truth about each asset, which its metadata holds."""
    return frame.kili.metadata()["truth"]


def judge_assets(frame: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each asset: its truth, each labeler's answer, the majority and how disputed it is."""
    votes = answers.groupby(["asset", "answer"]).size().rename("votes").reset_index("answer")
    leading = votes.sort_values("votes").groupby("asset").last()
    by_asset = answers.groupby("asset")
    return frame[["externalId", "content"]].assign(
        truth=truths(frame),
        **answers.pivot_table(index="asset", columns="author", values="answer", aggfunc="first"),
        majority=leading["answer"].where(leading["votes"] > by_asset.size() / 2),  # null where all differ
        dispute=by_asset["wrong"].sum() + by_asset["answer"].nunique() - 1,
    )


def judge_labelers(answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each labeler, the one who disagrees with the truth most comes first."""
    favorite = mistakes(answers, ["author", "truth", "answer"]).drop_duplicates("author").set_index("author")
    labelers = answers.groupby("author")["wrong"].agg(labels="size", wrong="sum", observed="mean")
    labelers.insert(2, "stated", pd.Series(ERROR_RATES))
    labelers["most often"] = favorite["truth"] + " read as " + favorite["answer"]
    return labelers.sort_values("observed", ascending=False)


def mistakes(answers: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Count the wrong answers by these columns, the most frequent first."""
    counts = answers[answers["wrong"]].groupby(by).size()
    return counts.sort_values(ascending=False, kind="stable").rename("times").reset_index()


def judge_votes(assets: pd.DataFrame) -> pd.DataFrame:
    """Return how many assets one labeler gets wrong, and how many the majority does."""
    wrong = {author: (assets[author] != assets["truth"]).sum() for author in ERROR_RATES}
    by_majority = (assets["majority"].notna() & (assets["majority"] != assets["truth"])).sum()
    undecided = assets["majority"].isna().sum()
    counts = {
        "one labeler, on average": (sum(wrong.values()) / len(wrong), 0),
        f"the best labeler ({min(wrong, key=wrong.get)})": (min(wrong.values()), 0),
        "majority vote": (by_majority, undecided),
    }
    table = pd.DataFrame.from_dict(counts, orient="index", columns=["wrong", "undecided"])
    return table.assign(rate=table["wrong"] / len(assets))


# ------------------------------------------------------------------------------------------------------ what is shown


def print_frame(frame: pd.DataFrame, seconds: float) -> None:
    """Print what was read."""
    labels = int(frame["labels"].list.len().sum())
    print(f"Read {len(frame):,} assets with {labels:,} labels in {seconds:.1f} s. Columns of the frame:\n")
    print(*(f"  {name:<13} {str(dtype)[:100]}" for name, dtype in frame.dtypes.items()), sep="\n")


def print_findings(findings: Findings) -> None:
    """Print the findings as plain tables."""
    percent = {
        "stated": "{:.1%}".format,
        "observed": "{:.1%}".format,
        "rate": "{:.1%}".format,
        "wrong": "{:.0f}".format,
    }
    print("\nWho disagrees with the truth, most first:\n")
    print(findings.labelers.rename_axis(None).to_string(formatters=percent))
    print("\nWhat a vote gains:\n")
    print(findings.consensus.to_string(formatters=percent))
    print("\nWhich digits are confused (rows: the truth, columns: the answers, dots: none):\n")
    print(findings.confusion.astype("string").replace("0", ".").to_string())
    print("\nThe most frequent mistakes:\n")
    most = mistakes(findings.answers, ["truth", "answer"]).head(5)
    print("none" if most.empty else most.to_string(index=False), end="\n\n")


def write(out: Path, findings: Findings, disputed: pd.DataFrame, pictures: list[bytes]) -> list[Path]:
    """Write the page and the files; return their paths."""
    paths = [out / f"quickstart.{ending}" for ending in ("html", "parquet", "csv")]
    page, parquet, csv = paths
    tables = (findings.labelers, findings.consensus, findings.confusion)
    page.write_text(page_of(*tables, disputed, pictures, list(ERROR_RATES)), encoding="utf-8")
    findings.assets.to_parquet(parquet)
    findings.assets.to_csv(csv, index=False)
    return paths


if __name__ == "__main__":
    main()
