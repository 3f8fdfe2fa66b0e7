"""What is public is what is listed here, is documented, and its examples run."""

import doctest
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import typing

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili import errors
from pandas_kili.sandbox import Fault, Sandbox

NAMES = {
    "ExportOptions",
    "read_coco",
    "read_voc",
    "read_yolo",
    "ANNOTATION_SCHEMA",
    "DEFAULT_FIELDS",
    "REMOVE",
    "Plan",
    "read_plan",
    "AssetFilters",
    "Client",
    "KiliAccessor",
    "KiliAuthenticationError",
    "KiliConnectionError",
    "KiliConsistencyWarning",
    "KiliCopyError",
    "KiliDeclinedWarning",
    "KiliDownloadError",
    "KiliError",
    "KiliFieldError",
    "KiliFilterError",
    "KiliFrame",
    "KiliGraphQLError",
    "KiliMutationError",
    "KiliNotFoundError",
    "KiliValidationError",
    "MutationOptions",
    "NewAssetColumns",
    "PropertyColumns",
    "SyncReport",
    "asset_schema",
    "count_assets",
    "create_project",
    "delete_project",
    "fields",
    "filters",
    "kili",
    "read_jobs",
    "read_kili",
    "read_members",
    "scan_batches",
    "to_code_points",
    "read_copy",
    "read_events",
    "sync",
    "to_json_response",
    "to_utf16_units",
}
FUNCTIONS = {name: getattr(pk, name) for name in sorted(NAMES) if inspect.isfunction(getattr(pk, name))}
CLASSES = {name: getattr(pk, name) for name in sorted(NAMES) if inspect.isclass(getattr(pk, name))}
METHODS = {
    f"{class_.__name__}.{name}": method
    for class_ in (pk.Client, pk.KiliAccessor, Sandbox)
    for name, method in inspect.getmembers(class_, inspect.isfunction)
    if not name.startswith("_")
}
MODULES = [
    "pandas_kili",
    *(module.name for module in pkgutil.walk_packages(importlib.import_module("pandas_kili").__path__, "pandas_kili.")),
]


def test_the_public_names_are_these():
    assert set(pk.__all__) == NAMES
    assert len(pk.__all__) == len(NAMES)
    for name in NAMES:
        assert hasattr(pk, name)


def test_nothing_else_of_the_package_looks_public():
    for name in NAMES:
        getattr(pk, name)  # some are loaded when they are used
    shown = {name for name in vars(pk) if not name.startswith("_") and not inspect.ismodule(getattr(pk, name))}
    assert shown == NAMES


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_and_says_what_it_is_for(module):
    if module.endswith(".dask"):
        pytest.importorskip("dask")
    assert importlib.import_module(module).__doc__.strip()


def run_python(program, **options):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False, **options
    )


@pytest.mark.parametrize(
    "module", ["pandas_kili", "pandas_kili.reading.read", "pandas_kili.reading.frame", "pandas_kili.sandbox"]
)
def test_each_can_be_imported_first(module):
    done = run_python(f"import {module}")
    assert done.returncode == 0, done.stderr


def test_importing_loads_nothing_heavy_and_speaks_to_nobody():
    program = """
import json, socket, sys
def refuse(*args, **kwargs): raise AssertionError("something was sent")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import pandas
before, names = set(sys.modules), set(dir(pandas))
import pandas_kili
frame = pandas.DataFrame({"id": ["a"]})
assert "kili" in dir(frame)
print(json.dumps([sorted(set(sys.modules) - before), sorted(set(dir(pandas)) - names)]))
"""
    done = run_python(program)
    assert done.returncode == 0, done.stderr
    loaded, patched = json.loads(done.stdout)
    heavy = {
        "pandera",
        "graphql",
        "tqdm",
        "tqdm.notebook",
        "IPython",
        "ipywidgets",
        "matplotlib",
        "PIL",
        "av",
        "pypdfium2",
        "imagesize",
        "puremagic",
        "xml.etree.ElementTree",
        "html.entities",
        "http.server",
        "dask",
        "distributed",
        "sklearn",
        "sqlite3",
        *(f"pandas_kili.{name}" for name in ("writing.append_assets", "dask", "media", "display", "sandbox")),
    }
    assert not heavy & set(loaded)
    assert patched == ["read_kili"]


def test_importing_starts_no_thread_and_needs_no_configuration(tmp_path):
    program = "import threading, pandas_kili; print(threading.active_count())"
    done = run_python(program, cwd=tmp_path, env={"PATH": "", "HOME": str(tmp_path)})
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_is_documented(name):
    assert CLASSES[name].__doc__
    if name != "KiliFrame":  # at run time, a DataFrame
        assert CLASSES[name].__module__.startswith("pandas_kili")


def test_errors_are_drawn_in_one_tree():
    for name in errors.__all__:
        class_ = getattr(errors, name)
        assert issubclass(class_, (errors.KiliError, UserWarning))
        assert name in errors.__doc__
        if class_ is not errors.KiliError:
            builtin = next(base.__name__ for base in class_.__mro__ if base.__module__ == "builtins")
            assert builtin in errors.__doc__


SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n(.*?)(?=^\w[\w ]*\n-{3,}\n|\Z)", re.MULTILINE | re.DOTALL)


def sections_of(function):
    return dict(SECTION.findall(inspect.getdoc(function) or ""))


def documented(section):
    """Return the names that begin the entries of a section."""
    entries = [line.split(":")[0] for line in section.splitlines() if line and not line.startswith(" ")]
    return {name.strip().lstrip("*") for entry in entries for name in entry.split(",")}


def parameters_of(function):
    names = set(inspect.signature(function).parameters) - {"self"}
    filters = set(pk.AssetFilters.__annotations__)
    return names - filters | {"filters"} if filters <= names else names


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_says_what_it_takes_gives_and_raises_with_an_example(name):
    function = FUNCTIONS[name]
    sections = sections_of(function)
    assert {"Returns", "Examples"} <= set(sections)
    assert documented(sections.get("Parameters", "")) == parameters_of(function)
    if name not in {"kili", "fields", "filters"}:  # these raise nothing
        raised = documented(sections["Raises"])
        assert raised
        ours = raised - {"ImportError"}  # of an extra that is not installed
        assert all(issubclass(getattr(errors, error), errors.KiliError) for error in ours)


HEAVY = {
    "asset_schema",
    "preview",
    "to_coco",
    "to_geojson",
    "to_hf",
    "to_voc",
    "to_yolo",
}  # their types are imported when used


@pytest.mark.parametrize("name", [name for name in [*FUNCTIONS, *METHODS] if name.split(".")[-1] not in HEAVY])
def test_types_are_real_ones_that_tools_can_look_up(name):
    function = (FUNCTIONS | METHODS)[name]
    assert typing.get_type_hints(function) or not inspect.signature(function).parameters
    assert "ForwardRef" not in str(inspect.signature(function, eval_str=True))


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_says_what_it_takes_and_gives(name):
    method = METHODS[name]
    assert inspect.getdoc(method)
    sections = sections_of(method)
    given = documented(sections.get("Parameters", ""))
    assert given <= parameters_of(method), "no parameter is documented that is not there"
    if name.startswith("KiliAccessor"):
        assert "Returns" in sections
        assert "Examples" in sections
        # What all of them take is documented once, in the class.
        said = given | documented(sections_of(pk.KiliAccessor).get("Parameters", ""))
        open_ended = {"options", "client", "project_id", "disable_tqdm"}
        assert parameters_of(method) - open_ended <= said | {"frame"}


def test_faults_are_documented_in_full():
    table = importlib.import_module(Fault.__module__).__doc__
    for kind in inspect.get_annotations(Fault, eval_str=True)["kind"].__args__:
        assert f"``{kind}``" in table


EXAMPLES = [
    example
    for module in MODULES
    if not (module.endswith(".dask") and importlib.util.find_spec("dask") is None)
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module))
    if example.examples
]


@pytest.fixture(scope="module")
def box():
    with Sandbox(max_calls_per_minute=None) as box:
        yield box


def project_of_250_texts(box):
    """Add a project of 250 texts, 100 of which two people labeled, not always alike."""
    project = box.create_project("Texts", "TEXT", {"jobs": {"KIND": {"mlTask": "CLASSIFICATION"}}})
    box.add_assets(project, [{"externalId": f"text-{row:03}", "content": f"Text {row}."} for row in range(250)])
    labels = [
        {
            "externalId": f"text-{row:03}",
            "author": author,
            "jsonResponse": {"KIND": {"categories": [{"name": "B" if row % lapse == 0 else "A"}]}},
        }
        for row in range(250)
        if row % 5 < 2
        for author, lapse in (("ada@example.com", 10), ("bob@example.com", 15))
    ]
    box.add_labels(pd.DataFrame(labels), project_id=project)
    return project


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_of_a_docstring_runs_as_it_is_shown(example, box, monkeypatch):
    monkeypatch.setenv("KILI_API_KEY", box.api_key)
    monkeypatch.setenv("KILI_API_ENDPOINT", box.api_endpoint)
    example.globs.update(project_id=project_of_250_texts(box), client=box.client, pd=pd, pk=pk)
    told = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    assert result.failed == 0, "".join(told)
    assert result.attempted


def test_the_examples_of_what_is_public_are_among_those_that_run():
    run = {example.name.rpartition(".")[2] for example in EXAMPLES}
    assert set(FUNCTIONS) <= run
    assert "Client" in run


@pytest.mark.parametrize("function", [pk.read_kili, pk.count_assets, pk.scan_batches])
def test_filters_are_completed_and_described(function):
    parameters = inspect.signature(function).parameters
    assert set(pk.AssetFilters.__annotations__) <= set(parameters)
    assert "filters" not in parameters
    described = inspect.getdoc(pk.AssetFilters)
    assert all(f"\n    {name} " in described for name in pk.AssetFilters.__annotations__)


@pytest.mark.once
@pytest.mark.parametrize("jedi", [True, False])
def test_tab_completes_filters_methods_and_charts_in_ipython(jedi):
    program = f"""
import pandas as pd, pandas_kili as pk
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.Completer.use_jedi = {jedi}
shell.user_ns.update(pd=pd, pk=pk, df=pd.DataFrame({{"id": ["a"]}}))
for code in ('pd.read_kili("p", status_', "df.kili.add_to", "df.kili.plot.agree"):
    with provisionalcompleter():
        print(*[found.text.lstrip(".") for found in shell.Completer.completions(code, len(code))])
"""
    done = run_python(program)
    assert done.stdout.splitlines() == ["status_in=", "add_to_review", "agreement"], done.stderr
