"""Errors as a node's user reads them: each names the input that is to blame, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..taming.errors import TamingError


@contextmanager
def blaming(input_name: str, kinds: type[TamingError] | tuple[type[TamingError], ...] = TamingError) -> Iterator[None]:
    """Let the message of errors of these `kinds` say that `input_name` is to blame."""
    try:
        yield
    except kinds as error:
        raise type(error)(name_input(str(error), input_name)) from error


def name_input(message: str, input_name: str) -> str:
    """`message` with the name of the input: before what goes on, after whole sentences, nowhere if it is there already.

    "it is empty." becomes "mask: it is empty.", and "This transformer has no class 'a'." is followed by "Check the
    input label.".
    """
    named = rf"\b{re.escape(input_name)}\b"
    if message[:1].isupper():
        is_named = re.search(named, message.partition(". ")[0])
        return message if is_named else f"{message} Check the input {input_name}."
    return message if re.match(named, message) else f"{input_name}: {message}"
