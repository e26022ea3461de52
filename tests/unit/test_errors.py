"""Errors as hosts and other processes see them."""

from __future__ import annotations

import pickle
import traceback

import pytest

from taming import errors


def kinds() -> list[type[errors.TamingError]]:
    named = [getattr(errors, name) for name in dir(errors)]
    return [each for each in named if isinstance(each, type) and issubclass(each, errors.TamingError)]


@pytest.mark.parametrize("kind", kinds())
def test_no_module_stands_before_the_message(kind: type[errors.TamingError]):
    """ComfyUI put the path of the pack there, twice, in a narrow panel."""
    shown = traceback.format_exception_only(kind("label: there is no 'tiger'."))
    assert shown == [f"{kind.__name__}: label: there is no 'tiger'.\n"]


@pytest.mark.parametrize("kind", kinds())
def test_an_error_arrives_from_another_process_as_it_was_raised(kind: type[errors.TamingError]):
    error = pickle.loads(pickle.dumps(kind("folder: empty.")))
    assert type(error) is kind and str(error) == "folder: empty."
