"""The pack's sockets and wires have colors of their own in the real editor."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from devtools import ROOT
from live_editor import Editor

SOURCE = (ROOT / "web" / "js" / "socket_colors.js").read_text(encoding="utf-8")
COLORS = dict(re.findall(r'^  (TAMING_\w+): "(#[0-9a-f]{6})",$', SOURCE, re.MULTILINE))
ADD_ALL = "types => types.forEach((type) => app.graph.add(LiteGraph.createNode(type)))"
NODES = ("TamingLoadTransformer", "TamingEmptyTokens", "TamingClassCondition", "TamingRecipe")  # they put out all types
WIRES = "types => Object.fromEntries(types.map((type) => [type, LGraphCanvas.link_type_colors[type]]))"
SET_THEME = "theme => app.extensionManager.setting.set('Comfy.ColorPalette', theme)"

# A classic socket is filled with what the canvas says for its type; one of Nodes 2.0 has a background of its own.
SOCKETS = """() => {
  const found = {};
  for (const node of app.graph.nodes) {
    const dots = document.querySelectorAll(`[data-node-id="${node.id}"] .lg-slot--output .slot-dot`);
    node.outputs.forEach((output, index) => {
      const dot = dots[index];
      found[output.type] = dot
        ? getComputedStyle(dot).backgroundColor
        : app.canvas.colourGetter.getDisconnectedColor(output.type);
    });
  }
  return found;
}"""


@pytest.fixture
def themed_editor(editor: Editor) -> Iterator[Editor]:
    """An editor whose theme is put back, because the server keeps it for the next."""
    yield editor
    editor.page.evaluate(SET_THEME, "dark")


def as_hex(color: str) -> str:
    """`rgb(255, 102, 17)`, as a page computes it, in the form of the source."""
    numbers = re.findall(r"\d+", color)
    return color if color.startswith("#") else "#" + "".join(f"{int(number):02x}" for number in numbers[:3])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_sockets_and_wires_have_the_colors_of_their_types(themed_editor: Editor, theme: str):
    """A change of theme takes the color from every type that the theme does not know."""
    page = themed_editor.page
    page.evaluate(SET_THEME, "light" if theme == "dark" else "dark")
    page.evaluate(SET_THEME, theme)
    page.evaluate(ADD_ALL, NODES)
    page.wait_for_timeout(1000)  # Nodes 2.0 mounts its elements
    assert page.evaluate(WIRES, list(COLORS)) == COLORS
    sockets = {type: as_hex(color) for type, color in page.evaluate(SOCKETS).items()}
    assert sockets == COLORS
    assert themed_editor.complaints == []


def test_a_theme_that_names_a_socket_is_followed(editor: Editor):
    editor.page.evaluate("LGraphCanvas.link_type_colors.TAMING_TOKENS = '#123456'")
    assert editor.page.evaluate(WIRES, ["TAMING_TOKENS"]) == {"TAMING_TOKENS": "#123456"}
