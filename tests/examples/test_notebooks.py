"""The notebooks among the examples run, and their pages show what a run shows.

Their sources are Markdown, in which what a run shows stands below each cell;
``python tests/examples/test_notebooks.py`` brings that, and the pictures, up to date.
"""

import base64
import functools
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image, ImageChops, ImageStat

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PICTURES = EXAMPLES / "pictures"
NAMES = ("quality_review", "predictions", "entities")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SECONDS = 30  # that a cell, or the start of a kernel, may take

CELL = re.compile(r"```python[^\n]*\n.*?\n```\n", re.DOTALL)
GUARD = """
import socket
def local(connect):
    def guarded(self, address):
        assert not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1"), f"the notebook calls {address}"
        return connect(self, address)
    return guarded
socket.socket.connect = local(socket.socket.connect)
"""
PROBES = {
    "quality_review": """
import json
print(json.dumps({
    "progress": [int(bar.get_height()) for bar in df.kili.plot.progress().patches],
    "labels": [int(line.get_ydata().sum()) for line in df.kili.plot.labels_over_time(kind="line").lines],
    "worst": sorted(worst["externalId"]),
    "stored": [[asset["externalId"], asset["status"], asset["priority"], json.loads(asset["jsonMetadata"])]
               for asset in sandbox.assets(project_id)],
}))
""",
    "predictions": """
import json
rank = {asset["id"]: asset["priority"] for asset in sandbox.assets(project_id)}
print(json.dumps({
    "before": before, "after": after,
    "differ": sorted(corrected["id"]),
    "reviewed": sorted(asset["id"] for asset in sandbox.assets(project_id) if asset["status"] == "TO_REVIEW"),
    "labels": [[label["labelType"], label["modelName"], rank[label["assetId"]], json.loads(label["jsonResponse"])]
               for label in sandbox.labels(project_id)],
}))
""",
    "entities": """
import json
from notes import entities
name = {asset["id"]: asset["externalId"] for asset in sandbox.assets(project_id)}
reviews = [[name[label["assetId"]], span["categories"][0]["name"], span["beginOffset"], span["content"]]
           for label in sandbox.labels(project_id) if label["labelType"] == "REVIEW"
           for span in json.loads(label["jsonResponse"])["ENTITIES"]["annotations"]]
truth = entities()[["externalId", "category", "beginOffset", "content"]].values.tolist()
print(json.dumps({"reviews": reviews, "truth": truth}))
""",
}


spec = importlib.util.spec_from_file_location("example_notebook", EXAMPLES / "to_notebook.py")
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


def text_of(name):
    return (EXAMPLES / f"{name}.md").read_text(encoding="utf-8")


@functools.cache
def executed(name):
    """Run a notebook on the machine's own network alone; return its cells of code, and what its probe found."""
    notebook = example.notebook_of(text_of(name))
    stop = next(place for place, cell in enumerate(notebook.cells) if cell.source == "sandbox.stop()")
    guard, probe = map(nbformat.v4.new_code_cell, (GUARD, PROBES[name]))
    cells = notebook.cells
    notebook.cells = [guard, *cells[:stop], probe, *cells[stop:]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KILI_")}
    environment["KILI_DISABLE_TQDM"] = "true"  # bars come where a machine is slow
    options = {"timeout": SECONDS, "startup_timeout": SECONDS, "kernel_name": "python3"}
    with tempfile.TemporaryDirectory() as home:
        environment |= {"HOME": home, "IPYTHONDIR": home}
        client = NotebookClient(notebook, resources={"metadata": {"path": str(EXAMPLES)}}, **options)
        client.execute(env=environment)
    return [cell for cell in cells if cell.cell_type == "code"], json.loads(probe.outputs[0]["text"])


def pieces(cell):
    return [each.data for each in cell.outputs if "data" in each]


def picture(cell):
    """Return the PNG or the gallery that a cell shows."""
    for data in pieces(cell):
        if "image/png" in data:
            return base64.b64decode(data["image/png"])
        if "kili-preview" in data.get("text/html", ""):
            return data["text/html"]
    return None


def words(cell):
    return "".join([each.get("text", "") for each in cell.outputs] + [data["text/plain"] for data in pieces(cell)])


def galleries(cells):
    return [picture(cell).partition("</style>")[2] for cell in cells if isinstance(picture(cell), str)]


def drawn(shown, folder):
    """Return a picture as an image; a gallery needs a browser."""
    if isinstance(shown, bytes):
        return Image.open(io.BytesIO(shown)).convert("RGB")
    page, target = folder / "page.html", folder / "page.png"
    page.write_text(f'<!doctype html><meta charset="utf-8"><body style="background:#fff">{shown}', encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    flags += ("--hide-scrollbars", "--force-color-profile=srgb", "--blink-settings=preferredColorScheme=1")
    flags += ("--window-size=940,2400", f"--user-data-dir={folder / 'profile'}", f"--screenshot={target}")
    subprocess.run([CHROMIUM, *flags, page.as_uri()], check=True, capture_output=True, timeout=120)
    image = Image.open(target).convert("RGB")
    bottom = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()[3]
    return image.crop((0, 0, image.width, min(bottom + 8, image.height)))


def difference(one, other):
    """Return how far two images are from each other, of 255, seen from afar."""
    small = [image.convert("L").resize((48, 48), Image.Resampling.BOX) for image in (one, other)]
    return ImageStat.Stat(ImageChops.difference(*small)).mean[0]


def below(name, number, cell):
    """Return what a reader is to see below a cell."""
    if picture(cell):
        return f"![{cell.metadata['alt']}](pictures/{name}-{number}.webp)"
    lines = "\n".join(line.rstrip() for line in words(cell).rstrip("\n").splitlines())
    return f"```text\n{lines}\n```" if lines else None


def pairs(name):
    """Yield the pictures that a run shows, with the files that a reader sees in their place."""
    for number, cell in enumerate(executed(name)[0], 1):
        if picture(cell):
            yield picture(cell), PICTURES / f"{name}-{number}.webp"


def rewritten(name):
    cells = iter(enumerate(executed(name)[0], 1))

    def with_output(match):
        said = below(name, *next(cells))
        return match[0] + (f"\n<!-- output -->\n{said}\n<!-- end -->\n" if said else "")

    return CELL.sub(with_output, example.SHOWN.sub("", text_of(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_without_complaint(name):
    cells, _ = executed(name)
    assert len(cells) > 10
    assert [each.text for cell in cells for each in cell.outputs if each.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_a_reader_sees_is_what_a_run_shows(name):
    assert rewritten(name) == text_of(name)


def test_a_page_becomes_a_notebook_that_shows_nothing_yet(tmp_path):
    for name in ("to_notebook.py", "entities.md"):
        shutil.copy(EXAMPLES / name, tmp_path)
    command = [sys.executable, tmp_path / "to_notebook.py", "entities"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    notebook = nbformat.read(done.stdout.strip(), as_version=4)
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells if cell.cell_type == "code"] == [
        cell.source for cell in executed("entities")[0]
    ]
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert "```text" not in "".join(cell.source for cell in notebook.cells)


def test_no_picture_is_kept_that_no_notebook_shows():
    assert sorted(PICTURES.iterdir()) == sorted(file for name in NAMES for _, file in pairs(name))
    assert sum(file.stat().st_size for file in PICTURES.iterdir()) < 400_000


@pytest.mark.parametrize("name", NAMES)
def test_the_charts_that_a_reader_sees_are_those_of_a_run(name, tmp_path):
    charts = [pair for pair in pairs(name) if isinstance(pair[0], bytes)]
    kept = [Image.open(file) for _, file in charts]
    most = 6 if os.environ.get("LOWEST_VERSIONS") else 4  # fonts and layouts of matplotlib 3.8 come to 5.6
    for number, (shown, _) in enumerate(charts):
        apart = [difference(drawn(shown, tmp_path), image) for image in kept]
        assert apart[number] < most
        assert all(other > 6 for place, other in enumerate(apart) if place != number)


@pytest.mark.once
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("name", NAMES)
def test_the_galleries_that_a_reader_sees_are_those_of_a_run(name, tmp_path):
    for shown, file in pairs(name):
        if isinstance(shown, str):
            image, kept = drawn(shown, tmp_path), Image.open(file)
            assert abs(image.height / kept.height - 1) < 0.1
            assert difference(image, kept) < 8


def test_the_review_shows_who_disagrees_and_sends_it_back():
    cells, found = executed("quality_review")
    ada, ben, cleo = found["labels"]
    assert 0 < ada < ben < cleo < 240
    assert found["progress"] == [240 - cleo, cleo - ben, ben, 0, 0]  # two labels make an asset a labeled one
    (gallery,) = galleries(cells)
    assert gallery.count("<article") == gallery.count("<figure>") == gallery.count("<image ") == 6
    assert gallery.count("disagreement <b>1.00</b>") == 6
    shown = re.findall(r"<b><bdi>(.*?)</bdi></b>", gallery)
    assert shown == ["ada@example.com", "ben@example.com", "cleo@example.com"] * 6
    sent = {name: (status, priority, "reason" in meta) for name, status, priority, meta in found["stored"]}
    assert 20 < len(found["worst"]) < 80
    for name, state in sent.items():
        assert (state == ("ONGOING", 10, True)) is (name in found["worst"])
    assert all("sheet" in metadata for *_, metadata in found["stored"])


def test_the_model_learns_from_corrections_of_what_it_doubts():
    cells, found = executed("predictions")
    assert found["after"] > found["before"] + 0.05
    assert found["reviewed"] == found["differ"] != []
    ranks = {"DEFAULT": [], "PREDICTION": []}
    for type_, model, rank, answer in found["labels"]:
        ranks[type_].append(rank)
        if type_ == "PREDICTION":
            assert model == "digits-1"
            (guess,) = answer["CLASSIFICATION_JOB"]["categories"]
            assert rank == 100 - guess["confidence"]
    assert len(ranks["PREDICTION"]) == 300
    assert sorted(ranks["DEFAULT"])[-60:] == sorted(ranks["PREDICTION"])[-60:]  # the doubtful ones came first
    doubted, corrected = galleries(cells)
    assert doubted.count("PREDICTION") == doubted.count("<article") == 6
    assert corrected.count("PREDICTION") == corrected.count("<figure>") == corrected.count("<article") == 6
    assert all(
        gallery.count("<b><bdi>digits-1</bdi></b>") == gallery.count("PREDICTION") for gallery in (doubted, corrected)
    )


def test_the_entities_come_back_as_they_are_in_the_texts():
    cells, found = executed("entities")
    assert len(found["truth"]) > 40
    assert sorted(found["reviews"]) == sorted(found["truth"])
    disputed, reviewed = galleries(cells)
    assert disputed.count("<article") == disputed.count("<figure>") / 2 == 2
    assert reviewed.count("REVIEWED") == 4
    assert all(f"<small>{name}</small>" in reviewed for name in ("PERSON", "PLACE", "DATE"))
    assert re.search(r"<mark [^>]*>Ada Lovelace<small>PERSON", reviewed)


if __name__ == "__main__":
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        for each in NAMES:
            for shown, file in pairs(each):
                drawn(shown, Path(folder)).save(file, quality=75, method=6)
            (EXAMPLES / f"{each}.md").write_text(rewritten(each), encoding="utf-8")
