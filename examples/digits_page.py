"""The result of the quickstart as one self-contained HTML page."""

from __future__ import annotations

import base64
from html import escape
from string import Template

import pandas as pd


def page_of(
    labelers: pd.DataFrame,
    consensus: pd.DataFrame,
    confusion: pd.DataFrame,
    disputed: pd.DataFrame,
    pictures: list[bytes],
    authors: list[str],
) -> str:
    """Return the page: who errs, what a vote gains, what is confused, and the most disputed pictures."""
    cards = [_card(asset, picture, authors) for asset, picture in zip(_rows(disputed), pictures, strict=True)]
    answers = int(confusion.to_numpy().sum())
    return _PAGE.substitute(
        summary=f"{answers // len(authors):,} assets, {answers:,} labels by {len(authors)} labelers",
        labelers=_labelers(labelers),
        consensus="".join(map(_vote, _rows(consensus.reset_index(names="who")))),
        confusion=_heat_map(confusion),
        cards="".join(cards),
    )


def _rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _labelers(labelers: pd.DataFrame) -> str:
    longest = labelers[["observed", "stated"]].max(axis=None)
    return "".join(_labeler(row, longest) for row in _rows(labelers.reset_index()))


def _labeler(row: dict, longest: float) -> str:
    bars = "".join(f'<div class="{kind}" style="width:{row[kind] / longest:.1%}"></div>' for kind in _KINDS)
    numbers = "".join(f'<td class="number">{row[kind]:.1%}</td>' for kind in _KINDS)
    often = escape(row["most often"] or "no errors")
    return f'<tr><td>{escape(row["author"])}</td>{numbers}<td class="bars">{bars}</td><td>{often}</td></tr>'


_KINDS = ("observed", "stated")


def _vote(row: dict) -> str:
    numbers = "".join(f'<td class="number">{text}</td>' for text in (f"{row['rate']:.1%}", f"{row['wrong']:.0f}"))
    return f'<tr><td>{escape(row["who"])}</td>{numbers}<td class="number">{row["undecided"]}</td></tr>'


def _heat_map(confusion: pd.DataFrame) -> str:
    """Return the confusion table, each cell as dark as its share of the most frequent error."""
    errors = [count for truth, row in confusion.iterrows() for answer, count in row.items() if answer != truth]
    most = max([*errors, 1])
    head = "".join(f"<th>{escape(str(answer))}</th>" for answer in confusion.columns)
    lines = [f"<tr><th></th>{head}</tr>"]
    for truth, counts in confusion.iterrows():
        cells = [
            f'<td class="right">{count}</td>'
            if answer == truth
            else f'<td style="background:rgba(200,60,30,{count / most * 0.85:.2f})">{count or ""}</td>'
            for answer, count in counts.items()
        ]
        lines.append(f"<tr><th>{escape(str(truth))}</th>{''.join(cells)}</tr>")
    return "".join(lines)


def _card(asset: dict, picture: bytes, authors: list[str]) -> str:
    source = base64.b64encode(picture).decode()
    verdict = f"majority: {asset['majority']}" if asset["majority"] else "no majority"
    answers = "".join(_answer(author, asset[author], asset["truth"]) for author in authors)
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{escape(asset["externalId"])}">'
        f"<figcaption><b>{escape(asset['truth'])}</b> <small>{escape(verdict)}</small><ul>{answers}</ul>"
        f"<small>{escape(asset['externalId'])}</small></figcaption></figure>"
    )


def _answer(author: str, answer: str | None, truth: str) -> str:
    name = escape(author.partition("@")[0])
    kind = "" if answer is None else "right" if answer == truth else "wrong"
    return f'<li class="{kind}"><span>{name}</span> {escape(answer or "none")}</li>'


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Handwritten digits: who errs, and on what</title>
<style>
  :root { color-scheme: light dark; --ink: #1d2430; --soft: #566073; --paper: #f6f7f9; --card: #fff; --line: #dde1e8;
    --wrong: #c83c1e; --right: #23794a; --stated: #b9c0cc; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #a3adbc; --paper: #12151a; --card: #1b2027;
    --line: #343c48; --wrong: #ff8a70; --right: #63c48d; --stated: #5a6474; } }
  body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
    margin: 0 auto; padding: 2rem; max-width: 62rem; }
  h1 { font-size: 1.6rem; margin: 0; }
  h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
  p { margin: .2rem 0 .8rem; color: var(--soft); max-width: 46rem; }
  table { border-collapse: collapse; background: var(--card); border: 1px solid var(--line); }
  th, td { padding: .3rem .8rem; text-align: left; font-weight: normal; border-bottom: 1px solid var(--line); }
  th { color: var(--soft); }
  .number { text-align: right; font-variant-numeric: tabular-nums; }
  .bars { width: 14rem; }
  .bars div { height: .5rem; margin: .15rem 0; }
  .observed { background: var(--wrong); }
  .stated { background: var(--stated); }
  .heat th, .heat td { width: 2.2rem; height: 1.9rem; padding: 0; text-align: center; border: 1px solid var(--line); }
  .heat .right { color: var(--soft); background: var(--paper); }
  .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(14.4rem, 1fr)); gap: .8rem; }
  figure { display: flex; gap: .8rem; margin: 0; padding: .7rem; background: var(--card);
    border: 1px solid var(--line); }
  img { width: 96px; height: 96px; image-rendering: pixelated; border: 1px solid var(--line); }
  figcaption b { font-size: 1.4rem; line-height: 1; }
  figcaption { min-width: 0; }
  small { white-space: nowrap; color: var(--soft); }
  ul { list-style: none; margin: .2rem 0; padding: 0; }
  li span { display: inline-block; width: 3.1rem; color: var(--soft); }
  li.wrong { color: var(--wrong); font-weight: 600; }
  li.right { color: var(--right); font-weight: 600; }
</style>
<h1>Handwritten digits: who errs, and on what</h1>
<p>$summary, read from a local Kili with <code>pd.read_kili</code>.</p>

<h2>Who disagrees with the truth</h2>
<p>Red is the observed rate of errors, gray the rate that the simulation aimed at.</p>
<table><tr><th>labeler</th><th class="number">observed</th><th class="number">stated</th><th></th>
<th>most often</th></tr>$labelers</table>

<h2>What a vote gains</h2>
<p>Undecided are pictures to which all labelers gave different answers.</p>
<table><tr><th></th><th class="number">error rate</th><th class="number">wrong</th>
<th class="number">undecided</th></tr>
$consensus</table>

<h2>Which digits are confused</h2>
<p>Rows are the truth, columns what labelers answered; the redder, the more frequent the error.</p>
<table class="heat">$confusion</table>

<h2>The most disputed pictures</h2>
<p>The large digit is the truth.</p>
<div class="cards">$cards</div>
</html>
""")
