"""Handwritten digits as PNG files, and labelers who read them, some better than others.

The pictures are the 1,797 digits that come with scikit-learn: 8 by 8 pixels, each with the digit that its writer meant.
The labelers are simulated. Each errs at a stated rate, more often on pictures that look like another digit, and then
answers a digit that the picture looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits
from tqdm import tqdm

ERROR_RATES = {"ada@example.com": 0.04, "ben@example.com": 0.07, "cleo@example.com": 0.10}
JOB = "CLASSIFICATION_JOB"
PACES = {"ada@example.com": 40, "ben@example.com": 48, "cleo@example.com": 56}  # pictures a day
HASTE = {"ada@example.com": 0.03, "ben@example.com": 0.05, "cleo@example.com": 0.2}  # errors at these paces
SIDE = 64  # pixels; the originals are enlarged to be seen


def write_pictures(folder: Path, most: int | None = None) -> pd.DataFrame:
    """Write digits as PNG files; return a frame of `externalId`, `path` and `truth`."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    rows = []
    pairs = zip(digits.images[:most], digits.target[:most], strict=True)
    for number, (pixels, truth) in enumerate(tqdm(list(pairs), desc="drawing", unit="picture", disable=None)):
        path = folder / f"digit-{number:04}.png"
        ink = 255 - np.rint(pixels * 255 / 16).astype("uint8")  # 0 is paper and 16 is ink in the originals
        Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
        rows.append({"externalId": path.stem, "path": str(path), "truth": str(truth)})
    return pd.DataFrame(rows)


def simulate_answers(
    pictures: pd.DataFrame, seed: int = 7, error_rates: Mapping[str, float] = ERROR_RATES
) -> pd.DataFrame:
    """Return what each labeler answers to each picture: `externalId`, `author` and `jsonResponse`."""
    likeness = _likeness()[: len(pictures)]
    truth = pictures["truth"].astype(int).to_numpy()
    doubt = likeness.sum(axis=1)
    random = np.random.default_rng(seed)
    answered = []
    for author, rate in error_rates.items():
        errs = random.random(len(truth)) < _chances(doubt, rate)
        mistaken = [random.choice(10, p=row / row.sum()) for row in likeness]
        answers = np.where(errs, mistaken, truth)
        answered.append(pictures[["externalId"]].assign(author=author, jsonResponse=[_response(d) for d in answers]))
    return pd.concat(answered, ignore_index=True)


def simulate_days(pictures: pd.DataFrame, days: int = 4, seed: int = 7) -> pd.DataFrame:
    """Return the answers that are there after some days, with `createdAt` and `secondsToLabel`.

    Each labeler takes the pictures in order, at a pace of their own: whoever is slow has not seen the last ones yet.
    """
    answers = simulate_answers(pictures, seed, HASTE)
    random = np.random.default_rng(seed)
    start = pd.Timestamp("2026-03-02T09:00:00Z")  # a Monday
    works = []
    for author, pace in PACES.items():
        a_day = random.poisson(pace, days)
        work = answers[answers["author"] == author].head(a_day.sum())
        day, place = _days(a_day, len(work))
        works.append(
            work.assign(
                createdAt=start + pd.to_timedelta(day, unit="D") + pd.to_timedelta(place * 5, unit="min"),
                secondsToLabel=(random.lognormal(sigma=0.4, size=len(work)) * 400 / pace).round(1),
            )
        )
    return pd.concat(works, ignore_index=True)


def interface() -> dict[str, object]:
    """Return what the project asks of its labelers: one digit for each picture."""
    categories = {str(digit): {"name": str(digit), "children": []} for digit in range(10)}
    content = {"categories": categories, "input": "radio"}
    return {
        "jobs": {JOB: {"mlTask": "CLASSIFICATION", "instruction": "Which digit?", "required": 1, "content": content}}
    }


def _days(a_day: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of so many pieces of work its day, and its place within it."""
    days = np.repeat(np.arange(len(a_day)), a_day)[:most]
    return days, np.arange(len(days)) - (np.cumsum(a_day) - a_day)[days]


def _response(digit: int) -> dict[str, object]:
    return {JOB: {"categories": [{"name": str(digit), "confidence": 100}]}}


def _likeness() -> np.ndarray:
    """Return for each picture how much it looks like each of the digits that it is not."""
    digits = load_digits()
    means = np.stack([digits.data[digits.target == digit].mean(axis=0) for digit in range(10)])
    distance = np.linalg.norm(digits.data[:, None] - means, axis=2)
    own = distance[np.arange(len(distance)), digits.target]
    likeness = np.exp((own[:, None] - distance) / 3)
    likeness[np.arange(len(likeness)), digits.target] = 0
    return likeness


def _chances(doubt: np.ndarray, rate: float) -> np.ndarray:
    """Return the chances of an error: in proportion to the doubt, `rate` on average, none above 0.6."""
    chances = doubt * rate / doubt.mean()
    for _ in range(50):
        chances = np.minimum(chances * rate / chances.mean(), 0.6)
    return chances
