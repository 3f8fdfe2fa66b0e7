"""The audit of packages fails where it finds something, and says so where it cannot look."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

AUDIT = Path(__file__).parent.parent / ".ci" / "audit.py"
SAFE = {"name": "pandas", "version": "3.0", "vulns": []}
FLAWED = {"name": "urllib3", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"]}]}
UNKNOWN = {"name": "odd", "skip_reason": "not found"}


@pytest.mark.skipif(not AUDIT.exists(), reason="what is released has no .ci")
@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"dependencies": [SAFE, UNKNOWN]}, 0, "1 of 2 packages audited, 0 vulnerabilities"),
        ({"dependencies": [SAFE, FLAWED]}, 1, "urllib3 1.0: PYSEC-1, fixed in 2.0"),
        ({"dependencies": [UNKNOWN]}, 0, "Skipped: no advisory can be had here."),
        (None, 0, "Skipped: no advisory can be had here. no route"),
    ],
)
def test_an_audit_tells_what_it_found(tmp_path, said, status, words):
    (tmp_path / "pip_audit.py").write_text(
        f"import sys; print({json.dumps(said)!r} if {said is not None} else ''); print('no route', file=sys.stderr)"
    )
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(AUDIT), str(tmp_path)]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, words in done.stdout) == (status, True)
