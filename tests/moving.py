"""PDFs and videos made for tests: what each page and frame shows is known to the pixel."""

import struct
from fractions import Fraction

import numpy as np


def pdf(*pages, objects=()):
    """Return a PDF; a page is a pair of what its dictionary says besides, and its content stream."""
    numbers = range(3, 3 + 2 * len(pages), 2)
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(b"%d 0 R" % number for number in numbers), len(pages)),
    ]
    for number, (entries, content) in zip(numbers, pages, strict=True):
        bodies.append(b"<</Type/Page/Parent 2 0 R/Contents %d 0 R%s>>" % (number + 1, entries))
        bodies.append(stream(b"", content))
    return assembled([*bodies, *objects])


def stream(entries, data):
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), entries, data)


def assembled(bodies, trailer=b""):
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(bodies) + 1
    return data + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF"
        % (size, table, size, trailer, len(data))
    )


def gray(number):
    """Return the gray by which a frame is known."""
    return 20 + number * 8


def video(path, frames=25, size=(64, 48), codec="mpeg4", times=None, draw=None):
    """Write a video whose frames are known by their gray, with few key frames."""
    import av  # noqa: PLC0415 - of no use to most tests

    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=25)
        track.width, track.height, track.pix_fmt = *size, "yuv420p"
        track.codec_context.gop_size, track.bit_rate = 12, 4_000_000
        track.codec_context.time_base = track.time_base = Fraction(1, 1000)
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), gray(number), np.uint8)
            if draw is not None:
                draw(pixels)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = number * 40 if times is None else times[number]
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return str(path)


def turned(path):
    """Have players turn an MP4 by a quarter with the clock, as telephones do that were held upright."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return str(path)
