"""Hold the packages of an environment against the advisories of the package index, where the index serves them.

Exit status 1 where one of them has a known vulnerability; where no advisory can be had, a line says so.
"""

import json
import subprocess
import sys
from pathlib import Path


def report(environment: str) -> tuple[list[dict], str]:
    """Return what pip-audit says of each package, and its last words."""
    (packages,) = Path(environment).glob("lib/python3*/site-packages")
    command = [sys.executable, "-m", "pip_audit", f"--path={packages}", "--format=json", "--progress-spinner=off"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603 - no input
    try:
        return json.loads(done.stdout)["dependencies"], done.stderr
    except ValueError:
        return [], done.stderr


packages, words = report(sys.argv[1])
audited = [each for each in packages if "skip_reason" not in each]
found = [(each, flaw) for each in audited for flaw in each["vulns"]]
for each, flaw in found:
    print(f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}")
if not audited:
    print("Skipped: no advisory can be had here.", words.strip().rpartition("\n")[2][:200] if not packages else "")
print(f"{len(audited)} of {len(packages)} packages audited, {len(found)} vulnerabilities")
sys.exit(1 if found else 0)
