"""A user's script checks in mypy and in pyright, and a wrong one does not."""

import re
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

SCRIPT = """
import pandas as pd
import pandas_kili as pk

df: pk.KiliFrame = pk.read_kili("project", fields=["id", "priority"], status_in=["TODO"])
for chunk in pk.read_kili("project", chunksize=1000):
    chunk.kili.add_to_review(dry_run=True)
out: pk.KiliFrame = df.kili.update_properties_in_assets("priority", json_metadata="meta", project_id="project")
outcomes = out.kili.send_back_to_queue(errors="report").kili.report["outcome"].tolist()
labels: pk.KiliFrame = df.kili.labels(["author.email"])
flat: pk.KiliFrame = df.kili.metadata()
new = pk.kili(pd.DataFrame({"content": ["text"]}))
made: pk.KiliFrame = new.append_many_to_dataset("project", content="content", if_exists="skip", client=pk.Client())
made.kili.append_labels("answer", "PREDICTION", "model").kili.delete_many_from_dataset()
df.kili.update_properties_in_assets(priorities="priority")  # wrong
df.kili.delete_many_from_dataset(errors="ignore")  # wrong
df.kili.append_many_to_dataset("project", if_exists="overwrite")  # wrong
pk.count_assets("project", status_in={"TODO"}, asset_id_in=df["id"], created_at_gte=pd.Timestamp("2026-01-01"))
pk.count_assets("project", status_in=5)  # wrong
"""


def mypy(script):
    return [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", str(script)]


def pyright(script):
    return [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(script)]


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_users_script_checks_but_for_what_is_wrong_in_it(checker, tmp_path):
    if checker is pyright and shutil.which("node") is None:
        pytest.skip("pyright needs Node.js")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(checker(script), capture_output=True, text=True, check=False, cwd=tmp_path)
    found = {int(line) for line in re.findall(r"script\.py:(\d+).*error", done.stdout)}
    wrong = {number for number, line in enumerate(SCRIPT.splitlines(), 1) if line.endswith("# wrong")}
    assert found == wrong, done.stdout
