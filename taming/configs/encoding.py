"""Encodings of text files that people's editors write: only UTF-8 is read, the others are called by their names."""

from __future__ import annotations

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def explain_encoding(content: bytes) -> str | None:
    """What a YAML file of `content` is where it is not UTF-8, to follow its name; None if it is."""
    if _is_utf_16(content):
        return "is text in UTF-16, as some programs on Windows write it. Save it as UTF-8."
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = content.decode("cp1252", errors="replace")
        if not all(character.isprintable() or character in "\t\r\n" for character in text):
            return "is not a text file, so it is not a YAML configuration."
        line = content.count(b"\n", 0, error.start) + 1
        return (
            f"is not text in UTF-8 (byte {content[error.start]:#04x} in line {line}), but in an older encoding such as "
            "cp1252 (Windows-1252). Save it as UTF-8."
        )
    return None


def _is_utf_16(content: bytes) -> bool:
    """Whether `content` has the mark of UTF-16, or every second byte of it is 0, as of ASCII text in it."""
    halves = content[::2], content[1::2]
    return content.startswith(UTF_16_MARKS) or any(len(half) > 1 and not half.strip(b"\0") for half in halves)
