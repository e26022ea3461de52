"""Make example_workflows/: `python -m devtools.templates [WORDS]`, those alone that have all the words in their names.

It asks a real server for the nodes and a real editor for their sizes, so run it with `.venv`'s Python.
"""

from __future__ import annotations

import sys

from .. import ROOT
from ..layout import open_editors
from ..workflows import has_words, write_workflow
from .catalog import TEMPLATES
from .graph import Graph

FOLDER = ROOT / "example_workflows"


def main(words: list[str]) -> int:
    """Write the workflows; returns 1 if something in one of them is hidden."""
    found = 0
    with open_editors() as editors:
        for template in TEMPLATES:
            if not has_words(template.name, words):
                continue
            graph = Graph(template.name, editors.object_info, template.is_app)
            template.build(graph)
            workflow = graph.workflow()
            editors.fit(workflow)
            editors.lay_out(workflow)
            write_workflow(FOLDER / f"{template.name}.json", workflow)
            found += editors.report(template.name, workflow)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
