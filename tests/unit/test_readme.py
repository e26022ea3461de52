"""The Korean README says what the English one says: the words differ, what can be run, seen or followed does not."""

from __future__ import annotations

import re
from collections import Counter

from repository import ROOT

ENGLISH, KOREAN = "README.md", "README.ko.md"
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (ENGLISH, KOREAN)}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROSE = {name: BLOCK.sub("", text) for name, text in TEXTS.items()}
COMMENT = re.compile(r"(^|\s+)# .*")
DESCRIPTION = re.compile(r"(?<=\S)\s{2,}.*")  # what stands beside a folder in the list of files


def code(name: str) -> list[tuple[str, list[str]]]:
    """The blocks without what is translated in them: comments, or what a list says of its files."""
    return [
        (language, [(COMMENT if language else DESCRIPTION).sub("", line) for line in block.splitlines()])
        for language, block in BLOCK.findall(TEXTS[name])
    ]


def found(pattern: str, name: str) -> list[str]:
    return re.findall(pattern, PROSE[name], re.MULTILINE)


def test_the_code_is_the_same_but_for_its_comments():
    assert code(KOREAN) == code(ENGLISH)
    assert len(code(ENGLISH)) > 3 and any(not language for language, _ in code(ENGLISH))


def test_the_pictures_headings_and_tables_are_the_same():
    for pattern in (r"!\[[^\]]+\]\(([^)]+)\)", r"^(#+) ", r"^(?:\d+\.|-) "):
        assert found(pattern, KOREAN) == found(pattern, ENGLISH) != []
    rows = {name: [line.count("|") for line in found(r"^\|.*\|$", name)] for name in PROSE}
    assert rows[KOREAN] == rows[ENGLISH] != []


def test_the_links_are_the_same_and_each_leads_to_the_other():
    links = {name: Counter(found(r"(?<!!)\[[^\]]+\]\(([^)]+)\)", name)) for name in PROSE}
    assert links[ENGLISH].pop(KOREAN) == links[KOREAN].pop(ENGLISH) == 1
    assert links[KOREAN] == links[ENGLISH] != Counter()


def test_no_figure_and_no_code_in_the_prose_was_left_behind():
    for pattern in (r"`[^`]+`", r"\d+(?:[.,]\d+)*"):
        words = {name: {" ".join(word.split()) for word in found(pattern, name)} for name in PROSE}
        assert words[ENGLISH] - words[KOREAN] == set()
