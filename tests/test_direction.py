"""The package reads from top to bottom: each room and each module imports only what comes before it."""

import ast
import collections
import functools
import re
from pathlib import Path

import pytest

import pandas_kili

pytestmark = pytest.mark.once

ROOT = Path(pandas_kili.__file__).parent
# Rooms and lone modules, lowest first; the modules of a room in their order.
HOUSE = {
    "errors": "",
    "messages": "",
    "scalars": "",
    "parallel": "",
    "arrow": "",
    "frames": "",
    "json_text": "",
    "catalog": "terms users projects labels events assets entities reference",
    "query": "fields category_search filters",
    "connection": (
        "settings private_networks adapter pools rate_limit document transport verdict retry graphql_response"
        " server_schema downloads files client lookup"
    ),
    "progress": "",
    "tidy": (
        "answers answers.schema answers.json_values answers.conversations answers.geometry answers.walk"
        " answers.kind_rows answers.annotation_keys answers.columns answers.plain_answers answers.read answers.compose"
        " jobs labels people offsets wide annotations shape_checks interface_checks"
        " answer_checks schema_columns drawn_boxes write_answers metadata assignment overlap chance comparison"
        " agreement label_errors"
    ),
    "media": "kinds inspection medium texts rules upload imports names ledger fetch download",
    "reading": "wire frame members validation windows tally looks walk long_answers crawl finish reader read parts",
    "display": (
        "escaping palette deadline known_classes choice decoder thumbnails decoding media maps overlay spans summary"
        " cards style overview gallery"
        " axes matrices plot"
    ),
    "writing": (
        "account interruption cells delivery recent identity mutations work keywords update rename move"
        " new_assets presence append_assets append_labels merge_metadata projects edits revision apply"
        " holdings scope compare plan_text plan_file inverse plan"
    ),
    "formats": "stills pictures shapes samples classes folder incoming coco coco_reader yolo voc geojson huggingface",
    "copy": "events fingerprint state table log_since sync",
    "accessor": "mutations tables exports views",
    "dask": "cluster read accessor",
    "sandbox": "",
    "pytest_plugin.pandas_kili_pytest": "",
    ".": "",
    "__main__": "",
}
ORDER = [
    *(f"{room}.{module}" if module else room for room, modules in HOUSE.items() for module in [*modules.split(), ""])
]
PUBLIC = {"sandbox", "dask"}  # users import from these rooms too
FREE = {"sandbox"}  # the order of their modules is their own
# Frames have the accessor, whose methods return frames: the one import that looks up, for types only.
KNOT = ("frames", "accessor")


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__").replace("__init__", ".")


PRESENT = sorted(map(name_of, ROOT.rglob("*.py")))
ROOMS = sorted(name for name in PRESENT if name != "." and (ROOT / name).is_dir())


def path_of(module):
    path = ROOT.joinpath(*module.strip(".").split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def room_of(module):
    return module if module == "." else module.partition(".")[0]


@functools.cache
def parsed(module):
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


@functools.cache
def imports(module):
    """Return what a module imports of the package, inside functions and for types too: (module, name)."""
    found = []
    for node in ast.walk(parsed(module)):
        pairs = [(each.name, None) for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            pairs = [(node.module, each.name) for each in node.names]
        for package, name in pairs:
            head, _, tail = package.partition(".")
            if head == "pandas_kili":
                inner = f"{tail}.{name}".strip(".")
                is_module = inner in PRESENT and name not in exported(tail or ".")
                found.append((inner, None) if is_module else (tail or ".", name))
    return found


@functools.cache
def exported(room):
    """Return what `__all__` of a module lists."""
    lists = [
        node.value
        for node in parsed(room).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    return set(ast.literal_eval(lists[0])) if lists and room != "." else set()


def test_the_order_names_every_module_and_no_other():
    listed = set(ORDER)
    assert {name for name in PRESENT if room_of(name) not in FREE} | FREE == listed


@pytest.mark.parametrize("module", [name for name in PRESENT if room_of(name) not in FREE or name in FREE])
def test_a_module_imports_only_earlier_ones(module):
    earlier = [*ORDER[: ORDER.index(module)], *KNOT[1:]] if module == KNOT[0] else ORDER[: ORDER.index(module)]
    found = [name if name in ORDER else room_of(name) for name, _ in imports(module)]
    assert [name for name in found if name not in earlier and room_of(name) != room_of(module)] == []
    if module not in ROOMS:  # the module of a room gathers what it exports
        assert [name for name in found if name not in earlier] == []


@pytest.mark.parametrize("module", [name for name in PRESENT if room_of(name) == "sandbox"])
def test_the_sandbox_knows_the_client_and_never_the_catalog(module):
    found = {name for name, _ in imports(module) if room_of(name) != "sandbox"}
    assert found <= {"errors", "messages", "connection"}
    assert {name for room, name in imports(module) if room == "connection"} <= {"Client"}


def test_the_modules_of_the_sandbox_form_no_circle():
    modules = [name for name in PRESENT if name.startswith("sandbox.")]
    left = {name: {found for found, _ in imports(name)} & set(modules) for name in modules}
    while free := [name for name, needed in left.items() if not needed & set(left)]:
        for name in free:
            del left[name]
    assert left == {}


@pytest.mark.parametrize("module", PRESENT)
def test_what_a_room_does_not_export_is_private_to_it(module):
    for name, attribute in imports(module):
        room = room_of(name)
        if room in ROOMS and room != room_of(module):
            assert name == room, f"{module} reaches past the door of {room}, to {name}"
            assert attribute in exported(room), f"{room} does not export {attribute}"


@pytest.mark.parametrize("room", [room for room in ROOMS if "." not in room and room not in PUBLIC])
def test_a_room_exports_only_what_another_one_uses(room):
    used = {
        attribute
        for module in PRESENT
        if room_of(module) != room
        for name, attribute in imports(module)
        if name == room
    }
    assert exported(room) - used == set()


NAMESAKES: set[str] = set()


def test_no_two_classes_have_the_same_name():
    places = collections.defaultdict(list)
    for module in PRESENT:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1 and name not in NAMESAKES} == {}


BRITISH = re.compile(
    r"labell(?:ing|ed|er)|colour|catalogue|licence|neighbour|behaviour|favour|honour|centred?\b|\bgrey|artefact"
    r"|(?:organ|recogn|initial|serial|normal|summar|optim|minim|maxim|synchron|author|categor|util)is(?:e|ing|ation)",
    re.IGNORECASE,
)


def test_the_spelling_is_american():
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in sorted(ROOT.rglob("*"))
        if path.suffix in {".py", ".md", ".graphql", ".html", ".css", ".js"}
        for word in BRITISH.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []
