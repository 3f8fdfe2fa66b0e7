"""The examples run as a newcomer runs them, and leave what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(*arguments, script="quickstart.py"):
    warnings = ["-W", "error"]
    if os.environ.get("LOWEST_VERSIONS"):  # of matplotlib and scikit-learn: they call what their neighbors deprecate
        warnings += ["-W", "ignore::DeprecationWarning"]
    command = [sys.executable, *warnings, EXAMPLES / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    done = run("--out", out, "--assets", 150)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_quickstart_reports_what_it_read(quickstart):
    _, report = quickstart
    assert "Read 150 assets with 450 labels" in report
    for heading in ("Who disagrees", "What a vote gains", "Which digits are confused"):
        assert heading in report


def test_the_quickstart_writes_one_row_for_each_digit(quickstart):
    out, _ = quickstart
    digits = pd.read_parquet(out / "quickstart.parquet", dtype_backend="pyarrow")
    assert len(digits) == len(pd.read_csv(out / "quickstart.csv")) == len(list((out / "digits").glob("*.png"))) == 150
    assert digits["externalId"].tolist() == [f"digit-{number:04}" for number in range(150)]
    authors = ["ada@example.com", "ben@example.com", "cleo@example.com"]
    errors = digits[authors].ne(digits["truth"], axis=0)
    assert 0 < errors.to_numpy().mean() < 0.2
    decided = digits["majority"].notna()
    assert (decided == (digits[authors].nunique(axis=1) < 3)).all()
    assert (digits["majority"] != digits["truth"])[decided].sum() <= errors.sum().min()


def test_the_quickstart_page_stands_alone(quickstart):
    out, _ = quickstart
    page = (out / "quickstart.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 24
    assert "ada@example.com" in page
    assert not any(text in page for text in ("http://", "https://", "<script", "$"))


@pytest.mark.once
@pytest.mark.parametrize("number", ["0", "1798", "many"])
def test_a_number_of_assets_that_is_not_there_is_refused(number, tmp_path):
    done = run("--out", tmp_path / "out", "--assets", number)
    assert done.returncode == 2
    assert "--assets" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_few_assets_on_which_nobody_errs_are_fine(tmp_path):
    done = run("--out", tmp_path, "--assets", 1)
    assert done.returncode == 0, done.stderr
    assert "none" in done.stdout


def test_the_mirror_is_equal_to_the_project_at_the_end(tmp_path):
    done = run("--out", tmp_path, "--assets", 60, "--hours", 1, script="mirror.py")
    assert done.returncode == 0, done.stderr
    assert "the copy is equal to the project" in done.stdout
    assert (tmp_path / "mirror.png").read_bytes().startswith(b"\x89PNG")


def test_a_detector_is_trained_on_an_export_and_its_output_compared(tmp_path):
    done = run("--out", tmp_path, "--pictures", 40, script="train.py")
    assert done.returncode == 0, done.stderr
    exported, read_back, share, sent, differ, *_ = done.stdout.splitlines()
    (_, of_train), (images, of_val) = (
        map(int, found) for found in re.findall(r"(\d+) pictures with (\d+) boxes to", exported)
    )
    boxes = of_train + of_val
    assert read_back == f"Read back from COCO and YOLO: {boxes} and {boxes} boxes."
    assert int(re.search(r"(\d+)%", share)[1]) > 40  # seven times what chance gives
    assert sent == f"Sent {images} predictions: {{'applied': {images}}}."
    assert differ.startswith("The 10 pictures on which people and digits-1 differ most")
    assert (tmp_path / "differ.html").read_text().count("digits-1") >= 10
    assert (tmp_path / "yolo" / "data.yaml").is_file()
