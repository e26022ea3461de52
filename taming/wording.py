"""Foreign values in error messages: one short line of printable ASCII, whatever a file holds."""


def shorten(value: object) -> str:
    """`value` as Python would write it, cut to 80 characters."""
    return _cut(ascii(value), 80)


def shorten_text(text: str) -> str:
    """`text` without quotes and on one line, cut to 160 characters; control characters are escaped."""
    return _cut(" ".join(text.split()).encode("unicode_escape").decode("ascii"), 160)


def shorten_error(error: Exception) -> str:
    """What `error` says, without a full stop; its type if it says nothing."""
    return shorten_text(str(error).rstrip(". \n")) or type(error).__name__


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
