"""The moving picture of the README: `python -m devtools.panorama` records a panorama as a real server draws it.

It needs Pillow and a websocket, so run it with `.venv`'s Python. A second pack lifts the limit on what previews may
cost, because a film wants more of them than a person does.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from . import ROOT
from .host import get_host, make_base
from .live_server import LiveServer
from .workflows import example_workflows, read_prompt, upload_examples

TARGET = ROOT / "docs" / "images" / "panorama.gif"
WORKFLOW = "03 Outpaint"
WIDTH_PX, COLORS = 640, 96
FRAMES = 40  # about
FRAME_MS, LAST_MS = 120, 2500
EAGER = f"""
import sys
for module in list(sys.modules.values()):
    if getattr(module, "GrowingPicture", None) and hasattr(module, "COST"):
        module.COST, module.SHARE, module.INTERVAL_SECONDS = 1e9, 1 / {FRAMES}, 1e9
NODE_CLASS_MAPPINGS = {{}}
"""


def main() -> None:
    """Record, and write the film."""
    host = get_host()
    (file,) = (file for file in example_workflows() if WORKFLOW in file.stem)
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), host)
        eager = Path(folder) / "custom_nodes" / "zz_eager_previews"  # ours is loaded before it
        eager.mkdir()
        (eager / "__init__.py").write_text(EAGER, encoding="utf-8")
        server = LiveServer(host, Path(folder))
        with server:
            upload_examples(server)
            frames = record(server, read_prompt(file, server.get("/object_info")))
    write(frames)
    print(f"{TARGET}: {len(frames)} frames, {TARGET.stat().st_size / 1e6:.1f} MB")


def record(server: LiveServer, prompt: dict[str, Any]) -> list[Image.Image]:
    """Run a prompt; returns its live previews and the picture that it saves."""
    run = server.watch(prompt, preview_method="auto")
    (saved,) = (key for key, node in prompt.items() if node["class_type"] == "SaveImage")
    pictures = [*(preview.image for preview in run.previews), run.images[saved][0]]
    return [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]


def write(frames: list[Image.Image]) -> None:
    """Save a film of all frames in the size of the smallest, the last one held, in one palette."""
    width, height = WIDTH_PX, round(WIDTH_PX * frames[0].height / frames[0].width)
    small = [frame.resize((width, height), Image.Resampling.LANCZOS) for frame in frames]
    palette = small[len(small) // 2].quantize(COLORS)  # it has all colors, and the gray of what is unknown
    film = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
    durations = [FRAME_MS] * (len(film) - 1) + [LAST_MS]
    film[0].save(TARGET, save_all=True, append_images=film[1:], duration=durations, loop=0, optimize=True)


if __name__ == "__main__":
    main()
