"""The editor as the README shows it: `python -m devtools.screenshot` runs the first workflow and takes its picture.

It needs Playwright and Pillow, so run it with `.venv`'s Python.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

from PIL import Image

from . import ROOT
from .browser import chromium, open_editor
from .host import get_host, make_base
from .server import Server
from .workflows import example_workflows

TARGET = ROOT / "docs" / "images" / "workflow.jpg"
# What the button Run does.
RUN = """async (workflow) => {
  await app.loadGraphData(workflow);
  await app.queuePrompt(0, 1);
}"""


def main() -> None:
    """Take the picture."""
    host, workflow = get_host(), json.loads(example_workflows()[0].read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        make_base(Path(folder), host)
        with Server(host, Path(folder)) as server:
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            open_editor(server, page, is_nodes2=True)
            page.evaluate(RUN, workflow)
            while not server.get("/history"):
                page.wait_for_timeout(500)
            page.wait_for_timeout(3000)  # for the pictures to be shown
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(TARGET, quality=85, optimize=True)
    print(TARGET, picture.size)


if __name__ == "__main__":
    main()
