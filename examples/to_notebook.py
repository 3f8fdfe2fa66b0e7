"""Make a notebook of a page beside this script.

``python examples/to_notebook.py quality_review`` writes ``quality_review.ipynb``, to open in Jupyter. The pages are
Markdown, so that they can be read where nothing runs: below each cell stands what it shows. The notebook leaves that
out, as it shows it anew.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import jupytext
import nbformat

SHOWN = re.compile(r"\n<!-- output -->\n(.*?)\n<!-- end -->\n", re.DOTALL)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def notebook_of(page: str) -> nbformat.NotebookNode:
    """Return the notebook that a page is, without what was shown when the page was written."""
    notebook = jupytext.reads(SHOWN.sub("", page), fmt="md")
    notebook.metadata = {"kernelspec": KERNEL}  # not in the page, which a code host would begin with it
    return notebook


def main() -> None:
    """Write a notebook for each page that is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="+", metavar="PAGE", help="such as quality_review")
    for name in parser.parse_args().pages:
        page = Path(__file__).with_name(f"{name}.md")
        target = page.with_suffix(".ipynb")
        nbformat.write(notebook_of(page.read_text(encoding="utf-8")), target)
        print(target)


if __name__ == "__main__":
    main()
