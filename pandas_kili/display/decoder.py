"""Draw one page of a PDF, or one frame of a video: a program that `decoding` starts.

Documents and videos come from strangers, and C libraries read them. They may crash, hang or fill the memory, so they
run in a process that has no API key and can be ended.

The one argument is JSON: ``kind`` ("page" or "frame"), ``number`` (of pages from 1, of frames from 0; null for the
first), ``rate`` (frames a second by which frames are numbered; null for the video's own), ``side`` (pixels of the
longer side) and ``memory`` (bytes that this process may use). The file to decode is standard input, opened as a file
and not as a pipe. The output is a line of JSON, with a ``note`` of what the picture is or the ``reason`` why there is
none, then the picture as a portable pixmap.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SECONDS = 60  # of work; who started this ends it sooner, unless that is gone
_PIXELS = 2**26
# Containers that cannot name other files, as playlists do.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_STEADY = 0.001  # relative difference of the two rates of a video with evenly spaced frames
_HALF = 0.5  # frames; containers round times
_NOTHING = 1e-6  # seconds
_CHANNELS = 3
_QUARTER, _TURN = 90, 360


class _NoPictureError(Exception):
    """There is no picture; the text says why."""


def main() -> None:
    """Draw what the argument says."""
    order = json.loads(sys.argv[1])
    _limit(order["memory"])
    draw = {"page": _page, "frame": _frame}[order["kind"]]
    try:
        note, pixmap = draw(sys.stdin.buffer, order)
        told = {"note": note}
    except _NoPictureError as error:
        told, pixmap = {"reason": str(error)}, b""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + pixmap)


def _limit(memory: int) -> None:
    """Limit what this process may use, as far as the system can."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: _SECONDS,
        # A process that ends for want of memory must not write all of it to the disk. One byte is too little for a
        # file, and with a limit of 1 Linux starts no program that collects dumps either (a limit of 0 allows it).
        resource.RLIMIT_CORE: 1,
    }
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit is already set, or the system has no such limit
            resource.setrlimit(kind, (limit, limit))


def _page(file: BinaryIO, order: dict[str, Any]) -> tuple[str, bytes]:
    import pypdfium2  # noqa: PLC0415 - either this or PyAV is needed

    number = order["number"] or 1
    try:
        document = pypdfium2.PdfDocument(file)
        count = len(document)
        if not 1 <= number <= count:
            raise _NoPictureError(f"the document has {_counted(count, 'page')}, and none of that number")
        document.init_forms()  # form fields that were filled in are drawn too
        page = document[number - 1]
    except pypdfium2.PdfiumError as error:
        protected = "password" in str(error).lower()
        reason = "the document is protected by a password" if protected else "the document is damaged"
        raise _NoPictureError(reason) from None
    longest = max(page.get_size())
    if not 0 < longest < math.inf:
        raise _NoPictureError("the page has no size")
    bitmap = page.render(scale=order["side"] / longest, rev_byteorder=True)
    if bitmap.n_channels != _CHANNELS:
        raise _NoPictureError("the page has an unknown format")
    return f"page {number} of {count}", _pixmap(bytes(bitmap.buffer), bitmap.stride, bitmap.width, bitmap.height)


def _frame(file: BinaryIO, order: dict[str, Any]) -> tuple[str, bytes]:
    import av  # noqa: PLC0415 - either this or pypdfium2 is needed

    try:
        with av.open(file, "r", options={"format_whitelist": _CONTAINERS}) as container:
            if not container.streams.video:
                raise _NoPictureError("a recording, which has no picture")
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": str(_PIXELS)}
            frame, note = _numbered(container, stream, order["number"] or 0, order["rate"])
            return note, _upright(frame, stream.sample_aspect_ratio, order["side"])
    except av.FFmpegError as error:
        raise _NoPictureError(f"the video cannot be decoded: {error.strerror}") from None


def _numbered(
    container: InputContainer, stream: VideoStream, number: int, rate: float | None
) -> tuple[VideoFrame, str]:
    """Return the frame with a number, and a note that says which it is."""
    own = stream.average_rate or stream.base_rate or Fraction(25)
    start = (stream.start_time or 0) * float(stream.time_base or 1)
    tolerance = _HALF / float(own)
    if number == 0:
        moment, how, tolerance = start, "", _NOTHING
    elif rate is not None and rate > 0:
        moment, how = start + number / rate, f" at {rate:g} frames a second"
    elif _is_steady(stream):
        moment, how = start + number / float(own), ""
    else:
        moment, how = _time_of(container, stream, number), ", counted one by one as they do not come evenly"
        tolerance = _NOTHING
    frame = _shown_at(container, stream, moment + tolerance)
    if frame is None:
        raise _NoPictureError(f"the video ends before frame {number}{how}")
    return frame, f"frame {number}{how}" + (f" ({moment - start:.2f} s)" if number else "")


def _is_steady(stream: VideoStream) -> bool:
    average, base = stream.average_rate, stream.base_rate
    return bool(average and base) and abs(float(average or 0) / float(base or 1) - 1) < _STEADY


def _time_of(container: InputContainer, stream: VideoStream, number: int) -> float:
    """Return the time of a frame by counting the frames before it."""
    base = stream.time_base or Fraction(1)
    times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None and not packet.is_discard)
    if number >= len(times):
        raise _NoPictureError(f"the video has {_counted(len(times), 'frame')}, and none of that number")
    return float(times[number] * base)


def _shown_at(container: InputContainer, stream: VideoStream, moment: float) -> VideoFrame | None:
    """Return the frame at a time; None after the end."""
    place = int(moment / (stream.time_base or 1))
    for begin in (place, stream.start_time or 0):  # from the start if the container does not list its key frames
        container.seek(begin, stream=stream)
        shown = _last_until(container, stream, moment)
        if shown is not None:
            return shown
    return None


def _last_until(container: InputContainer, stream: VideoStream, moment: float) -> VideoFrame | None:
    shown = None
    for frame in _timed(container, stream):
        if frame.time > moment:
            return shown
        shown = frame
    length = 1 / float(stream.average_rate or stream.base_rate or 25)
    return shown if shown is not None and shown.time is not None and moment <= shown.time + length else None


def _timed(container: InputContainer, stream: VideoStream) -> Iterator[Any]:
    for frame in container.decode(stream):
        if frame.pts is None:
            frame.pts = frame.dts
        if frame.pts is not None:
            yield frame


def _upright(frame: VideoFrame, ratio: Fraction | None, side: int) -> bytes:
    """Return a frame as players show it: with square pixels, and upright."""
    width, height = frame.width * float(ratio or 1), float(frame.height)
    scale = min(1.0, side / max(width, height))
    small = frame.reformat(max(1, round(width * scale)), max(1, round(height * scale)), format="rgb24")
    rows = _rows(bytes(small.planes[0]), small.planes[0].line_size, small.width, small.height)
    for _ in range(round(frame.rotation / _QUARTER) % (_TURN // _QUARTER)):
        rows = _turned(rows)
    return _header(len(rows[0]) // _CHANNELS, len(rows)) + b"".join(rows)


def _turned(rows: list[bytes]) -> list[bytes]:
    """Turn a picture counterclockwise by 90 degrees."""
    columns = range(len(rows[0]) - _CHANNELS, -1, -_CHANNELS)
    return [b"".join(row[place : place + _CHANNELS] for row in rows) for place in columns]


def _pixmap(data: bytes, stride: int, width: int, height: int) -> bytes:
    return _header(width, height) + b"".join(_rows(data, stride, width, height))


def _rows(data: bytes, stride: int, width: int, height: int) -> list[bytes]:
    return [data[row * stride : row * stride + width * _CHANNELS] for row in range(height)]


def _header(width: int, height: int) -> bytes:
    return f"P6 {width} {height} 255\n".encode()


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    main()
