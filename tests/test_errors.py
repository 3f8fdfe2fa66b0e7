"""The error tree: builtins a user would catch, facts as attributes, pickles."""

import pickle

import pandas as pd
import pytest

from pandas_kili import errors

BUILTINS = {
    "KiliAuthenticationError": PermissionError,
    "KiliConnectionError": ConnectionError,
    "KiliGraphQLError": RuntimeError,
    "KiliNotFoundError": LookupError,
    "KiliFieldError": ValueError,
    "KiliFilterError": ValueError,
    "KiliValidationError": ValueError,
    "KiliDownloadError": OSError,
    "KiliMutationError": RuntimeError,
}


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_each_error_is_a_kili_error_and_the_builtin_one_would_catch(name, builtin):
    error = getattr(errors, name)
    assert issubclass(error, errors.KiliError)
    assert issubclass(error, builtin)
    assert str(error("what happened")) == "what happened"


def test_the_tree_drawn_in_the_docstring_names_every_class():
    assert all(name in errors.__doc__ for name in errors.__all__)


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (errors.KiliAuthenticationError("m", status=401), {"status": 401}),
        (
            errors.KiliConnectionError("m", status=502, attempts=3, outcome_unknown=True),
            {"status": 502, "attempts": 3, "outcome_unknown": True},
        ),
        (
            errors.KiliGraphQLError("m", errors=[{"extensions": {"code": "X"}}, {"message": "y"}], operation="assets"),
            {"operation": "assets", "codes": {"X"}},
        ),
        (errors.KiliNotFoundError("m"), {}),
        (errors.KiliFieldError("m", field="statu", suggestions=["status"]), {"suggestions": ("status",)}),
        (
            errors.KiliFilterError("m", problems={"first": "must be positive"}),
            {"problems": {"first": "must be positive"}},
        ),
        (errors.KiliDownloadError("m", failures=[{"asset_id": "a"}]), {"failures": [{"asset_id": "a"}]}),
    ],
)
def test_errors_carry_their_facts_through_a_pickle(error, facts):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == "m"
    assert {name: getattr(again, name) for name in facts} == facts


def test_errors_with_frames_pickle():
    report = pd.DataFrame({"outcome": ["failed"]})
    again = pickle.loads(pickle.dumps(errors.KiliMutationError("m", report=report, frame=report)))
    pd.testing.assert_frame_equal(again.report, report)
    pd.testing.assert_frame_equal(again.frame, report)
    failures = pickle.loads(pickle.dumps(errors.KiliValidationError("m", failure_cases=report))).failure_cases
    pd.testing.assert_frame_equal(failures, report)
