"""What this process wrote a moment ago: the server may not show it yet, so a second look is worth its time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator

from pandas_kili.writing.delivery import looks

_MOMENT = 10.0  # seconds; replicas catch up in less
_written: deque[tuple[float, str, frozenset[str]]] = deque()  # when, at which endpoint, ids and external ids


def remember(endpoint: str, names: Iterable[str]) -> None:
    """Remember ids and external ids that were written just now."""
    now = time.monotonic()
    while _written and _written[0][0] < now - _MOMENT:
        _written.popleft()
    known = frozenset(names)
    if known:
        _written.append((now, endpoint, known))


def looks_for(endpoint: str, names: Collection[str]) -> Iterator[None]:
    """Yield when it is time to look for ids or external ids: once, and again for those that were written just now."""
    since = time.monotonic() - _MOMENT
    is_recent = any(
        when >= since and where == endpoint and not known.isdisjoint(names) for when, where, known in list(_written)
    )
    yield from looks() if is_recent else looks(pauses=(0.0,))
