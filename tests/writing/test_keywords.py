"""Keywords that no verb has are a TypeError that says what was meant."""

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.writing import keywords

FRAME = pd.DataFrame({"id": ["a"], "content": ["x"]})


@pytest.mark.parametrize(
    ("verb", "keyword", "hint"),
    [
        ("append_many_to_dataset", "content_array", "it is content= here"),
        ("append_many_to_dataset", "external_id_array", "it is external_id= here"),
        ("append_many_to_dataset", "from_csv", "pd.read_csv"),
        ("append_many_to_dataset", "contents", "it is content= here"),
        ("append_many_to_dataset", "json_metadatas", "it is json_metadata= here"),
        ("update_properties_in_assets", "priorities", "it is priority= here"),
        ("update_properties_in_assets", "asset_ids", "the column 'id' says"),
        ("update_properties_in_assets", "external_ids", "the column 'externalId' says"),
        ("update_properties_in_assets", "prioritty", "did you mean priority="),
        ("append_labels", "author_id_array", "the user of the API key"),
        ("delete_many_from_dataset", "asset_ids", "the column 'id' says"),
        ("add_to_review", "dryrun", "did you mean dry_run="),
        ("send_back_to_queue", "nonsense", "unexpected keyword argument 'nonsense'"),
        ("change_asset_external_ids", "asset_ids", "the column 'id' says"),
    ],
)
def test_a_keyword_that_is_not_there_says_what_is_meant(verb, keyword, hint):
    positional = {"append_labels": ("answer",), "change_asset_external_ids": ("new",)}.get(verb, ())
    with pytest.raises(TypeError) as caught:
        getattr(FRAME.kili, verb)(*positional, **{keyword: ["x"]})
    assert str(caught.value).startswith(f"{verb}() got an unexpected keyword argument {keyword!r}")
    assert hint in str(caught.value)


def test_what_is_said_to_be_a_keyword_here_is_one():
    known = keywords.NewAssetColumns.__optional_keys__ | keywords.PropertyColumns.__optional_keys__
    assert set(keywords._RENAMED.values()) <= known | {"json_response", "seconds_to_label"}
    assert known.isdisjoint({*keywords._RENAMED, *keywords._REPLACED})


def test_a_client_or_a_project_of_another_kind_is_named_without_being_printed():
    for options in ({"client": "https://x"}, {"project_id": FRAME}):
        with pytest.raises(ValueError, match=r"got a (str|DataFrame)") as caught:
            FRAME.kili.delete_many_from_dataset(**options)
        assert len(str(caught.value)) < 120


def test_a_frame_in_the_place_of_a_project_is_named_by_its_shape_wherever_a_project_is_asked_for():
    client = pk.Client("key", "http://127.0.0.1:9/graphql")
    for ask in (
        lambda: pk.read_kili(FRAME, client=client),
        lambda: pk.count_assets(FRAME, client=client),
        lambda: pk.scan_batches(FRAME, client=client),
        lambda: pk.read_events(FRAME, client=client),
        lambda: pk.delete_project(FRAME, title="A", client=client),
        lambda: pk.sync(FRAME, "copy", client=client),
    ):
        with pytest.raises(ValueError, match=r"project.*a string; got a DataFrame of shape \(1, 2\)"):
            ask()
