"""The official SDK in an environment of its own, for the tests in which it is the judge."""

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

VERSION = os.environ.get("PANDAS_KILI_SDK_VERSION", "26.2.4")  # CONTRIBUTING.md lists those that are tried
# Up to 26.1 the SDK calls operations that the newest servers have given up: the server at the turn knows both.
IS_NEWEST = tuple(map(int, VERSION.split(".")[:2])) >= (26, 2)
GENERATION = "current" if IS_NEWEST else "both"
newest = pytest.mark.skipif(not IS_NEWEST, reason="up to 26.1 the SDK has not these arguments, or another report")
# An import of the SDK takes longer than most scripts: it is done once, and each script runs in a fork of that process.
FORKS = """
import json, os, signal, sys, traceback
import kili.client, kili.utils.labels.parsing
for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(120)
        for stream, name in enumerate(task["streams"]):
            os.dup2(os.open(name, os.O_CREAT | (os.O_WRONLY if stream else os.O_RDONLY)), stream)
        os.environ.clear()
        os.environ.update(task["environment"])
        status = 1
        try:
            exec(task["script"], {"__name__": "__main__"})
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitpid(child, 0)[1], flush=True)
"""
PREAMBLE = """
    import inspect, json, sys, warnings
    warnings.simplefilter("ignore")
    from kili.client import Kili
    given = json.load(sys.stdin)
    options = {"disable_tqdm": True} if "disable_tqdm" in inspect.signature(Kili).parameters else {}  # not in 2.x
    kili = Kili(given["key"], given["endpoint"], **options)
"""


@pytest.fixture(scope="session")
def sdk(request):
    """Return the interpreter of an environment that holds the official SDK, made on first use."""
    folder = os.environ.get("PANDAS_KILI_SDK_ENV")
    if folder:
        return made(Path(folder))
    cache = request.config.cache.mkdir("sdk")
    with alone(cache / "lock"):
        return made(cache / VERSION)


@contextlib.contextmanager
def alone(lock):
    """Let one process pass after the other: those of a parallel run share the environment."""
    import fcntl  # noqa: PLC0415 - not on Windows

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made(folder):
    """Return the interpreter of the environment in this folder, which is made unless it is there and whole."""
    python = folder / "bin" / "python"
    installed = f"import importlib.metadata as m; assert m.version('kili') == '{VERSION}'; import cv2, imagesize"
    if not python.exists() or subprocess.run([python, "-c", installed], capture_output=True, check=False).returncode:
        for command in (
            [sys.executable, "-m", "venv", folder],
            [python, "-m", "pip", "install", "--quiet", f"kili[coco,image]=={VERSION}"],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.fail(f"The environment of the official SDK cannot be made: {made.stderr[-2000:]}")
    return python


@pytest.fixture(scope="session")
def script_of_sdk(sdk, tmp_path_factory):
    """Return a function that runs a script with the SDK, given a text as its input, and returns what it printed."""
    folder = tmp_path_factory.mktemp("sdk")
    command, home = [sdk, "-c", FORKS], {**os.environ, "HOME": str(folder)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home) as forks:

        def run(script, given):
            given_in, out, errors = (folder / name for name in ("in", "out", "errors"))
            given_in.write_text(given)
            out.unlink(missing_ok=True)
            errors.unlink(missing_ok=True)
            task = {"script": script, "streams": [str(given_in), str(out), str(errors)]}
            task["environment"] = {**os.environ, "HOME": str(folder)}
            forks.stdin.write(json.dumps(task) + "\n")
            forks.stdin.flush()
            status = forks.stdout.readline()
            assert status == "0\n", errors.read_text()[-3000:] or status
            return out.read_text()

        yield run
        forks.stdin.close()


@pytest.fixture
def run(script_of_sdk, sandbox):
    """Run a script in which `kili` is a client of the sandbox, and return the value that it leaves in `result`."""

    def run(script, **given):
        source = textwrap.dedent(PREAMBLE) + textwrap.dedent(script) + "\nprint(json.dumps(result))"
        given |= {"key": sandbox.api_key, "endpoint": sandbox.api_endpoint}
        return json.loads(script_of_sdk(source, json.dumps(given)).splitlines()[-1])

    return run
