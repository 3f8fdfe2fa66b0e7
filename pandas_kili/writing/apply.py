"""A plan brought to the server: in an order that never collides, and only where no other writer was faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pandas_kili.catalog import BATCH_SIZE
from pandas_kili.connection import read_back
from pandas_kili.errors import KiliValidationError
from pandas_kili.parallel import chunked, in_order
from pandas_kili.writing.account import Account, Outcome, Result
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.edits import Edit
from pandas_kili.writing.rename import freed_first
from pandas_kili.writing.revision import HELD_BY_ANOTHER, Revision, Withdrawal, alias
from pandas_kili.writing.work import Options, Work

# An asset may have several steps: the first of these that is among their results counts.
_RANKS: tuple[Outcome, ...] = ("failed", "not_sent", "declined", "applied", "unchanged")


@dataclass
class Step:
    """Some edits that are brought together, and what became of their assets."""

    edits: dict[str, list[Edit]]
    bring: Callable[[Step], None]
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        self.account = Account(len(self.edits))

    def targets(self) -> list[Target]:
        """Return one target per asset."""
        return [
            Target(asset_id, [place], weight=sum(len(str(edit.after)) + 20 for edit in edits))
            for place, (asset_id, edits) in enumerate(self.edits.items())
        ]

    def results(self) -> dict[str, Result]:
        """Return the result of each asset."""
        pairs = zip(self.account.outcomes.tolist(), self.account.messages.tolist(), strict=True)
        return {asset_id: Result(*pair) for asset_id, pair in zip(self.edits, pairs, strict=True)}


class Application:
    """The steps of a plan, in an order that never collides.

    First, temporary names free the names that others need: those of assets to delete, and of rings of renames. Then
    come renames that wait for each other, the other updates, new assets and what is set of those, and deletions last.
    """

    def __init__(self, work: Work, plan_id: str, project_id: str, edits: Sequence[Edit], *, force: bool) -> None:
        self.work, self.plan_id, self.project_id, self.force = work, plan_id, project_id, force
        self.edits = edits
        by_asset: dict[str, list[Edit]] = defaultdict(list)
        for edit in edits:
            by_asset[edit.asset_id].append(edit)
        new = {asset_id: of for asset_id, of in by_asset.items() if of[0].operation == "append"}
        gone = {asset_id: of for asset_id, of in by_asset.items() if of[0].operation == "delete"}
        changed = {asset_id: of for asset_id, of in by_asset.items() if asset_id not in new and asset_id not in gone}
        ordered, self.blockers = _renames_and_blockers(changed, new, gone)
        later = {asset_id: of[1:] for asset_id, of in new.items() if of[1:]}
        waiting = set(ordered)
        self.appended = Step({asset_id: of[:1] for asset_id, of in new.items()}, self._append)
        self.steps = [
            Step({asset_id: changed[asset_id] for asset_id in ordered}, self._revise_in_order),
            Step({asset_id: of for asset_id, of in changed.items() if asset_id not in waiting}, self._revise),
            self.appended,
            Step(later, self._revise),
            Step(gone, self._withdraw),
        ]
        self.metadata: dict[str, str] = {}  # by asset: what was sent where single keys change
        self._freed: set[str] = set()

    def run(self) -> None:
        """Bring all steps, until one finds that there is no way on; where something failed, nothing is deleted."""
        is_open = self._take_names()
        try:
            for step in self.steps:
                if not is_open or (step is self.steps[-1] and self._is_unfinished()):
                    step.account.messages[:] = "changes that come before it failed"
                elif step.edits:
                    step.bring(step)
                    is_open = not step.account.having("not_sent").any()
        finally:
            self._give_back_names()

    def results(self) -> dict[str, Result]:
        """Return what became of each asset: the worst result of its steps."""
        found: dict[str, Result] = {}
        for step in self.steps:
            for asset_id, result in step.results().items():
                known = found.setdefault(asset_id, result)
                if _RANKS.index(result.outcome) < _RANKS.index(known.outcome):
                    found[asset_id] = result
        return found

    def results_of_edits(self) -> list[Result]:
        """Return what became of each edit."""
        appended = self.appended.results()
        others = {
            asset_id: of for step in self.steps if step is not self.appended for asset_id, of in step.results().items()
        }
        return [appended[edit.asset_id] if edit.operation == "append" else others[edit.asset_id] for edit in self.edits]

    def _is_unfinished(self) -> bool:
        return any(step.account.having("failed", "not_sent").any() for step in self.steps[:-1])

    def _revise(self, step: Step) -> None:
        self._revise_with(step, in_order=False)

    def _revise_in_order(self, step: Step) -> None:
        self._revise_with(step, in_order=True)

    def _revise_with(self, step: Step, *, in_order: bool, force: bool | None = None) -> None:
        force = self.force if force is None else force
        change = Revision(
            self.work.client,
            self.project_id,
            step.edits,
            self.plan_id,
            force=force,
            in_order=in_order,
            freed=self._freed,
            metadata=self.metadata,
        )
        self.work.carry(change, step.targets(), step.account)

    def _withdraw(self, step: Step) -> None:
        change = Withdrawal(self.work.client, self.project_id, step.edits, self.plan_id, force=self.force)
        self.work.carry(change, step.targets(), step.account)

    def _append(self, step: Step) -> None:
        """Append as every other append does it; an external id that somebody took since the plan is declined."""
        from pandas_kili.writing.append_assets import append_rows  # noqa: PLC0415 - brings media/, as in `__init__`

        self._rename_left(step)
        made = [edit for (edit,) in step.edits.values()]
        rows = {name: [edit.after.get(name) for edit in made] for name in sorted({n for e in made for n in e.after})}
        frame = pd.DataFrame(
            {"id": list(step.edits), "externalId": [edit.external_id for edit in made], **rows}, dtype=object
        )
        given = self.work.options
        options = Options(self.project_id, given.client or self.work.client, given.disable_tqdm, errors="report")
        try:
            report = append_rows(frame, {"id": "id"}, "skip", options).kili.report
        except KiliValidationError as error:
            step.account.note(range(len(made)), Result("failed", str(error)))
            return
        except BaseException as error:
            _note(step, getattr(error, "report", None))
            raise
        _note(step, report)

    def _take_names(self) -> bool:
        """Give temporary names to assets with a name that others need, where these still are what the plan saw.

        Returns whether there is a way on.
        """
        edits = [(asset_id, name, alias(self.plan_id, asset_id)) for asset_id, name in self.blockers.items()]
        return not edits or not self._rename(edits).account.having("not_sent").any()

    def _give_back_names(self) -> None:
        """Give assets that still have a temporary name their own name back, where it is free."""
        results = self.results()
        done = {asset_id for asset_id, result in results.items() if result.outcome in {"applied", "unchanged"}}
        left = [
            (asset_id, alias(self.plan_id, asset_id), name)
            for asset_id, name in self.blockers.items()
            if asset_id not in done
        ]
        if left:
            self._rename(left)

    def _rename_left(self, step: Step) -> None:
        """Name assets that the plan appends again, but that were not deleted: they may still have a temporary name."""
        client = self.work.client
        ids = [asset_id for asset_id, (edit,) in step.edits.items() if edit.is_back]
        parts = in_order(
            lambda part: read_back(client, part, "id externalId", self.project_id),
            chunked(ids, BATCH_SIZE),
            workers=client.max_workers,
        )
        there = {asset_id: asset["externalId"] for _, shown_ in parts for asset_id, asset in shown_.items()}
        left = [
            (asset_id, name, str(step.edits[asset_id][0].external_id))
            for asset_id, name in there.items()
            if name == alias(self.plan_id, asset_id)
        ]
        if left:
            self._rename(left)

    def _rename(self, names: Sequence[tuple[str, str, str]]) -> Step:
        """Rename assets: ids, and names from and to; what became of them is no row's result."""
        edits = {
            asset_id: [Edit("rename", asset_id, before, "externalId", before, after)]
            for asset_id, before, after in names
        }
        step = Step(edits, self._revise)
        self._revise_with(step, in_order=False, force=False)
        return step


def _note(step: Step, report: pd.DataFrame | None) -> None:
    """Take over what became of new assets."""
    if report is None:
        return
    ids = list(step.edits)
    for place, (asset_id, outcome, message) in enumerate(
        zip(report["id"], report["outcome"], report["message"], strict=True)
    ):
        is_other = outcome == "unchanged" and asset_id != ids[place]
        found = "" if pd.isna(asset_id) else f": {asset_id}"
        result = Result("declined", f"{HELD_BY_ANOTHER} now{found}") if is_other else Result(outcome, message)
        step.account.note([place], result)


def _renames_and_blockers(
    changed: Mapping[str, Sequence[Edit]], new: Mapping[str, Sequence[Edit]], gone: Mapping[str, Sequence[Edit]]
) -> tuple[list[str], dict[str, str]]:
    """Return the renames that wait for each other, in an order that frees names first; and assets that block others.

    Those that block are one asset of each ring of names, and assets to delete with a name that another takes;
    with their names.
    """
    renames = {edit.asset_id: edit for of in changed.values() for edit in of if edit.operation == "rename"}
    holder = {edit.before: asset_id for asset_id, edit in renames.items()}
    taken = {edit.after for edit in renames.values()} | {of[0].external_id for of in new.values()}
    blockers = {asset_id: str(of[0].external_id) for asset_id, of in gone.items() if of[0].external_id in taken}
    waits = {asset_id: holder[edit.after] for asset_id, edit in renames.items() if edit.after in holder}
    ordered, rings = freed_first([*waits, *waits.values()], waits)
    return ordered, blockers | {asset_id: str(renames[asset_id].before) for asset_id in rings}
