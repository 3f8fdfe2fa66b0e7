"""A project is streamed to whatever reads Arrow, in constant memory and only as far as it is read."""

import time

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from scripted import Reply, ScriptedServer
from waiting import eventually, own_threads

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox

ROWS = 350
MANY = 40_000
MOST_AHEAD = (
    130  # pages that are fetched, parsed or waiting, however long the project: six blocks, two rounds of workers
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def project(sandbox):
    project = sandbox.create_project("Texts", "TEXT")
    rows = pd.DataFrame({"externalId": [f"{number:05}" for number in range(ROWS)], "content": "x"})
    sandbox.add_assets(project, rows.assign(jsonMetadata='{"a": 1}'))
    labels = rows[::2].assign(jsonResponse='{"JOB": {}}', author="ann@example.com").drop(columns="content")
    sandbox.add_labels(labels, project_id=project)
    return project


@pytest.fixture
def client(sandbox):
    sandbox.clear_requests()
    with pk.Client(sandbox.api_key, sandbox.api_endpoint, max_calls_per_minute=100_000) as client:
        yield client
    sandbox.clear_faults()


class Kili(ScriptedServer):
    """A server of one project of very many assets."""

    def take(self, asked):
        variables = asked.json["variables"]
        if "countAssets" in asked.json["query"]:
            return Reply.of({"data": {"data": MANY}})
        super().take(asked)
        places = range(variables["skip"], min(variables["skip"] + variables["first"], MANY))
        rows = [
            {"id": f"a{place:06}", "createdAt": f"2024-01-01T00:00:{place // 1000:02}.{place % 1000:03}Z"}
            for place in places
        ]
        return Reply.of({"data": {"data": rows}})


@pytest.fixture
def many():
    server = Kili()
    server.client = pk.Client("key", server.endpoint, max_calls_per_minute=100_000)
    yield server
    server.client.close()
    server.close()


@pytest.mark.parametrize(
    "fields", [pk.DEFAULT_FIELDS, ["status", "latestLabel.author.email", "labels.id"], {"_": pa.bool_(), "id": None}]
)
def test_schema_and_rows_are_those_of_the_pandas_read(project, client, fields):
    reader = pk.scan_batches(project, fields=fields, client=client)
    frame = pk.read_kili(project, fields=fields, client=client)
    assert {field.name: pd.ArrowDtype(field.type) for field in reader.schema} == frame.dtypes.to_dict()
    assert list(reader.schema.names) == list(frame.columns)
    pd.testing.assert_frame_equal(reader.read_pandas(types_mapper=pd.ArrowDtype), frame, check_flags=False)


@pytest.mark.parametrize("rows", [1, 99, 100, 101, ROWS, 10_000])
def test_batches_have_so_many_rows_and_the_last_what_is_left(project, client, rows):
    sizes = [len(batch) for batch in pk.scan_batches(project, fields=["id"], batch_size=rows, client=client)]
    assert sum(sizes) == ROWS
    assert set(sizes[:-1]) <= {rows}
    assert 0 < sizes[-1] <= rows


def test_places_and_filters_are_those_of_the_pandas_read(project, client):
    options = {"fields": ["externalId"], "status_in": ["LABELED"], "skip": 3, "first": 120, "client": client}
    table = pk.scan_batches(project, batch_size=50, **options).read_all()
    assert table["externalId"].to_pylist() == pk.read_kili(project, **options)["externalId"].tolist()


def test_an_empty_project_is_a_stream_without_rows(sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    reader = pk.scan_batches(project, client=client)
    schema = reader.schema
    table = reader.read_all()
    assert len(table) == 0
    assert table.schema == schema
    assert pl.from_arrow(pk.scan_batches(project, client=client)).shape == (0, 9)


def test_nothing_is_asked_before_the_first_batch_is(project, sandbox, client):
    reader = pk.scan_batches(project, fields=["id"], client=client)
    assert sandbox.requests == []
    reader.read_next_batch()
    assert sandbox.requests != []


def test_duckdb_reads_the_stream_as_a_table(project, client):
    reader = pk.scan_batches(project, batch_size=100, client=client)  # noqa: F841 - the query names it
    query = """
        SELECT status, count(*), sum(len(labels)), max(labels[1].author.email), min(jsonMetadata->>'a')
        FROM reader GROUP BY status ORDER BY status
    """
    with duckdb.connect() as connection:
        found = connection.sql(query).fetchall()
    assert found == [("LABELED", 175, 175, "ann@example.com", "1"), ("TODO", 175, 0, None, "1")]


def test_polars_reads_the_stream_as_a_frame(project, client):
    frame = pl.from_arrow(pk.scan_batches(project, batch_size=100, client=client))
    expected = pk.read_kili(project, client=client)
    assert frame["externalId"].to_list() == expected["externalId"].tolist()
    assert frame["createdAt"].dtype == pl.Datetime("ms", "UTC")
    assert (
        frame.select("labels").explode("labels").unnest("labels")["author"].struct.field("email").drop_nulls().len()
        == 175
    )


def test_a_parquet_data_set_is_written_from_the_stream(project, client, tmp_path):
    ds.write_dataset(
        pk.scan_batches(project, batch_size=100, client=client),
        tmp_path / "assets",
        format="parquet",
        max_rows_per_file=200,
        max_rows_per_group=200,
    )
    assert len(list(tmp_path.glob("assets/*.parquet"))) == 2
    frame = pd.read_parquet(tmp_path / "assets", dtype_backend="pyarrow")
    pd.testing.assert_frame_equal(frame, pk.read_kili(project, client=client))


def test_what_is_under_way_does_not_grow_with_the_project(many):
    ahead, read = [], 0
    for batch in pk.scan_batches("p", fields=["id"], batch_size=500, client=many.client):
        read += len(batch)
        ahead.append(len(many.asked) - read // 100)
    assert read == MANY
    assert max(ahead) <= MOST_AHEAD < MANY // 100


def test_the_arrow_memory_in_use_does_not_grow_with_the_project(many):
    start = pa.total_allocated_bytes()
    used = [
        pa.total_allocated_bytes() - start
        for _ in pk.scan_batches("p", fields=["id"], batch_size=500, client=many.client)
    ]
    row = len("a000000") + 4  # the id, and its offset
    assert max(used) < MANY * row


@pytest.mark.parametrize("end", ["close", "drop"])
def test_ending_half_way_stops_the_requests(many, end):
    reader = pk.scan_batches("p", fields=["id"], batch_size=500, client=many.client)
    assert len(reader.read_next_batch()) == 500
    if end == "close":
        reader.close()
    del reader
    assert eventually(lambda: not own_threads())
    assert len(many.asked) <= MOST_AHEAD


def test_a_query_with_a_limit_asks_for_no_more_than_a_stream_reads_ahead(many):
    reader = pk.scan_batches("p", fields=["id"], batch_size=500, client=many.client)  # noqa: F841 - the query names it
    with duckdb.connect() as connection:
        assert len(connection.sql("SELECT * FROM reader LIMIT 10").fetchall()) == 10
    time.sleep(0.2)  # for what would come after
    assert len(many.asked) <= MOST_AHEAD


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.read_all(),
        pl.from_arrow,
        lambda reader: duckdb.sql("SELECT count(*) FROM reader").fetchall(),
    ],
    ids=["pyarrow", "polars", "duckdb"],
)
def test_an_error_of_reading_ends_the_stream_and_says_why(project, sandbox, client, read):
    sandbox.inject(
        Fault("graphql_error", operation="assets", nth=3, times=None, code="BAD_USER_INPUT", message="No luck")
    )
    with pytest.raises(Exception, match="No luck"):
        read(pk.scan_batches(project, fields=["id"], batch_size=100, client=client))


def test_an_error_keeps_its_class_where_arrow_itself_reads(sandbox, client):
    with pytest.raises(pk.KiliNotFoundError):
        pk.scan_batches("nowhere", fields=["id"], client=client).read_all()


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (pk.KiliFilterError, {"batch_size": 0}),
        (pk.KiliFilterError, {"first": 0}),
        (pk.KiliFilterError, {"skiped": True}),
        (pk.KiliFieldError, {"fields": ["nmae"]}),
    ],
)
def test_what_is_wrong_is_said_before_any_request(project, sandbox, client, error, options):
    with pytest.raises(error):
        pk.scan_batches(project, client=client, **options)
    assert sandbox.requests == []
