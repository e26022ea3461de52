"""Errors as a node's user reads them: they start with the input that is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..taming.errors import TamingError


@contextmanager
def blaming(input_name: str, kinds: type[TamingError] | tuple[type[TamingError], ...] = TamingError) -> Iterator[None]:
    """Put `input_name` in front of the message of errors of these `kinds`."""
    try:
        yield
    except kinds as error:
        raise type(error)(f"{input_name}: {error}") from error
