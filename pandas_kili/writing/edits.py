"""Single changes of a plan: a property of an asset from one value to another; how values are compared and sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pandas_kili.json_text import json_text, stored

Operation = Literal["append", "update", "rename", "delete"]
OPERATIONS: tuple[Operation, ...] = ("append", "update", "rename", "delete")

KEY = "jsonMetadata."  # before the name of a key that is changed beside those that stay
DEFAULTS: Mapping[str, Any] = {"priority": 0, "toBeLabeledBy": [], "isUsedForConsensus": False}  # of new assets
MEDIA = ("content", "jsonContent")
APPENDED = ("content", "jsonContent", "jsonMetadata", "isHoneypot")  # what an asset can be made with
KEPT = ("externalId", "jsonMetadata", "priority", "isHoneypot", "toBeLabeledBy", "latestLabel.id")
"""What must be as it was planned for an asset to be deleted; media are served under addresses that change."""
RESTORED = (*APPENDED, "priority", "consensusMark", "honeypotMark", "toBeLabeledBy", "isUsedForConsensus")
_SELECTIONS = {"toBeLabeledBy": "toBeLabeledBy { user { email } }", "latestLabel.id": "latestLabel { id }"}


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One row of `Plan.changes`.

    Attributes
    ----------
    operation : {"append", "update", "rename", "delete"}
    asset_id : str
        Also of an asset to append: its id is made when the change is planned.
    external_id : str or None
        As it is before the change.
    property : str or None
        ``externalId``, a property, or ``jsonMetadata.<key>``; None for appended and deleted assets.
    before, after : object
        Values on the wire, people by their e-mail addresses; dicts of properties for appended and deleted assets. A key
        of metadata that is not there is None.
    row : object
        Label of the row that asks for it; None for a deletion.
    is_back : bool
        Of an append, whether it brings a deleted asset back.
    """

    operation: Operation
    asset_id: str
    external_id: str | None
    property: str | None
    before: Any
    after: Any
    row: Any = None
    is_back: bool = False


def selection(properties: Iterable[str]) -> str:
    """Return the fields to ask for, as GraphQL writes them."""
    names = dict.fromkeys("jsonMetadata" if name.startswith(KEY) else name for name in properties)
    return " ".join(dict.fromkeys(["id", "externalId", *(_SELECTIONS.get(name, name) for name in names)]))


def value_of(asset: Mapping[str, Any], name: str) -> Any:
    """Return a property of an asset as the server shows it."""
    if name.startswith(KEY):
        return metadata_of(asset.get("jsonMetadata")).get(name.removeprefix(KEY))
    if name == "toBeLabeledBy":
        return [user["user"]["email"] for user in asset.get(name) or ()]
    if name == "latestLabel.id":
        return (asset.get("latestLabel") or {}).get("id")
    return asset.get(name)


def metadata_of(text: Any) -> dict[str, Any]:
    """Return the keys of metadata; metadata that is no object has none."""
    try:
        value = stored(text) if isinstance(text, str) else text
    except (RecursionError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def differing(name: str, wanted: Sequence[Any], there: Sequence[Any]) -> list[int]:
    """Return the places at which two columns of a property may differ; at all others they are the same for certain."""
    places = []
    if wanted != there:
        places = [place for place, (one, other) in enumerate(zip(wanted, there, strict=True)) if one != other]
    kinds = list(map(type, wanted))
    if name.startswith(KEY) and (kinds != list(map(type, there)) or not {dict, list}.isdisjoint(kinds)):
        pairs = enumerate(zip(kinds, map(type, there), strict=True))  # to Python, flags are numbers
        places += [place for place, (one, other) in pairs if one is not other or one in {dict, list}]
    places = [place for place in places if wanted[place] is not None]
    return [one for one in places if not _is_same_text(wanted[one], there[one])] if name == "jsonMetadata" else places


def _is_same_text(one: str, other: str | None) -> bool:
    """Return whether JSON texts hold the same for certain; where there are flags, numbers to Python, they may not."""
    if not other or any(flag in text for text in (one, other) for flag in ("true", "false")):
        return False
    try:
        return bool(stored(one) == stored(other))
    except (RecursionError, ValueError):
        return False


def is_same(name: str, one: Any, other: Any) -> bool:
    """Return whether two values of a property mean the same: metadata by what they hold, people in any order."""
    if type(one) is type(other) and one == other and not isinstance(one, (dict, list)):
        return True
    if name == "toBeLabeledBy":
        return set(one or ()) == set(other or ())
    if name == "isUsedForConsensus":
        return bool(one) == bool(other)
    if name in MEDIA and isinstance(one, str) and isinstance(other, str) and is_address(one) and is_address(other):
        return _place(one) == _place(other)
    if name in {"jsonMetadata", "jsonContent"}:
        return _is_equal(_parsed(one), _parsed(other))
    return _is_equal(one, other)


def is_address(text: str) -> bool:
    """Return whether a medium is given by its address."""
    return text.startswith(("http://", "https://"))


def is_signed(address: str) -> bool:
    """Return whether an address is signed, so that it is another one at each reading."""
    return "signature" in urlsplit(address).query.lower()


def _place(address: str) -> str:
    """Return an address without what differs from one reading to the next."""
    return address.partition("?")[0] if is_signed(address) else address


def _parsed(text: Any) -> Any:
    """Return what JSON text holds; null and empty text are metadata without keys."""
    if text is None or (isinstance(text, str) and not text.strip()):
        return {}
    try:
        return stored(text) if isinstance(text, str) else text
    except (RecursionError, ValueError):
        return text


def _is_equal(one: Any, other: Any) -> bool:
    """Compare JSON values; unlike Python's, flags are no numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def payload_of(edits: Iterable[Edit], asset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the server calls AssetData: new values, and metadata with their keys put in.

    Raises
    ------
    NotJsonError
        Where keys go into metadata that hold NaN.
    """
    payload: dict[str, Any] = {}
    keys = {}
    for edit in edits:
        if str(edit.property).startswith(KEY):
            keys[str(edit.property).removeprefix(KEY)] = edit.after
        else:
            payload[str(edit.property)] = edit.after
    if keys:
        metadata = metadata_of(asset.get("jsonMetadata")) | keys
        gone = {key for key, value in keys.items() if value is None}
        payload["jsonMetadata"] = json_text({key: value for key, value in metadata.items() if key not in gone})
    if payload.get("toBeLabeledBy") == []:
        payload["shouldResetToBeLabeledBy"] = True
    return payload
