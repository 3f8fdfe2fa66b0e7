"""The style sheet of galleries: light or dark like the page around, without scripts or external fonts."""

from __future__ import annotations

from pandas_kili.display.palette import COLORS, DASHES, outline

_LIGHT = {
    "paper": "#f5f6f8",
    "card": "#ffffff",
    "well": "#eceef2",
    "line": "#d5d9e1",
    "ink": "#1b212c",
    "soft": "#5a6474",
    "focus": "#0b62c4",
    "bad": "#b3261e",
}
_DARK = {
    "paper": "#12151a",
    "card": "#1b2027",
    "well": "#0c0e12",
    "line": "#343c48",
    "ink": "#e8ebf0",
    "soft": "#a3adbc",
    "focus": "#7db4ff",
    "bad": "#ff9d94",
}

_RULES = """
& { color: var(--ink); font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; text-align: left; }
& :not(svg, svg *) { all: revert; }
& *, & *::before { box-sizing: border-box; }
& :is(p, h1, h2, dl, dd, ul, figure) { margin: 0; padding: 0; }
& h1 { color: var(--ink); font-size: 20px; font-weight: 650; letter-spacing: -.01em; }
.kp-sub { color: var(--soft); }
.kp-top { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; margin-bottom: 10px; }
.kp-legend { display: flex; flex-wrap: wrap; gap: 6px; list-style: none; margin-bottom: 14px; }
.kp-legend li, .kp-chip { display: inline-flex; align-items: center; gap: 6px; max-width: 100%; padding: 1px 9px;
  border: 1px solid var(--line); border-radius: 99px; background: var(--card); overflow-wrap: anywhere; }
.kp-legend small { color: var(--soft); font-variant-numeric: tabular-nums; }
.kp-swatch { flex: none; width: 12px; height: 12px; border-radius: 3px; border: 1px solid var(--soft);
  background: var(--tone); }
.kp-swatch.kp-d1 { background: repeating-linear-gradient(90deg, var(--tone) 0 4px, var(--halo) 4px 6px); }
.kp-swatch.kp-d2 { background: repeating-linear-gradient(90deg, var(--tone) 0 2px, var(--halo) 2px 4px); }
.kp-grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(var(--least), 100%), 1fr)); gap: 14px;
  --least: 280px; }
.kp-grid[data-panels="2"] { --least: 440px; }
.kp-grid[data-panels="3"] { --least: 640px; }
.kp-grid[data-panels="4"] { --least: 860px; }
.kp-card { display: flex; flex-direction: column; overflow: hidden; min-width: 0;
  border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.kp-card:focus-visible, .kp-text:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.kp-text:focus-visible { outline-offset: -3px; }
.kp-card header { display: flex; align-items: center; justify-content: space-between; gap: 10px;
  padding: 9px 12px; }
& h2 { min-width: 0; overflow: hidden; color: var(--ink); font-size: 14px; font-weight: 600;
  text-overflow: ellipsis; white-space: nowrap; }
.kp-status { flex: none; display: inline-flex; align-items: center; gap: 6px; color: var(--soft); font-size: 11px;
  font-weight: 600; letter-spacing: .03em; }
.kp-status::before { content: ""; width: 28px; height: 6px; border: 1px solid var(--soft); border-radius: 3px;
  background: linear-gradient(90deg, var(--soft) var(--done), transparent var(--done)); }
.kp-panels { flex: 1; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(220px, 100%), 1fr)); gap: 1px;
  background: var(--line); border-top: 1px solid var(--line); }
.kp-panels figure { min-width: 0; background: var(--card); }
.kp-view { display: block; width: 100%; max-width: none; height: auto; max-height: 640px; aspect-ratio: 4 / 3;
  background: var(--well); overflow: hidden; }
.kp-brief { height: 176px; aspect-ratio: auto; padding: 10px; }
.kp-small { image-rendering: pixelated; }
.kp-sheet { fill: var(--card); stroke: var(--line); vector-effect: non-scaling-stroke; }
.kp-shape path { fill: none; stroke-linejoin: round; stroke-linecap: round; vector-effect: non-scaling-stroke; }
.kp-shape .kp-halo { stroke: var(--halo); stroke-width: 4px; stroke-opacity: .8; }
.kp-shape .kp-stroke { stroke: var(--tone); stroke-width: 2px; stroke-dasharray: var(--dash); }
.kp-area .kp-stroke { fill: var(--tone); fill-opacity: .14; fill-rule: evenodd; }
.kp-shape:hover .kp-stroke { fill-opacity: .4; }
.kp-dot .kp-halo { stroke-width: 13px; }
.kp-dot .kp-stroke { stroke-width: 9px; stroke-dasharray: none; }
.kp-tag { fill: #fff; stroke: #101418; stroke-opacity: .85; stroke-linejoin: round; paint-order: stroke;
  font-family: inherit; font-weight: 600; pointer-events: none; }
.kp-text { max-height: 300px; overflow: auto; padding: 12px; background: var(--card); font-size: 15px;
  line-height: 1.9; overflow-wrap: anywhere; unicode-bidi: isolate; white-space: pre-wrap; }
.kp-text mark { padding: 1px 2px 2px; border-radius: 3px 3px 0 0; border-bottom: 3px solid var(--tone);
  background: color-mix(in srgb, var(--tone) 20%, transparent); color: inherit; }
.kp-text mark.kp-d1 { border-bottom-style: dashed; }
.kp-text mark.kp-d2 { border-bottom-style: dotted; }
.kp-text small { margin-inline-start: 5px; font-size: 10px; font-weight: 650; letter-spacing: .03em; }
.kp-missing { position: relative; display: flex; flex-direction: column; justify-content: center; min-height: 120px;
  background: var(--well); }
.kp-reason { padding: 10px 12px; color: var(--soft); overflow-wrap: anywhere; }
.kp-reason b { display: block; color: var(--ink); }
& figcaption { padding: 9px 12px 11px; text-align: left; }
.kp-said + .kp-said { margin-top: 8px; padding-top: 8px; border-top: 1px solid var(--line); }
.kp-by { overflow-wrap: anywhere; }
.kp-by b { font-weight: 600; }
.kp-by time, .kp-note { color: var(--soft); font-size: 12px; }
.kp-by time { white-space: nowrap; }
.kp-type { padding: 0 6px; border: 1px solid var(--soft); border-radius: 4px; color: var(--soft); font-size: 10px;
  font-weight: 600; letter-spacing: .04em; }
& dl { display: grid; gap: 2px; margin-top: 6px; }
& dt { color: var(--soft); font-size: 11px; font-weight: 500; letter-spacing: .02em;
  overflow-wrap: anywhere; }
& dd { display: flex; flex-wrap: wrap; gap: 4px; margin-bottom: 4px; }
.kp-problem { color: var(--bad); font-size: 12px; overflow-wrap: anywhere; }
.kp-card footer { display: flex; flex-wrap: wrap; gap: 4px 14px; padding: 7px 12px; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 12px; }
.kp-card footer b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
"""
_PAGE = """
:where(body) > & { min-height: 100vh; padding: 24px max(20px, calc(50vw - 800px)); background: var(--paper); }
:where(body) > & .kp-legend { position: sticky; z-index: 1; top: 0; margin-inline: -6px; padding: 8px 6px;
  max-height: 30vh; overflow-y: auto; background: var(--paper); }
@media (max-height: 600px) { :where(body) > & .kp-legend { position: static; max-height: none; } }
@media print { :where(body) > & .kp-legend { position: static; max-height: none; } .kp-card { break-inside: avoid; } }
"""
_CARD = """
& { display: inline-block; max-width: 100%; padding: 9px 14px 11px; border: 1px solid var(--line); border-radius: 10px;
  background: var(--card); color: var(--ink); font: 13px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
& h2 { margin: 0 0 4px; color: var(--ink); font-size: 14px; font-weight: 600; }
& dl { display: grid; grid-template-columns: max-content 1fr; gap: 1px 14px; margin: 0; }
& dt { color: var(--soft); font-weight: 400; }
& dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
& dd.bad { color: var(--bad); }
"""
_STEPS = 4


def fragment_style() -> str:
    """Return the style sheet of a gallery, in a notebook or in a page."""
    tones = "".join(f".kp-c{number}{{--tone:{color};--halo:{outline(color)}}}\n" for number, color in enumerate(COLORS))
    dashes = "".join(f".kp-d{number}{{--dash:{dash or 'none'}}}\n" for number, dash in enumerate(DASHES))
    steps = "".join(f'[data-step="{step}"]{{--done:{step / _STEPS:.0%}}}\n' for step in range(_STEPS + 1))
    return _themes("kili-preview") + tones + dashes + steps + _within(_RULES)


def card_style() -> str:
    """Return the style sheet of the card that stands for ``df.kili``."""
    return _themes("kili-card") + f".kili-card.kili-card.kili-card {{{_CARD}}}\n"


def _themes(place: str) -> str:
    """Return the colors of a class: notebooks have their own themes, which go before those of the system."""
    light, dark = _variables(_LIGHT), _variables(_DARK)
    return (
        f".{place}{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme: dark){{.{place}{{color-scheme:dark;{dark}}}}}\n"
        f'[data-jp-theme-light="true"] .{place},.vscode-light .{place}{{color-scheme:light;{light}}}\n'
        f'[data-jp-theme-light="false"] .{place},.vscode-dark .{place}{{color-scheme:dark;{dark}}}\n'
    )


def page_style() -> str:
    """Return the additional styles of a page that holds only a gallery."""
    return "body { margin: 0; }" + _within(_PAGE)


def _within(rules: str) -> str:
    """Return rules that apply to galleries only, and go before those of a notebook."""
    return f".kili-preview.kili-preview.kili-preview {{{rules}}}\n"


def _variables(colors: dict[str, str]) -> str:
    return ";".join(f"--{name}:{color}" for name, color in colors.items())
