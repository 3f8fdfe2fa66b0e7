"""Ctrl-C during a write: it ends the call where that does no harm, and never between a request and its report."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class Interruptions:
    """Takes Ctrl-C while a write is under way.

    The first one raises `KeyboardInterrupt`, as usual. Once there is a listener, each one calls the listener instead,
    which ends the work by itself. Later ones raise nothing, so that the report of the first one is completed. Nothing
    changes outside the main thread, or where the user has a handler of their own.
    """

    def __init__(self) -> None:
        self.count = 0
        self._listener: Callable[[], None] | None = None
        self._handler: Any = None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, self._strike)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each Ctrl-C from now on, and raise nothing."""
        self._listener = listener

    def _strike(self, _signal: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self._listener is not None:
            self._listener()
        elif self.count == 1:
            raise KeyboardInterrupt
