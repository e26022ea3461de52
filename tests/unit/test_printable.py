"""Messages on every console: what it cannot show is escaped, what it can show is left as it is."""

from __future__ import annotations

import io
import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from hypothesis import given

from foreign_text import FOREIGN, HALF, any_text
from taming.errors import ConditionError, TamingError
from taming.text import accept_any_text, printable

ENCODINGS = ("ascii", "cp1252", "cp949", "shift_jis", "utf-8")


def console(encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors, write_through=True)


def shown(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(any_text)
def test_an_error_can_be_printed_on_any_console_whatever_its_message_holds(encoding: str, text: str):
    """Half an emoji in a folder's name raised UnicodeEncodeError where the error was logged, on every console."""
    with redirect_stdout(console(encoding)) as stream:
        print(TamingError(f"there is no folder {text}."))
    assert shown(stream).startswith("there is no folder ")


@given(any_text)
def test_an_error_can_be_stored_and_sent_and_named_again(text: str):
    """Nodes name the input in a new error of the old one's message, and workers of a data loader send theirs."""
    error = ConditionError(text)
    str(error).encode("utf-8")
    assert str(ConditionError(str(error))) == str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_a_console_can_show_is_not_escaped():
    text = "\u00e9\u20ac \uace0\uc591\uc774 \U0001f600\n\t\\ud83d"
    with redirect_stdout(console("utf-8")):
        assert str(TamingError(text)) == text
    with redirect_stdout(console("cp1252")):
        assert str(TamingError(text)) == "\u00e9\u20ac \\uace0\\uc591\\uc774 \\U0001f600\n\t\\ud83d"


@pytest.mark.parametrize("errors", ["backslashreplace", "replace"])
def test_a_console_that_takes_any_text_is_no_reason_to_escape_it(errors: str):
    """The editor shows the same message, and can show all of it."""
    with redirect_stdout(console("ascii", errors)):
        assert str(TamingError("\uace0\uc591\uc774")) == "\uace0\uc591\uc774"


def test_a_program_without_a_console_has_messages_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert printable(f"\uace0{HALF}") == "\uace0\\ud83d"


@pytest.mark.parametrize("text", ["\ud83d", "caf\udce9", "a\0b", "\x1b[31m", "\x85", "\r"])
def test_halves_of_characters_and_control_characters_are_escaped(text: str):
    assert printable(text).isascii() and printable(text).isprintable()
    assert printable(text) != text and printable(printable(text)) == printable(text)


@contextmanager
def logging_to(stream: io.TextIOBase) -> Iterator[None]:
    """The log and the consoles of a host are `stream`; the package `safe` has been loaded."""
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    root.addHandler(handler)
    try:
        with redirect_stdout(stream), redirect_stderr(stream):
            accept_any_text("safe")
            yield
    finally:
        root.removeHandler(handler)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(any_text)
def test_a_host_can_log_the_traceback_of_any_error_and_of_its_causes(encoding: str, text: str):
    """Python reports a line that it cannot log, and with it prints the error that is handled: to the same console."""
    stream = console(encoding)
    with logging_to(stream):
        try:
            try:
                raise ValueError(text)
            except ValueError as cause:
                raise TamingError(text) from cause
        except TamingError as error:
            logging.error(f"!!! {error}")
            logging.error(traceback.format_exc())
    assert "direct cause" in shown(stream) and "Logging error" not in shown(stream)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(any_text)
def test_what_the_package_logs_can_be_logged_and_moves_no_cursor(encoding: str, text: str):
    stream = console(encoding)
    with logging_to(stream):
        logging.getLogger("safe.module").warning("%s is left out.", text)
    assert shown(stream).endswith(" is left out.\n") and "Logging error" not in shown(stream)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown(stream))


def test_a_log_that_is_closed_already_is_left_alone():
    stream = console("ascii")
    stream.close()
    with logging_to(stream):
        pass


def test_consoles_of_other_kinds_are_left_alone():
    stream = io.StringIO()
    with logging_to(stream):
        logging.getLogger("safe").warning(f"{FOREIGN} 100%")
    assert stream.getvalue() == f"{printable(FOREIGN)} 100%\n"
