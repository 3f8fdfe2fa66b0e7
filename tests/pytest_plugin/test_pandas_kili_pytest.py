import subprocess
import sys

import pandas as pd

import pandas_kili as pk

PIPELINE_TEST = """
import pandas as pd, pandas_kili as pk

def test_a_pipeline(kili_project):
    pd.DataFrame({"content": ["Hello."]}).kili.append_many_to_dataset(kili_project)
    df = pd.read_kili(kili_project, fields=["id", "priority"])
    df.assign(priority=3).kili.update_properties_in_assets("priority")
    assert pd.read_kili(kili_project, fields=["priority"])["priority"].tolist() == [3]
"""
UNUSED = """
import sys

def test_nothing():
    assert "pandas" not in sys.modules
    assert "pandas_kili" not in sys.modules
"""


def run_pytest(folder, source):
    (folder / "test_own.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_the_fixtures_serve_a_project_to_clients_without_arguments(kili_sandbox, kili_project):
    pd.DataFrame({"content": ["a", "b"]}).kili.append_many_to_dataset(kili_project)
    assert pk.count_assets(kili_project) == 2
    assert pk.Client().api_endpoint == kili_sandbox.api_endpoint


def test_a_users_own_test_finds_the_fixtures_once_the_package_is_installed(tmp_path):
    done = run_pytest(tmp_path, PIPELINE_TEST)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_imported_where_the_fixtures_are_not_used(tmp_path):
    done = run_pytest(tmp_path, UNUSED)
    assert done.returncode == 0, done.stdout + done.stderr
