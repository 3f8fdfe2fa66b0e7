"""The keywords of the verbs, as types that editors complete."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, TypedDict

from pandas_kili.connection import Client
from pandas_kili.messages import nearest
from pandas_kili.writing.work import Options


class MutationOptions(TypedDict, total=False):
    """Keywords that all mutations take.

    Attributes
    ----------
    client : Client
        Connection to use; by default one that the environment describes.
    disable_tqdm : bool
        Switch the progress bar off or on; by default it is shown in notebooks and terminals.
    dry_run : bool
        Check everything, and send nothing that changes the server; the report says ``not_sent``, and what would become
        of each row.
    errors : {"raise", "report"}
        What to do where rows ``failed`` or were ``not_sent``: raise `KiliMutationError` once every row has its outcome,
        or return the frame with its report.
    """

    client: Client | None
    disable_tqdm: bool | None
    dry_run: bool
    errors: Literal["raise", "report"]


class NewAssetColumns(MutationOptions, total=False):
    """Keywords of `KiliAccessor.append_many_to_dataset`: the column of each property, and the `MutationOptions`.

    Attributes
    ----------
    content : label
        http(s) URLs, local files, or raw text in TEXT projects.
    external_id : label
        Names of the user's own.
    id : label
        Ids; by default they are made here.
    json_content : label
        Rich text, or the frames of a video.
    json_metadata : label or list of labels
        Dicts, lists or JSON text; or several columns, which become the keys of the metadata.
    is_honeypot : label
        True or False.
    status : label
        One of Kili's; current servers compute it themselves.
    """

    content: Hashable | None
    external_id: Hashable | None
    id: Hashable | None
    json_content: Hashable | None
    json_metadata: Hashable | list[str] | None
    is_honeypot: Hashable | None
    status: Hashable | None


class PropertyColumns(MutationOptions, total=False):
    """Keywords of `KiliAccessor.update_properties_in_assets`: the column of each property, and the `MutationOptions`.

    Attributes
    ----------
    priority : label
        Whole numbers of 32 bits.
    json_metadata : label or list of labels
        Dicts, lists or JSON text, which replace what was there; or several columns, which become the keys of the
        metadata. A null cell is no key. Neither is a null in dicts that all have the same keys, as Parquet gives them.
    consensus_mark, honeypot_mark : label
        Numbers within 0 and 1.
    to_be_labeled_by : label
        Lists of e-mail addresses; an empty one removes the assignment.
    content, json_content : label
        As for new assets.
    status : label
        One of Kili's; current servers compute it themselves.
    is_used_for_consensus, is_honeypot : label
        True or False.
    """

    priority: Hashable | None
    json_metadata: Hashable | list[str] | None
    consensus_mark: Hashable | None
    honeypot_mark: Hashable | None
    to_be_labeled_by: Hashable | None
    content: Hashable | None
    json_content: Hashable | None
    status: Hashable | None
    is_used_for_consensus: Hashable | None
    is_honeypot: Hashable | None


# Keywords of Kili's SDK, from 2.13x to 26.2: what they are called here, or what takes their place.
_RENAMED = {
    "content_array": "content",
    "contents": "content",
    "external_id_array": "external_id",
    "id_array": "id",
    "json_content_array": "json_content",
    "json_contents": "json_content",
    "json_metadata_array": "json_metadata",
    "json_metadatas": "json_metadata",
    "is_honeypot_array": "is_honeypot",
    "is_used_for_consensus_array": "is_used_for_consensus",
    "status_array": "status",
    "priorities": "priority",
    "consensus_marks": "consensus_mark",
    "honeypot_marks": "honeypot_mark",
    "to_be_labeled_by_array": "to_be_labeled_by",
    "json_response_array": "json_response",
    "seconds_to_label_array": "seconds_to_label",
}
_BY_ID = "the column 'id' says which asset a row is"
_BY_NAME = "the column 'externalId' says which asset a row is"
_REPLACED = {
    "asset_id": _BY_ID,
    "asset_ids": _BY_ID,
    "asset_id_array": _BY_ID,
    "label_asset_ids": _BY_ID,
    "external_ids": _BY_NAME,
    "asset_external_ids": _BY_NAME,
    "asset_external_id_array": _BY_NAME,
    "author_id_array": "labels are of the user of the API key",
    "from_csv": "read the file with pd.read_csv first",
    "csv_separator": "read the file with pd.read_csv first",
    "wait_until_availability": "the call always waits until the assets are there",
    "multi_layer_content_array": "json_content= takes images of several layers",
    "resolution_array": "resolutions are computed by the server",
    "page_resolutions_array": "resolutions are computed by the server",
    "overwrite": "labels are never overwritten",
    "step_name": "the server knows the step of each asset",
    "project_ids": "a call writes to one project: project_id=",
}


def columns_and_options(
    verb: str, known: frozenset[str], project_id: str | None, keywords: Mapping[str, Any]
) -> tuple[dict[str, Any], Options]:
    """Tell the columns that keywords name, such as those of a `TypedDict`, from the options among them."""
    options = {name: value for name, value in keywords.items() if name in MutationOptions.__optional_keys__}
    columns = {name: value for name, value in keywords.items() if name not in options}
    _refuse_unknown(verb, columns, known)
    return columns, Options(project_id, **options)


def options_of(verb: str, project_id: str | None, keywords: Mapping[str, Any]) -> Options:
    """Return the options that keywords name."""
    _refuse_unknown(verb, keywords, MutationOptions.__optional_keys__)
    return Options(project_id, **keywords)


def _refuse_unknown(verb: str, keywords: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise the TypeError of a function, with a word on what was meant."""
    for name in keywords:
        if name in known:
            continue
        hint = ""
        if name in _RENAMED:
            hint = f"; it is {_RENAMED[name]}= here, and takes the label of a column"
        elif name in _REPLACED:
            hint = f"; here, {_REPLACED[name]}"
        elif near := nearest(name, known):
            hint = f"; did you mean {' or '.join(f'{one}=' for one in near)}?"
        raise TypeError(f"{verb}() got an unexpected keyword argument {name!r}{hint}")
