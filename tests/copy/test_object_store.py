"""A copy in an object store is made, refreshed and read as one in a folder is."""

import copying
import pandas as pd
import pytest
from object_store import ObjectStore

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

COPY = "s3://bucket/copies/digits"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def store():
    with ObjectStore() as store:
        yield store


def filled(sandbox, rows=120):
    project = sandbox.create_project("P", "TEXT")
    ids = sandbox.add_assets(project, [{"externalId": f"a{row}", "content": "text"} for row in range(rows)])
    return project, ids


def synced(sandbox, project, store, **options):
    options = {"fields": copying.FIELDS, "storage_options": store.options, **options}
    return pk.sync(project, COPY, client=sandbox.client, **options)


def test_a_copy_in_an_object_store_is_made_and_refreshed(sandbox, store):
    project, ids = filled(sandbox)
    assert synced(sandbox, project, store).inserted == 120
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:20], "jsonResponse": ["{}"] * 20}))
    sandbox.delete_assets(ids[30:33])
    report = synced(sandbox, project, store)
    assert (report.updated, report.deleted) == (20, 3)
    kept = pk.read_copy(COPY, storage_options=store.options).sort_values("id", ignore_index=True)
    read = pk.read_kili(project, fields=copying.FIELDS, client=sandbox.client).sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(kept, read)
    assert len(pk.read_copy(COPY, version=2, storage_options=store.options)) == 120
    assert synced(sandbox, project, store, fields=["id"], full=True).inserted == 117


@pytest.mark.parametrize(
    ("options", "said"), [({"AWS_ALLOW_HTTP": True, "AWS_SECRET": b"hush"}, "is a bool"), ("hush", "got a str")]
)
def test_options_of_a_store_are_text(sandbox, options, said):
    for use in (pk.read_copy, lambda copy, **more: pk.sync("any", copy, client=sandbox.client, **more)):
        with pytest.raises(pk.KiliValidationError, match=said) as told:
            use(COPY, storage_options=options)
        assert "hush" not in str(told.value)


def test_of_two_writers_to_an_object_store_one_is_refused(sandbox, store):
    project, ids = filled(sandbox)
    synced(sandbox, project, store)
    sandbox.add_labels(pd.DataFrame({"assetId": ids[:5], "jsonResponse": ["{}"] * 5}))
    once = []

    def other(request):
        if request.operation == "assets" and not once:
            once.append(None)
            once[0] = synced(sandbox, project, store)

    sandbox.before_request(other)
    with pytest.raises(pk.KiliCopyError, match="run this one again"):
        synced(sandbox, project, store)
    sandbox.clear_hooks()
    assert once[0].updated == 5


def test_a_store_that_cannot_be_reached_is_said_so_without_its_secret():
    with ObjectStore() as store:
        pass
    with pytest.raises(pk.KiliCopyError, match=r"storage_options.*untouched") as told:
        pk.read_copy(COPY, storage_options=store.options)
    assert store.options["AWS_SECRET_ACCESS_KEY"] not in str(told.value)
    assert "Connection refused" in str(told.value) or "error sending request" in str(told.value)


@pytest.mark.parametrize("retries", ["0", "3"])
@pytest.mark.parametrize("lost", ["0.json", "1.json", "2.json", "3.json"])
def test_a_commit_that_was_made_counts_as_made_though_its_response_was_lost(sandbox, lost, retries):
    """A client that tries again finds its own commit in its way."""
    project, ids = filled(sandbox)
    with ObjectStore(lost) as store:
        store.options["max_retries"] = retries
        assert synced(sandbox, project, store).inserted == 120
        sandbox.delete_assets(ids[:3])
        report = synced(sandbox, project, store)
        assert (report.deleted, report.version) == (3, 3)
        kept = pk.read_copy(COPY, storage_options=store.options)
        assert sorted(kept["id"]) == sorted(ids[3:])


@pytest.mark.parametrize("lost", ["0.json", "3.json"])
def test_a_store_that_ends_with_a_commit_leaves_open_whether_it_was_made(sandbox, lost):
    project, ids = filled(sandbox)
    with ObjectStore(lost, is_mortal=True) as store:
        if lost != "0.json":
            synced(sandbox, project, store)
            sandbox.delete_assets(ids[:3])
        with pytest.raises(pk.KiliCopyError, match="is not known") as told:
            synced(sandbox, project, store)
    assert "untouched" not in str(told.value)
