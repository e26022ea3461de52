"""The page on the nodes is the one that is written from their texts and schemas."""

from __future__ import annotations

import json
import re

from devtools.nodes_page import PAGE, TEXTS, make_page, read_sources
from repository import ROOT


def test_the_committed_page_is_the_one_written_from_the_texts():
    """Broken by another text or another node; `python -m devtools.nodes_page` mends it."""
    assert PAGE.read_text(encoding="utf-8") == make_page()


def test_the_page_has_every_node_with_a_help_page_and_its_sockets():
    page, texts = PAGE.read_text(encoding="utf-8"), json.loads(TEXTS.read_text(encoding="utf-8"))
    assert read_sources().keys() == texts.keys()
    rows = {match[1]: match[0] for match in re.finditer(r"^\| \[.*?/web/docs/(\w+)\.md.*$", page, re.MULTILINE)}
    assert rows.keys() == texts.keys()
    for node_id, text in texts.items():
        assert (ROOT / "web" / "docs" / f"{node_id}.md").is_file()
        sockets = [*text["inputs"], *(output["name"] for output in text["outputs"].values())]
        assert re.findall(r"`(\w+)`", rows[node_id].partition(text["description"])[2]) == sockets


def test_an_input_with_a_question_mark_is_one_that_the_node_runs_without():
    """The contract of the host tests says the same of the running nodes."""
    sources = read_sources()
    assert sources["TamingForgetTokens"].optional == {"mask", "strength", "seed", "grow", "patch"}
    assert sources["TamingEncode"].optional == frozenset()
    assert "| `tokens`, `mask`?, `strength`?," in make_page()
