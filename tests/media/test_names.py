"""Names of assets are data: whatever they are, files stay in their folder and apart from each other."""

import json
import os
import string
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_kili.errors import KiliDownloadError
from pandas_kili.media.ledger import LEDGER_NAME, AssetFile, Ledger
from pandas_kili.media.names import extension_of, folded, known_extension, safe_stem, with_extension

HOSTILE = [
    "../../evil",
    "..",
    ".",
    "",
    " ",
    "C:\\x",
    "C:x",
    "a/b",
    "/etc/passwd",
    "\\\\server\\share",
    "NUL",
    "nul.txt",
    "com1.tar.gz",
    "CON .png",
    "x" * 300,
    "é" * 300,
    "😀" * 300,
    "a\0b",
    "a\nb",
    "trailing.",
    "trailing ",
    "dots...",
    ".hidden",
    LEDGER_NAME,
    ".0123456789abcdef.part",
    "~",
    "-rf",
    "$(rm -rf ~)",
    "a:stream",
    "\u202egnp.exe",
    "\ud800",
    'a|b?c*d<e>f"g',
    "ABC",
    "abc",
    "ﬁle",
    "file",
    "e\u0301",
    "\u00e9",
]
names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=300),
    st.text(string.ascii_letters + "./\\: ", max_size=12),
    st.builds("/".join, st.lists(st.sampled_from(["..", ".", "a", "A", "~", ""]), max_size=6)),
)


@given(names)
def test_a_stem_is_one_name_on_every_file_system(name):
    stem = safe_stem(name)
    assert 0 < len(stem.encode()) <= 200
    assert not set(stem) & set('<>:"/\\|?*\0\n\r')
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in stem)
    assert stem[0] not in ". "
    assert stem[-1] not in ". "
    assert stem.partition(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert safe_stem(stem) == stem


@pytest.mark.parametrize("name", ["photo.png", "photo 1", "ünïcode 漢字", "a-b_c(1)", "v1.2", "100%", "#1"])
def test_a_usual_name_stays(name):
    assert safe_stem(name) == name


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=1, max_size=12), st.sampled_from(["", ".png", ".txt"]), st.data())
def test_files_of_any_names_stay_in_the_folder_and_apart(tmp_path_factory, stems, extension, data):
    base = tmp_path_factory.mktemp("base")
    folder = base / "media"
    parts = [AssetFile(f"asset{row}", "content", stem) for row, stem in enumerate(stems)]
    with Ledger(folder) as ledger:
        for part in parts:
            path = ledger.claim(part, extension)
            path.write_text(part.asset)
            ledger.record(part, path, "https://example.com/x", len(part.asset))
    assert list(base.iterdir()) == [folder]
    written = [path for path in folder.iterdir() if path.name != LEDGER_NAME]
    assert all(path.parent == folder and path.is_file() for path in written)
    assert len({folded(path.name) for path in written}) == len(parts)
    # Another run, in another order, finds each asset its own file again.
    with Ledger(folder) as ledger:
        for part in data.draw(st.permutations(parts)):
            path = ledger.whole(part, "https://example.com/x")
            assert path.read_text() == part.asset
            assert ledger.claim(part, extension) == path


def test_assets_that_are_known_to_share_a_name_get_the_same_files_in_any_order(tmp_path):
    parts = [AssetFile(asset, "content", "a", shared=True) for asset in ("one", "two")]
    found = []
    for order, folder in ((parts, "x"), (parts[::-1], "y")):
        with Ledger(tmp_path / folder) as ledger:
            found.append({part.asset: ledger.claim(part, ".png").name for part in order})
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 2


def test_what_others_put_there_is_left_alone(tmp_path):
    (tmp_path / "A.png").write_text("mine")
    with Ledger(tmp_path) as ledger:
        path = ledger.claim(AssetFile("one", "content", "a"), ".png")
    assert path.name.startswith("a~")
    assert (tmp_path / "A.png").read_text() == "mine"


def test_what_a_killed_process_left_is_removed_in_time(tmp_path):
    old, new, other = (tmp_path / name for name in (".0123456789abcdef.part", ".fedcba9876543210.part", "mine.part"))
    for path in (old, new, other):
        path.write_text("half")
        os.utime(path, (0, time.time() - (100 if path == new else 100_000)))
    with Ledger(tmp_path):
        pass
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


DAMAGED = (
    '{"asset": ' + "[" * 100_000,
    '{"asset": ["one"], "part": "content", "file": "a.png", "size": 1}',
    '{"asset": "one", "part": "content", "file": "c.png", "size": "1"}',
    '{"asset": "one", "part": "content", "file": "c.png", "source": 1, "size": 1}',
    '{"asset": "two", "part": "content", "file": "\\u0000", "size": 1}',
)


def test_a_record_that_was_cut_or_forged_leads_nowhere(tmp_path):
    part = AssetFile("one", "content", "a")
    with Ledger(tmp_path) as ledger:
        path = ledger.claim(part, ".png")
        path.write_text("x")
        ledger.record(part, path, "https://example.com/x", 1)
    forged = [
        {"asset": "two", "part": "content", "file": name, "size": 1} for name in ("../evil", "/etc/x", "", "..\\x")
    ]
    with (tmp_path / LEDGER_NAME).open("a") as file:
        file.write("\n".join(["", *map(json.dumps, forged), "[]", '{"asset": 1}', '{"asset": "two", "par', *DAMAGED]))
    with Ledger(tmp_path) as ledger:
        assert ledger.whole(part, "https://example.com/x") == path
        other = ledger.claim(AssetFile("two", "content", "b"), "")
        assert other == tmp_path / "b"
        ledger.record(AssetFile("two", "content", "b"), other, "https://example.com/y", 0)
    with Ledger(tmp_path) as ledger:
        assert ledger._lines["two", "content"].size == 0


def make_pipe(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("Windows has no named pipes in folders")
    os.mkfifo(path)


@pytest.mark.parametrize("make", [make_pipe, Path.mkdir])
def test_a_record_that_is_no_file_is_an_error(tmp_path, make):
    make(tmp_path / LEDGER_NAME)
    with pytest.raises(KiliDownloadError, match=r"\.pandas_kili\.jsonl is not a regular file"), Ledger(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_folder_do_not_lead_writing_out_of_it(tmp_path):
    """A folder may come from elsewhere, such as an archive: no record and no file is written where a link points."""
    outside, folder = tmp_path / "outside", tmp_path / "media"
    outside.mkdir()
    folder.mkdir()
    record = outside / "record"
    record.write_text("theirs")
    (folder / LEDGER_NAME).symlink_to(record)
    (folder / "a.png").symlink_to(outside / "new")
    with Ledger(folder) as ledger:
        path = ledger.claim(AssetFile("one", "content", "a"), ".png")
        path.write_text("x")
        ledger.record(AssetFile("one", "content", "a"), path, "https://example.com/x", 1)
    assert [each.name for each in outside.iterdir()] == ["record"]
    assert record.read_text() == "theirs"
    assert not (folder / LEDGER_NAME).is_symlink()


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://x.test/files?id=1", True),
        ("https://x.test/files?X-Goog-Signature=a&X-Goog-Expires=9&id=1", True),
        ("https://x.test/files?id=1&Expires=5&Signature=b&sig=c&se=d", True),
        ("https://x.test/files?id=2", False),
        ("https://x.test/other?id=1", False),
        ("http://x.test/files?id=1", False),
    ],
)
def test_a_link_that_is_signed_anew_leads_to_the_same_file(tmp_path, url, same):
    part = AssetFile("one", "content", "a")
    with Ledger(tmp_path) as ledger:
        path = ledger.claim(part, "")
        path.write_text("whole")
        ledger.record(part, path, "https://x.test/files?id=1", 5)
        assert (ledger.whole(part, url) == path) is same
        path.write_text("half")
        assert ledger.whole(part, url) is None
        path.unlink()
        assert ledger.whole(part, url) is None
    assert "Signature" not in (tmp_path / LEDGER_NAME).read_text()


@pytest.mark.parametrize(
    ("content_type", "url", "extension"),
    [
        ("text/plain; charset=utf-8", "https://x.test/a", ".txt"),
        ("image/jpeg", "https://x.test/a.bin", ".jpg"),
        ("IMAGE/PNG ;x=y", "https://x.test/a", ".png"),
        ("video/mp4", "https://x.test/a", ".mp4"),
        ("audio/x-flac", "https://x.test/a", ".flac"),
        ("image/tiff", "https://x.test/a", ".tif"),
        ("application/pdf", "https://x.test/a", ".pdf"),
        ("application/json", "https://x.test/a", ".json"),
        ("application/octet-stream", "https://x.test/path/a%20b.PNG?sig=1", ".PNG"),
        ("", "https://x.test/a.webm", ".webm"),
        ("made/up", "https://x.test/a", ""),
        ("application/octet-stream", "https://x.test/a.evil", ""),
        ("application/octet-stream", "https://x.test/a.png/", ".png"),
    ],
)
def test_an_extension_comes_from_the_type_or_the_url(content_type, url, extension):
    assert extension_of(content_type, url) == extension


def test_an_extension_is_added_where_there_is_none():
    assert with_extension("photo.JPEG", ".jpg") == "photo.JPEG"
    assert with_extension("draft.v2", ".txt") == "draft.v2.txt"
    assert with_extension("example.com", ".png") == "example.com.png"
    assert known_extension("a.tar.gz") == ""
