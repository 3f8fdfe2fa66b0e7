"""Kili's search of labels by category: ``JOB.CATEGORY.count >= 2 AND (JOB.OTHER.count == 0 OR …)``."""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pandas_kili.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["category_counts", "label_matches", "parsed_search"]

Counts = Counter[tuple[str, str]]
if TYPE_CHECKING:
    Test = Callable[[Counts], bool]

_WORD = r"[A-Za-z][A-Za-z0-9_\-*]*"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TERM = re.compile(rf"\s*({_WORD})\s*\.\s*({_WORD})\s*\.\s*count\s*(>=|<=|==|>|<)\s*({_NUMBER})")
_SIGN = re.compile(r"\s*(\(|\)|AND\b|OR\b)")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def label_matches(answer: str, search: str) -> bool:
    """Tell whether the JSON text `answer` of a label fulfils `search`."""
    return parsed_search(search)(category_counts(answer))


@lru_cache(maxsize=256)
def parsed_search(search: str) -> Test:
    """Return the test that `search` spells, AND binding tighter than OR."""
    parser = _Parser(search)
    test = parser.alternatives()
    if parser.rest():
        parser.refuse()
    return test


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def rest(self) -> str:
        return self.text[self.position :].strip()

    def refuse(self) -> None:
        raise Refusal(f"Invalid category search query: {self.text}")

    def alternatives(self) -> Test:
        tests = [self.conjunction()]
        while self.takes("OR"):
            tests.append(self.conjunction())
        return lambda counts: any(test(counts) for test in tests)

    def conjunction(self) -> Test:
        tests = [self.term()]
        while self.takes("AND"):
            tests.append(self.term())
        return lambda counts: all(test(counts) for test in tests)

    def term(self) -> Test:
        if self.takes("("):
            test = self.alternatives()
            if not self.takes(")"):
                self.refuse()
            return test
        match = _TERM.match(self.text, self.position)
        if match is None:
            self.refuse()
            raise AssertionError
        self.position = match.end()
        return _comparison(*match.groups())

    def takes(self, sign: str) -> bool:
        match = _SIGN.match(self.text, self.position)
        if match is None or match[1] != sign:
            return False
        self.position = match.end()
        return True


def _comparison(job: str, category: str, sign: str, number: str) -> Test:
    compare, bound = _COMPARISONS[sign], float(number)
    if "*" not in job + category:
        return lambda counts: compare(counts[job, category], bound)
    jobs, categories = _pattern(job), _pattern(category)
    return lambda counts: compare(
        sum(count for (one, other), count in counts.items() if jobs.fullmatch(one) and categories.fullmatch(other)),
        bound,
    )


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, word.split("*"))))


def category_counts(answer: str) -> Counts:
    """Count the annotations of each category in each job of the JSON text `answer`.

    An annotation that runs through the frames of a video is one annotation.
    """
    try:
        jobs = json.loads(answer)
    except ValueError:
        return Counter()
    seen = {(job, category, mark) for job, category, mark in _categories(jobs, "")}
    return Counter((job, category) for job, category, _ in seen)


def _categories(jobs: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if not isinstance(jobs, dict):
        return
    for name, answer in jobs.items():
        if not isinstance(answer, dict):
            continue
        if name.isdigit():  # a frame of a video holds jobs of its own
            yield from _categories(answer, path)
            continue
        yield from _of_answer(name, answer, path)


def _of_answer(job: str, answer: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    yield from _named(job, answer, path, path)
    for place, annotation in enumerate(_dicts(answer.get("annotations"))):
        mark = str(annotation.get("mid") or f"{path}/{place}")
        yield from _named(job, annotation, mark, mark)


def _named(job: str, holder: dict[str, Any], mark: str, path: str) -> Iterator[tuple[str, str, str]]:
    for category in _dicts(holder.get("categories")):
        yield job, str(category.get("name")), mark
        yield from _categories(category.get("children"), f"{path}/{job}")
    yield from _categories(holder.get("children"), f"{path}/{job}")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
