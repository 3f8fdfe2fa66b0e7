"""Short texts with people, places and dates in them, and two labelers who mark these.

The labelers are simulated: Ada marks all there is, Ben now and then takes too little, too much, or nothing.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

import pandas_kili as pk

JOB = "ENTITIES"
CATEGORIES = ("PERSON", "PLACE", "DATE")
_NOTES = """
[Ada Lovelace|PERSON] was born in [London|PLACE] on [10 December 1815|DATE].
On [7 November 1867|DATE], [Marie Curie|PERSON] was born in [Warsaw|PLACE].
[Alan Turing|PERSON] worked at [Bletchley Park|PLACE] until [1945|DATE].
[Emmy Noether|PERSON] taught in [Göttingen|PLACE], without pay, from [1915|DATE] to [1919|DATE].
[Grace Hopper|PERSON] retired from the navy in [Boston|PLACE] on [14 August 1986|DATE].
In [1931|DATE], [Kurt Gödel|PERSON] was a lecturer in [Vienna|PLACE].
[Sofia Kovalevskaya|PERSON] left [Moscow|PLACE] for [Heidelberg|PLACE] in [1869|DATE].
The letter that [Charles Babbage|PERSON] sent to [Turin|PLACE] is lost.
[Hypatia|PERSON] lived in [Alexandria|PLACE]; of her books, none is left.
[Katherine Johnson|PERSON] was born on [26 August 1918|DATE] in [White Sulphur Springs|PLACE].
On [20 July 1969|DATE], [Margaret Hamilton|PERSON] was in [Cambridge|PLACE].
[Srinivasa Ramanujan|PERSON] came to [Cambridge|PLACE] on [14 April 1914|DATE].
[Évariste Galois|PERSON] died in [Paris|PLACE] on [31 May 1832|DATE], 20 years old.
[Mary Somerville|PERSON] wrote it in [Naples|PLACE], where she died in [1872|DATE].
No name, no place and no day is given in this one.
[Maria Agnesi|PERSON] never left [Milan|PLACE].
"""
_ENTITY = re.compile(r"\[([^|]+)\|(\w+)\]")


def notes() -> pd.DataFrame:
    """Return the texts: `externalId` and `content`."""
    contents = [_ENTITY.sub(r"\1", line) for line in _lines()]
    return pd.DataFrame({"externalId": [f"note-{n:02}" for n in range(len(contents))], "content": contents})


def entities() -> pd.DataFrame:
    """Return what there is to mark, a row each: `externalId`, `job`, `category`, `beginOffset` and `content`."""
    rows = []
    for number, line in enumerate(_lines()):
        taken = 0  # characters of markup before this entity
        for match in _ENTITY.finditer(line):
            content, category = match.groups()
            rows.append((f"note-{number:02}", JOB, category, match.start() - taken, content))
            taken += len(match[0]) - len(content)
    return pd.DataFrame(rows, columns=["externalId", "job", "category", "beginOffset", "content"])


def simulate_labels(seed: int = 3) -> pd.DataFrame:
    """Return the labels of Ada and Ben: `externalId`, `author` and `jsonResponse`."""
    truth = entities()
    labels = [_labels("ada@example.com", truth), _labels("ben@example.com", _as_ben(truth, seed))]
    return pd.concat(labels, ignore_index=True)


def interface() -> dict[str, object]:
    """Return what the project asks: the people, places and dates of each text."""
    categories = {name: {"name": name.title(), "children": []} for name in CATEGORIES}
    content = {"categories": categories, "input": "radio"}
    job = {"mlTask": "NAMED_ENTITIES_RECOGNITION", "instruction": "Who, where, when?", "required": 0}
    return {"jobs": {JOB: {**job, "content": content}}}


def _lines() -> list[str]:
    return _NOTES.strip().splitlines()


def _labels(author: str, marked: pd.DataFrame) -> pd.DataFrame:
    answers = pk.to_json_response(marked, by="externalId").reindex(notes()["externalId"], fill_value="{}")
    return answers.rename_axis("externalId").reset_index().assign(author=author)


def _as_ben(truth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return entities with slips: the year alone of a date, a place that goes on to the full stop, some left out."""
    marked = truth[np.random.default_rng(seed).random(len(truth)) > 0.1].copy()  # noqa: PLR2004 - one in ten
    text = marked["externalId"].map(notes().set_index("externalId")["content"])
    end = marked["beginOffset"] + marked["content"].str.len()
    stopped = np.array([whole[place : place + 1] == "." for whole, place in zip(text, end, strict=True)])
    too_much = (marked["category"] == "PLACE") & stopped
    marked.loc[too_much, "content"] += "."
    year = (marked["category"] == "DATE") & (marked.index % 2 == 0)
    cut = marked.loc[year, "content"].str.len() - 4
    marked.loc[year, "beginOffset"] += cut
    marked.loc[year, "content"] = marked.loc[year, "content"].str[-4:]
    return marked
