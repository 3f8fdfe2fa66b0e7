"""Draw pages of a PDF, or frames of a video: a program that `decoding` starts.

Documents and videos come from strangers, and C libraries read them. They may crash, hang or fill the memory, so they
run in a process that has no API key and can be ended.

The one argument is JSON: ``kind`` ("page" or "frame"), ``numbers`` (of pages from 1, of frames from 0 and ascending;
null for the first), ``rate`` (frames a second by which frames are numbered; null for the video's own), ``side`` (pixels
of the longer side) and ``memory`` (bytes that this process may use). The file to decode is standard input, opened as a
file and not as a pipe. The output is, for each number, a line of JSON, with a ``note`` of what the picture is and its
``bytes``, or the ``reason`` why there is none; then the picture as a portable pixmap.
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
    from pypdfium2 import PdfDocument

Drawn = tuple[dict[str, str], bytes]  # what is said of a picture, and its pixmap

_SECONDS = 150  # of work for each picture; who started this ends it sooner, unless that is gone
_PIXELS = 2**26
# Containers that cannot name other files, as playlists do.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_STEADY = 0.001  # relative difference of the two rates of a video with evenly spaced frames
_HALF = 0.5  # frames
_NOTHING = 1e-6  # seconds
_LEAP = 1.0  # seconds; across less than this, decoding on is faster than looking for a key frame
_CHANNELS = 3
_QUARTER, _TURN = 90, 360


class _NoPictureError(Exception):
    """There is no picture; the text says why."""


def main() -> None:
    """Draw what the argument says."""
    order = json.loads(sys.argv[1])
    _limit(order["memory"])
    draw = {"page": _pages, "frame": _frames}[order["kind"]]
    untold = len(order["numbers"])
    try:
        for said, pixmap in draw(sys.stdin.buffer, order):
            _tell(said, pixmap)
            untold -= 1
            _allow_work()
    except _NoPictureError as error:
        for _ in range(untold):
            _tell({"reason": str(error)})


def _tell(said: dict[str, str], pixmap: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps({**said, "bytes": len(pixmap)}).encode() + b"\n" + pixmap)


def _limit(memory: int) -> None:
    """Limit what this process may use, as far as the system can."""
    _allow_work()
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: memory,
        # A process that ends for want of memory must not write all of it to the disk. One byte is too little for a
        # file, and with a limit of 1 Linux starts no program that collects dumps either (a limit of 0 allows it).
        resource.RLIMIT_CORE: 1,
    }
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit is already set, or the system has no such limit
            resource.setrlimit(kind, (limit, limit))


def _allow_work() -> None:
    """Let this process work for the seconds of one more picture."""
    try:
        import resource  # noqa: PLC0415 - as above
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(ValueError, OSError):  # as above
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + _SECONDS, most))


def _pages(file: BinaryIO, order: dict[str, Any]) -> Iterator[Drawn]:
    import pypdfium2  # noqa: PLC0415 - either this or PyAV is needed

    try:
        document = pypdfium2.PdfDocument(file)
        document.init_forms()  # form fields that were filled in are drawn too
    except pypdfium2.PdfiumError as error:
        protected = "password" in str(error).lower()
        reason = "the document is protected by a password" if protected else "the document is damaged"
        raise _NoPictureError(reason) from None
    for number in order["numbers"]:
        try:
            yield _page(document, number or 1, order["side"])
        except pypdfium2.PdfiumError:
            yield {"reason": "the document is damaged"}, b""
        except _NoPictureError as error:
            yield {"reason": str(error)}, b""


def _page(document: PdfDocument, number: int, side: int) -> Drawn:
    count = len(document)
    if not 1 <= number <= count:
        raise _NoPictureError(f"the document has {_counted(count, 'page')}, and none of that number")
    page = document[number - 1]
    longest = max(page.get_size())
    if not 0 < longest < math.inf:
        raise _NoPictureError("the page has no size")
    bitmap = page.render(scale=side / longest, rev_byteorder=True)
    if bitmap.n_channels != _CHANNELS:
        raise _NoPictureError("the page has an unknown format")
    pixmap = _pixmap(bytes(bitmap.buffer), bitmap.stride, bitmap.width, bitmap.height)
    return {"note": f"page {number} of {count}"}, pixmap


def _frames(file: BinaryIO, order: dict[str, Any]) -> Iterator[Drawn]:
    import av  # noqa: PLC0415 - either this or pypdfium2 is needed

    try:
        with av.open(file, "r", options={"format_whitelist": _CONTAINERS}) as container:
            if not container.streams.video:
                raise _NoPictureError("a recording, which has no picture")
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": str(_PIXELS)}
            numbers = [number or 0 for number in order["numbers"]]
            moments, how = _moments(container, stream, numbers, order["rate"])
            for number, frame in zip(numbers, _shown_at(container, stream, moments), strict=True):
                if frame is None:
                    yield {"reason": f"the video ends before frame {number}{how}"}, b""
                    continue
                note = f"frame {number}{how} ({frame.time - _start(stream):.2f} s)" if number else "frame 0"
                yield {"note": note}, _upright(frame, stream.sample_aspect_ratio, order["side"])
    except av.FFmpegError as error:
        raise _NoPictureError(f"the video cannot be decoded: {error.strerror}") from None


def _start(stream: VideoStream) -> float:
    return (stream.start_time or 0) * float(stream.time_base or 1)


def _moments(
    container: InputContainer, stream: VideoStream, numbers: list[int], rate: float | None
) -> tuple[list[float], str]:
    """Return at which times frames are shown, and how they are numbered where that is not the video's own rate."""
    own = float(stream.average_rate or stream.base_rate or 25)
    start, tolerance, how = _start(stream), _HALF / own, ""  # containers round times
    if rate is not None and rate > 0:
        moments, how = [start + number / rate for number in numbers], f" at {rate:g} frames a second"
    elif _is_steady(container, stream) or not any(numbers):
        moments = [start + number / own for number in numbers]
    else:
        times = _times(container, stream)
        moments = [times[number] if number < len(times) else math.inf for number in numbers]
        if any(abs(time - start - number / own) > tolerance for number, time in enumerate(times)):
            how = ", counted one by one as they do not come evenly"
        tolerance = _NOTHING
    return [moment + (tolerance if number else _NOTHING) for number, moment in zip(numbers, moments, strict=True)], how


def _is_steady(container: InputContainer, stream: VideoStream) -> bool:
    """Return whether frames come evenly. Matroska says how they were to come, not how they did."""
    average, base = stream.average_rate, stream.base_rate
    if not average or not base or "matroska" in container.format.name:
        return False
    difference = abs(float(average) / float(base) - 1)
    return difference < _STEADY and difference * stream.frames < _HALF  # no number is off by a frame at the end


def _times(container: InputContainer, stream: VideoStream) -> list[float]:
    """Return the times of all frames, by reading the file without decoding it."""
    base = stream.time_base or Fraction(1)
    packets = container.demux(stream)
    return [
        float(pts * base)
        for pts in sorted(each.pts for each in packets if not each.is_discard and each.pts is not None)
    ]


def _shown_at(container: InputContainer, stream: VideoStream, moments: list[float]) -> Iterator[VideoFrame | None]:
    """Yield the frame at each of some times, which ascend; None after the end."""
    length = 1 / float(stream.average_rate or stream.base_rate or 25)
    frames: Iterator[Any] = iter(())
    shown = following = None
    leap = _LEAP
    for moment in moments:
        if shown is None or (following is not None and leap < moment - shown.time < math.inf):
            before = -math.inf if shown is None else shown.time
            frames, shown = _from_key_frame(container, stream, moment)
            following = next(frames, None)
            if shown is not None and shown.time <= before:  # key frames are farther apart than that
                leap = moment - shown.time
        while following is not None and following.time <= moment:
            shown, following = following, next(frames, None)
        there = shown is not None and shown.time <= moment < math.inf
        yield shown if there and (following is not None or moment <= shown.time + length) else None


def _from_key_frame(container: InputContainer, stream: VideoStream, moment: float) -> tuple[Iterator[Any], Any]:
    """Return the frames from one before a time on, and the first of them; None without any."""
    start = stream.start_time or 0
    place = int(moment / (stream.time_base or 1)) if moment < math.inf else start
    for begin in (place, start):  # from the start if the container does not list its key frames
        container.seek(begin, stream=stream)
        frames = _timed(container, stream)
        first = next(frames, None)
        if first is not None and first.time <= moment:
            break
    return frames, first


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
