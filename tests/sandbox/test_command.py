"""The sandbox as a command: what it acknowledged outlives kill -9, and it stops cleanly when asked."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
import requests

from pandas_kili.__main__ import main
from pandas_kili.sandbox import Sandbox

APPEND = (
    "mutation($data: AppendManyAssetsData!, $where: ProjectWhere!) "
    "{ data: appendManyAssets(data: $data, where: $where) { id } }"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def served(path, port):
    command = [sys.executable, "-m", "pandas_kili", "sandbox", "--path", path, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline().strip() for _ in range(4)]
            yield process, lines
        finally:
            process.kill()


def ask(port, key, document, variables=None):
    endpoint = f"http://127.0.0.1:{port}/api/label/v2/graphql"
    body = {"query": document, "variables": variables}
    answer = requests.post(endpoint, json=body, headers={"Authorization": f"X-API-Key: {key}"}, timeout=10).json()
    assert "errors" not in answer, answer
    return answer["data"]["data"]


@pytest.mark.once
def test_kill_9_between_two_requests_loses_nothing(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        project, key = sandbox.create_project("Kept", "IMAGE"), sandbox.api_key
    port, expected = free_port(), []
    for turn in range(3):
        with served(tmp_path, port) as (process, _):
            for one in range(3):
                expected.append(f"{turn}-{one}")
                ask(port, key, APPEND, {"data": {"externalIDArray": expected[-1:]}, "where": {"id": project}})
            os.kill(process.pid, signal.SIGKILL)
    with served(tmp_path, port):
        document = "query($w: AssetWhere!) { data: assets(where: $w, first: 100, skip: 0) { externalId } }"
        rows = ask(port, key, document, {"w": {"project": {"id": project}}})
    assert [row["externalId"] for row in rows] == expected


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_says_how_to_reach_it_and_stops_when_asked(tmp_path, sign):
    port = free_port()
    with served(tmp_path, port) as (process, lines):
        endpoint = f"http://127.0.0.1:{port}/api/label/v2/graphql"
        assert endpoint in lines[0]
        assert lines[2] == f"export KILI_API_ENDPOINT={endpoint}"
        ask(port, lines[3].removeprefix("export KILI_API_KEY="), "{ data: me { id } }")
        process.send_signal(sign)
        assert process.wait(10) == 0


def test_a_port_that_is_taken_is_one_clear_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["sandbox", "--port", str(taken.getsockname()[1])]) == 1
    assert "cannot start" in capsys.readouterr().err


def test_it_creates_the_projects_that_are_asked_for(tmp_path):
    command = [sys.executable, "-m", "pandas_kili", "sandbox", "--path", tmp_path, "--project", "Cats: wild:IMAGE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline().strip() for _ in range(6)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with Sandbox(tmp_path) as sandbox:
        document = "{ data: projects(where: {}, first: 10, skip: 0) { id title inputType } }"
        (project,) = sandbox.client.execute(document)["data"]
    assert (project["title"], project["inputType"]) == ("Cats: wild", "IMAGE")
    assert lines[5] == f"The project 'Cats: wild' has the id {project['id']}"


@pytest.mark.parametrize("text", ["IMAGE", "Cats:PICTURE"])
def test_a_project_that_is_none_is_one_clear_line(capsys, text):
    assert main(["sandbox", "--project", text]) == 1
    assert "type" in capsys.readouterr().err
