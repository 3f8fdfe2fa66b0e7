"""What the official SDK brings in we take out, and what we bring in it takes out, byte for byte."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from official_sdk import newest
from PIL import Image

import pandas_kili as pk
from pandas_kili.media import download_media
from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.conformance

FIELDS = ["id", "externalId", "content", "jsonContent", "jsonMetadata"]
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256))
RICH = [{"children": [{"id": "1", "text": "ü"}]}]


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


def picture(form, size=(5, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (1, 2, 3)).save(buffer, form)
    return buffer.getvalue()


FILES = {
    ("IMAGE", "dot.png"): picture("PNG"),
    ("IMAGE", "big.tif"): picture("TIFF"),
    ("TEXT", "words ü.txt"): "Grüße\n漢字".encode(),
    ("PDF", "paper.pdf"): b"%PDF-1.7\n\xff\0",
    ("AUDIO", "sound.wav"): b"RIFF\x24\0\0\0WAVEfmt " + bytes(64),
    ("VIDEO", "clip.mp4"): MP4,
    ("GEOSPATIAL", "map.tif"): picture("TIFF"),
    ("LLM_RLHF", "talk.json"): b'{"prompt": "?", "completions": []}',
}


@pytest.fixture
def files(tmp_path):
    for (_, name), data in FILES.items():
        (tmp_path / name).write_bytes(data)
    for number in range(3):
        (tmp_path / f"frame{number}.png").write_bytes(picture("PNG", (5, 4 + number)))
    return tmp_path


@pytest.fixture
def projects(sandbox):
    return {type_: sandbox.create_project(type_, type_) for type_ in sorted({type_ for type_, _ in FILES})}


def frames_of(folder):
    return [str(folder / f"frame{number}.png") for number in range(3)]


@newest
def test_what_the_sdk_brings_in_comes_out_whole(run, sandbox, files, projects):
    run(
        """
        projects, folder, result = given["projects"], given["folder"], None
        for type_, name in given["files"]:
            kili.append_many_to_dataset(projects[type_], content_array=[f"{folder}/{name}"], external_id_array=[name])
        kili.append_many_to_dataset(projects["TEXT"], json_content_array=[given["rich"]], external_id_array=["rich"])
        kili.append_many_to_dataset(projects["VIDEO"], json_content_array=[given["frames"]], external_id_array=["cut"])
        """,
        projects=projects,
        folder=str(files),
        files=list(FILES),
        rich=RICH,
        frames=frames_of(files),
    )
    for type_, project_id in projects.items():
        frame = pk.read_kili(project_id, fields=FIELDS, client=sandbox.client)
        out = download_media(frame, project_id, local_media_dir=files / "out", client=sandbox.client)
        for row in out.to_dict("records"):
            name = row["externalId"]
            if name == "rich":
                assert json.loads(Path(row["jsonContent"]).read_text()) == RICH
            elif name == "cut":
                found = [Path(path).read_bytes() for path in json.loads(row["jsonContent"])]
                assert found == [Path(path).read_bytes() for path in frames_of(files)]
            else:
                assert Path(row["content"]).read_bytes() == FILES[type_, name]


def test_what_we_bring_in_the_sdk_takes_out_whole(run, sandbox, files, projects):
    for type_, name in FILES:
        frame = pd.DataFrame({"content": [str(files / name)], "externalId": [name]})
        frame.kili.append_many_to_dataset(projects[type_], client=sandbox.client)
    rich = pd.DataFrame({"jsonContent": [RICH], "externalId": ["rich"]})
    rich.kili.append_many_to_dataset(projects["TEXT"], client=sandbox.client)
    cut = pd.DataFrame({"jsonContent": [frames_of(files)], "externalId": ["cut"]})
    cut.kili.append_many_to_dataset(projects["VIDEO"], client=sandbox.client)
    taken = run(
        """
        result = {}
        for type_, project in given["projects"].items():
            for asset in kili.assets(project, fields=["externalId", "content", "jsonContent"], download_media=True,
                                     local_media_dir=f"{given['folder']}/sdk"):
                places = [asset["content"]] if asset["content"] else asset["jsonContent"]
                places = places if isinstance(places, list) else [places]
                result[f"{type_} {asset['externalId']}"] = [
                    place if place.startswith("http") else open(place, "rb").read().hex() for place in places]
        """,
        projects=projects,
        folder=str(files),
    )
    for (type_, name), data in FILES.items():
        (found,) = taken[f"{type_} {name}"]
        if type_ != "GEOSPATIAL":  # which the SDK does not download
            assert bytes.fromhex(found) == data, name
    assert json.loads(bytes.fromhex(taken["TEXT rich"][0])) == RICH
    frames = [bytes.fromhex(found) for found in taken["VIDEO cut"]]
    assert frames == [Path(path).read_bytes() for path in frames_of(files)]


@newest
def test_both_send_the_same_for_the_same_files(run, sandbox, files):
    theirs, ours = ({t: sandbox.create_project(t, t) for t, _ in FILES} for _ in range(2))
    run(
        """
        result = None
        for type_, name in given["files"]:
            kili.append_many_to_dataset(
                given["projects"][type_], content_array=[f"{given['folder']}/{name}"], external_id_array=[name])
        """,
        projects=theirs,
        folder=str(files),
        files=list(FILES),
    )
    for type_, name in FILES:
        frame = pd.DataFrame({"content": [str(files / name)], "externalId": [name]})
        frame.kili.append_many_to_dataset(ours[type_], client=sandbox.client)
    assert _facts(sandbox, ours) == _facts(sandbox, theirs)


def _facts(sandbox, projects):
    """What the server holds of each asset, but for its ids."""
    facts = {}
    for type_, project_id in projects.items():
        for asset in sandbox.assets(project_id):
            slot = asset["content"].removeprefix(f"stored:projects/{project_id}/assets/{asset['id']}/")
            file = sandbox._workspace.bucket.find(asset["content"].removeprefix("stored:"))
            facts[type_, asset["externalId"]] = (
                slot,
                file["contentType"],
                file["md5"],
                json.loads(asset["jsonMetadata"]),
                bool(asset["jsonContent"]),
            )
    return facts
