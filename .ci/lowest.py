"""Print the lowest version of each dependency that pyproject.toml allows, as constraints for pip."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for tools in ("dev", "test"):
    extras.pop(tools)  # what tests and lints the package is taken as new as it comes
wanted = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
print(*sorted(each.replace(">=", "==") for each in wanted if not each.startswith("pandas-kili")), sep="\n")
