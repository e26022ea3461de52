"""Foreign text in messages: printable on any console, and short where a file holds it; and what to install."""

import io
import logging
import re
import sys

# Half a character (a byte of a name that is not UTF-8, half an emoji) and what moves a cursor or rings a bell.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with escapes for what is no text, and for what the consoles of this process refuse to encode."""
    text = _NO_TEXT.sub(lambda found: _escape(found[0]), text)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # none is there without a console, and others refuse nothing
            try:
                text.encode(stream.encoding, stream.errors or "strict")
            except UnicodeEncodeError:
                text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    return text


def accept_any_text(package: str) -> None:
    """Let the consoles and logs of this process take whatever text is printed, and make what `package` logs printable.

    They write escapes for what their encoding lacks. Where they raise UnicodeEncodeError instead, logging an error ends
    the thread that does it: Python then prints the error and its causes to the same console.
    """
    logging.getLogger(package).addHandler(_PRINTABLE_RECORDS)
    logs = [handler.stream for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
    for stream in (sys.stdout, sys.stderr, *logs):
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors="backslashreplace")


class _PrintableRecords(logging.Handler):
    """Makes records printable; the handlers of the loggers above its own, which write them, come after it."""

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = printable(record.getMessage()), None


_PRINTABLE_RECORDS = _PrintableRecords()


def shorten(value: object) -> str:
    """`value` as Python would write it, cut to 80 characters."""
    try:
        return _cut(ascii(value), 80)
    except ValueError:  # a whole number of thousands of digits, which Python does not write out
        return f"a {type(value).__name__} that is too long to write out"


def shorten_text(text: str) -> str:
    """`text` without quotes and on one line, cut to 160 characters; control characters are escaped."""
    return _cut(_escape(" ".join(text.split())), 160)


def shorten_error(error: Exception) -> str:
    """What `error` says, without a full stop; of the system's errors the words alone; its type if it says nothing."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shorten_text(said.rstrip(". \n")) or type(error).__name__


def install_command(*packages: str) -> str:
    """What installs `packages` for the Python that runs this, which need not be the one whose pip is found first."""
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable or "python"
    return f"{python} -m pip install {' '.join(packages)}"


def _escape(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
