"""Whatever a server answers, what goes out is a true result or an error of our tree."""

import collections
import contextlib
import copy
import json
import random
import tracemalloc
import warnings

import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import TEXTS, examples, no_hang, only_our_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Reply, ScriptedServer
from writing import SwiftClock, client_of, filled, hurry

import pandas_kili as pk
from pandas_kili.connection import server_schema
from pandas_kili.query.fields import select
from pandas_kili.reading import wire
from pandas_kili.reading.wire import read_pages
from pandas_kili.sandbox import Sandbox

pytestmark = pytest.mark.fuzz

FIELDS = ["id", "externalId", "createdAt", "priority", "consensusMark", "isHoneypot", "jsonMetadata", "status"]
FIELDS += ["labels.id", "labels.jsonResponse", "labels.author.email", "currentStep.name"]
SELECTION = select(FIELDS, also=["id", "createdAt"])


def asset(number):
    return {
        "id": f"a{number}",
        "externalId": f"ünï {number} \N{GRINNING FACE}",
        "createdAt": f"2024-01-01T00:00:00.{number:03}Z",
        "priority": number,
        "consensusMark": number / 10,
        "isHoneypot": bool(number % 2),
        "jsonMetadata": json.dumps({"n": number, "text": 'a "b" \\ c'}),
        "status": "LABELED",
        "labels": [
            {"id": f"l{n}", "jsonResponse": '{"J": {"categories": [{"name": "A"}]}}', "author": {"email": "x@y.org"}}
            for n in range(number % 3)
        ],
        "currentStep": None if number % 2 else {"name": "Review"},
    }


ASSETS = [asset(number) for number in range(4)]
PAGE = json.dumps({"data": {"data": ASSETS}}, ensure_ascii=False, separators=(",", ":")).encode()


def rows_of(bodies):
    assets, lengths = read_pages(bodies, SELECTION.wire)
    assets.validate(full=True)
    assert sum(lengths) == len(assets)
    return assets.to_pylist()


GOOD = rows_of([PAGE])
PIECES = [
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"1e999",
    b"-",
    b"NaN",
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b"\\ud800",
    b'"',
    b"\\",
]
PIECES += [b",", b":", b"{", b"}", b"[", b"]", b"\n", b"\xef\xbb\xbf", b"9" * 30, b'"id":', b'"data":', b"true"]


@st.composite
def mutated(draw):
    """A page of which some bytes were changed, put in, taken out or said twice."""
    body = bytearray(PAGE)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from([0, 1, 1, 2, 5, 40])))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.just(bytes(body[start:end]) * 2)))
        body[start:end] = piece
    return bytes(body)


def meaning(body):
    """What another parser makes of the same bytes, as far as it takes them."""
    objects = json.loads(body)["data"]["data"]
    return [(each["id"], each.get("externalId"), each.get("priority"), each.get("jsonMetadata")) for each in objects]


def rows_or_refusal(body):
    """Read a page, and return nothing where it is refused, or said to be repaired."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            rows = rows_of([body])
        except pk.KiliError:
            rows = []
    texts = [str(warning.message) for warning in said]
    assert all("UTF-8" in text or "surrogate" in text for text in texts)
    return [] if texts else rows


@settings(max_examples=examples(400))
@given(body=mutated())
def test_a_damaged_page_is_read_as_it_says_or_refused(body):
    rows = rows_or_refusal(body)
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, UnicodeError):
        for row, (id_, external_id, priority, metadata) in zip(rows, meaning(body), strict=True):
            assert row["id"] == id_ or not isinstance(id_, str)
            assert row["externalId"] == external_id or not isinstance(external_id, str)
            assert row["jsonMetadata"] == metadata or not isinstance(metadata, str)
            assert row["priority"] == priority or not isinstance(priority, int)


@settings(max_examples=examples(60))
@given(body=mutated())
def test_a_damaged_page_damages_no_page_beside_it(body):
    with contextlib.suppress(pk.KiliError, UserWarning):
        rows = rows_of([PAGE, body, PAGE])
        assert rows[: len(GOOD)] == rows[-len(GOOD) :] == GOOD


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ASSETS[0], "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=examples(200))
@given(data=st.dictionaries(st.sampled_from(list(ASSETS[0])), JSON))
def test_values_of_other_types_are_read_or_refused(data):
    """Whatever a field holds, it comes out as itself, as its JSON text, or not at all."""
    body = json.dumps({"data": {"data": [{**ASSETS[0], **data}]}}).encode()
    row = (rows_or_refusal(body) or [{**data}])[0]
    for name in ("id", "externalId", "jsonMetadata", "status"):
        if name in data and isinstance(data[name], str):
            assert row[name] == data[name]
    if isinstance(data.get("priority"), int) and not isinstance(data["priority"], bool):
        assert row["priority"] == data["priority"]
    if isinstance(data.get("isHoneypot"), bool):
        assert row["isHoneypot"] is data["isHoneypot"]


@pytest.fixture(scope="module")
def server():
    server = ScriptedServer()
    yield server
    server.close()


@settings(max_examples=examples(80))
@given(body=mutated() | st.binary() | JSON.map(lambda content: json.dumps({"data": {"data": content}}).encode()))
def test_a_read_of_damaged_answers_ends_with_rows_or_with_an_error_of_ours(server, body):
    class Answers:
        """Gives the damaged answer to every query but that of the count."""

        def pop(self, _):
            count = b"countAssets" in server.asked[-1].body
            return Reply(b'{"data":{"data":4}}' if count else body)

        def __bool__(self):
            return True

    server.asked.clear()
    server.script = Answers()
    client = pk.Client("key", server.endpoint, timeout=(5, 5), max_calls_per_minute=10**6, max_workers=2)
    client._use_clock(SwiftClock())
    with warnings.catch_warnings(), client:
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", pk.KiliConsistencyWarning)
        with contextlib.suppress(pk.KiliError):
            frame = pk.read_kili("p", fields=["id", "externalId", "priority"], client=client, validate=False)
            assert frame["id"].is_unique
    assert len(server.asked) < 100


# --- answers to everything else --------------------------------------------------------------------------------------

ODD = [None, True, 0, -1, 10**30, 1e300, "", "x", "\x00", [], {}, [[]], [None], [{}], {"id": None}, {"data": []}]
VERBS = ["append", "update", "rename", "delete", "review", "queue", "label", "merge"]
VERBS += ["read", "step", "count", "media", "names"]


def inner_nodes(value, found):
    """List the places of a JSON value, each as what holds it and where therein."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found.append((value, key))
        inner_nodes(value[key], found)
    return found


def misshapen(body, chance):
    """Replace values in some places of an answer, or take them out, or repeat them.

    What is put in is a copy: a second damage to it must neither make the answer
    contain itself nor change what a later seed puts in.
    """
    content = json.loads(body)
    for _ in range(chance.randint(1, 3)):
        places = inner_nodes(content, [])
        if not places:
            break
        holder, key = chance.choice(places[: chance.choice([3, 20, len(places)])])
        how = chance.randrange(4)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif how == 2 and isinstance(holder[key], str):
            holder[key] += chance.choice(["x", "\x00", "\ud800"])
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return json.dumps(content).encode()


def broken(body, chance):
    """Cut, flip, splice or nest the bytes of an answer."""
    at, to = sorted(chance.choices(range(len(body) + 1), k=2))
    flipped = bytearray(body)
    flipped[min(at, len(body) - 1)] ^= 1 << chance.randrange(8)
    deep = chance.choice([b'{"data":' * 100_000, b"[" * 100_000, b'{"data":{"data":' + b"[" * 100_000])
    spliced = body[:at] + chance.choice(PIECES) + body[to:]
    return chance.choice([body[:at], bytes(flipped), spliced, body[:to] + body[at:], deep, b'{"data":{"data":1e999}}'])


POOLS = []  # kept to the end of the process: an array must not outlive its pool


def most_memory(bodies, monkeypatch):
    """Return the bytes that reading pages needed at most, of Python and of Arrow."""
    POOLS.append(pa.proxy_memory_pool(pa.system_memory_pool()))
    monkeypatch.setattr(wire, "POOL", POOLS[-1])
    tracemalloc.start()
    try:
        with warnings.catch_warnings(), contextlib.suppress(pk.KiliError):
            warnings.simplefilter("ignore", UserWarning)
            read_pages(bodies, SELECTION.wire)
        return tracemalloc.get_traced_memory()[1] + POOLS[-1].max_memory()
    finally:
        tracemalloc.stop()


@settings(max_examples=examples(25))
@given(seed=st.integers(0, 2**32), damaged=st.integers(1, 8), values=st.booleans())
def test_damaged_pages_take_little_more_memory_than_sound_ones(seed, damaged, values):
    chance = random.Random(seed)
    pages = [json.dumps({"data": {"data": list(map(asset, range(at, at + 100)))}}).encode() for at in range(8)]
    ways = [misshapen, unpacked] if values else [misshapen, broken]
    with pytest.MonkeyPatch.context() as monkeypatch:
        sound = most_memory(pages, monkeypatch)
        pages[:damaged] = [chance.choice(ways)(page, chance) for page in pages[:damaged]]
        assert most_memory(pages, monkeypatch) < 1.5 * sound


def unpacked(body, chance):
    """Give answers as JSON where JSON text is promised; all of them, or those of some assets."""
    content = json.loads(body)
    for label in (label for each in content["data"]["data"][chance.randrange(50) :] for label in each["labels"]):
        label["jsonResponse"] = json.loads(label["jsonResponse"])
    return json.dumps(content).encode()


class Liar:
    """Stands between a sandbox and its clients, and damages answers."""

    def __init__(self, sandbox):
        self.routes = sandbox._running().routes
        self.honest, self.damage, self.calls = self.routes.graphql, None, 0
        self.routes.graphql = self.answer

    def answer(self, request):
        reply = self.honest(request)
        self.calls += 1
        if self.damage is not None:
            reply.body = self.damage(reply.body, request)
        return reply

    @contextlib.contextmanager
    def lying(self, damage):
        self.damage, self.calls = damage, 0
        try:
            yield
        finally:
            self.damage = None
        assert self.calls < 2000


@pytest.fixture(scope="module", params=["current", "legacy"])
def sandbox(request):
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        Sandbox(generation=request.param, max_calls_per_minute=None) as sandbox,
    ):
        hurry(monkeypatch)
        sandbox.liar = Liar(sandbox)
        yield sandbox


def acted(verb, project, ids, client):
    """Do something with two of the assets of a project, and return what came of it."""
    frame = pd.DataFrame({"id": ids[:2], "externalId": ["n0", "n1"]})
    options = {"project_id": project, "client": client}
    answer = '{"JOB_0": {"categories": [{"name": "A"}]}}'
    done = {
        "append": lambda: pd.DataFrame(
            {"externalId": ["n0", "new"], "content": "https://e.org/1.png"}
        ).kili.append_many_to_dataset(project, if_exists="skip", client=client),
        "update": lambda: frame.assign(priority=[3, 4]).kili.update_properties_in_assets("priority", **options),
        "rename": lambda: frame.assign(new=["r0", "r1"]).kili.change_asset_external_ids("new", **options),
        "delete": lambda: frame.drop(columns="id").kili.delete_many_from_dataset(**options),
        "review": lambda: frame.kili.add_to_review(**options),
        "queue": lambda: frame.kili.send_back_to_queue(**options),
        "label": lambda: frame.assign(jsonResponse=answer).kili.append_labels(**options),
        "merge": lambda: frame.assign(site="Lyon").kili.merge_metadata("site", **options),
        "read": lambda: pk.read_kili(project, fields=FIELDS, client=client, validate=False),
        "step": lambda: pk.count_assets(project, step_name_in=["Label"], client=client),
        "count": lambda: pk.count_assets(project, status_in=["TODO"], client=client),
        "media": lambda: frame.assign(content="").kili.download_media(project, client=client),
        "names": lambda: client.names("Asset"),
    }
    return done[verb]()


def state(sandbox, project):
    return {
        each["id"]: {name: each.get(name) for name in ("externalId", "priority", "status", "jsonMetadata")}
        for each in sandbox.assets(project)
    }


@pytest.mark.parametrize("verb", VERBS)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 2**32))
def test_answers_that_are_damaged_end_in_errors_of_ours(sandbox, verb, seed):
    chance = random.Random(seed)
    project, ids = filled(sandbox, 3, labeled=range(2))
    server_schema._SCHEMAS.clear()

    def damage(body, request):
        if chance.random() < 0.6:
            return body
        return chance.choice([misshapen, misshapen, broken])(body, chance)

    with no_hang(), sandbox.liar.lying(damage), client_of(sandbox) as client, only_our_errors():
        acted(verb, project, ids, client)


@pytest.mark.parametrize("verb", ["append", "update", "rename", "delete", "label", "merge"])
@settings(max_examples=examples(6))
@given(seed=st.integers(0, 2**32))
def test_outcomes_are_true_whatever_a_mutation_is_answered(sandbox, verb, seed):
    chance = random.Random(seed)
    project, ids = filled(sandbox, 3)

    def damage(body, request):
        changes = request.document.lstrip().startswith("mutation")
        return chance.choice([misshapen, broken])(body, chance) if changes and chance.random() < 0.7 else body

    with no_hang(), sandbox.liar.lying(damage), client_of(sandbox) as client:
        try:
            with only_our_errors(passing=()):
                out = acted(verb, project, ids, client)
        except pk.KiliMutationError as error:
            out = error.frame
    wanted = {
        "append": lambda at: any(each["externalId"] == out["externalId"][at] for each in now.values()),
        "update": lambda at: now[ids[at]]["priority"] == 3 + at,
        "rename": lambda at: now[ids[at]]["externalId"] == f"r{at}",
        "delete": lambda at: ids[at] not in now,
        "label": lambda at: labels.get(ids[at], 0) == 1,
        "merge": lambda at: json.loads(now[ids[at]]["jsonMetadata"]) == {"site": "Lyon"},
    }[verb]
    now = state(sandbox, project)
    labels = collections.Counter(label["assetId"] for label in sandbox.labels(project))
    assert max(labels.values(), default=0) <= 1
    assert len({each["externalId"] for each in now.values()}) == len(now)
    for at, outcome in enumerate(out.kili.report["outcome"]):
        assert outcome != "applied" or wanted(at)
        assert outcome != "not_sent" or not wanted(at)
