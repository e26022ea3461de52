"""The demo: run the shipped workflows on a real server and lay the pictures out in `output/`."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

from . import ROOT
from .server import Server
from .steps import SetupError, say
from .workflows import example_workflows, models_to_download, nodes_of, read_prompt, upload_examples

OUTPUT = ROOT / "output"
SEEDS = (1, 2, 3, 4)
SCENES = ("alpine", "sunset_sea", "city_night", "autumn")  # shown when the user brings no picture
CLASSES_WORKFLOW, RECONSTRUCTION_WORKFLOW = "Draw a landscape", "Reconstruct an image"
APP = "App, "  # in the names of workflows that are others, opened as an app
LOADER, LABEL, EMPTY, SAMPLE = "TamingLoadTransformer", "TamingClassCondition", "TamingEmptyTokens", "TamingSample"


def run_demo(server: Server, image: Path | None) -> list[Path]:
    """Run every example workflow that needs no download, draw every class, reconstruct `image`.

    Returns the files to look at.
    """
    workflows = [file for file in example_workflows() if APP not in file.stem]
    if not workflows:
        raise SetupError("example_workflows/ is empty, so there is nothing to show.")
    raw = OUTPUT / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    upload_examples(server)
    object_info = server.get("/object_info")
    files = []
    for workflow in workflows:
        prompt = read_prompt(workflow, object_info)
        needed = models_to_download(prompt)
        if nodes_of(prompt, "TamingRecipe"):
            say(f"{workflow.stem}: left out, it trains on pictures of yours")
        elif needed:
            say(f"{workflow.stem}: left out, it needs {', '.join(needed)} (docs/models.md)")
        elif CLASSES_WORKFLOW in workflow.stem:
            files.append(_draw_classes(server, prompt, raw))
        elif RECONSTRUCTION_WORKFLOW in workflow.stem:
            files.append(_reconstruct(server, prompt, image, raw))
        else:
            pictures = _run(server, workflow.stem, prompt, raw, workflow.stem)
            files.append(Path(shutil.copy(pictures[-1], OUTPUT / f"{workflow.stem}.png")))
    return files


def _draw_classes(server: Server, prompt: dict[str, Any], raw: Path) -> Path:
    """Draw every class once for each seed and lay the pictures out, a class's own side by side."""
    names = _class_names(nodes_of(prompt, LOADER)[0]["transformer_name"])
    columns: list[list[Path]] = []
    for seed in SEEDS:
        for inputs in nodes_of(prompt, LABEL):
            inputs["label"] = ", ".join(names)
        for inputs in nodes_of(prompt, EMPTY):
            inputs["batch_size"] = len(names)
        for inputs in nodes_of(prompt, SAMPLE):
            inputs["seed"] = seed
        columns.append(_run(server, f"{len(names)} classes, seed {seed}", prompt, raw, f"seed{seed}"))
    pictures = [column[row] for row in range(len(names)) for column in columns]
    labels = [name for name in names for _ in SEEDS]
    return _sheet(server, OUTPUT / "samples.png", pictures, labels, columns=2 * len(SEEDS), side_px=256)


def _reconstruct(server: Server, prompt: dict[str, Any], image: Path | None, raw: Path) -> Path:
    """Run the reconstruction on the user's picture, else on scenes of our own, each beside its input."""
    if image:
        sources = {"input": raw / "input.png"}
        _draw(server, sources["input"], "fit", image)
    else:
        sources = {name: raw / f"input_{name}.png" for name in SCENES}
        _draw(server, raw, "scenes", *SCENES)
    pictures, labels = [], []
    for label, source in sources.items():
        nodes_of(prompt, "LoadImage")[0]["image"] = server.upload(source)
        result = _run(server, f"reconstruction of {source.name}", prompt, raw, source.stem.replace("input", "output"))
        pictures.append(result[-1])  # both side by side
        labels.append(f"{label}, and its reconstruction")
    return _sheet(server, OUTPUT / "reconstruction.png", pictures, labels, columns=2, side_px=1024)


def _run(server: Server, title: str, prompt: dict[str, Any], folder: Path, stem: str) -> list[Path]:
    """Run a prompt; writes its pictures into `folder` and returns them in the order of the batch."""
    say(f"{title} ...")
    images = [image for images in server.run(prompt, timeout=3600).values() for image in images]
    files = [folder / f"{stem}_{index:02}.png" for index in range(len(images))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    return files


def _class_names(transformer_name: str) -> list[str]:
    """Read the class names from the header of an embedded model, which is JSON behind its length."""
    file = ROOT / "taming" / "assets" / Path(transformer_name).name
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        metadata = json.loads(stream.read(length))["__metadata__"]
    return json.loads(metadata["taming"])["config"]["condition"]["class_names"]


def _sheet(server: Server, target: Path, pictures: list[Path], labels: list[str], columns: int, side_px: int) -> Path:
    _draw(server, target, "sheet", str(columns), str(side_px), *pictures, *labels)
    return target


def _draw(server: Server, target: Path, command: str, *arguments: str | Path) -> None:
    """Run devtools.pictures in the server's environment, which has Pillow."""
    script = (
        "import pathlib, sys; root, command, target, *rest = sys.argv[1:]; sys.path.insert(0, root); "
        "from devtools.pictures import main; main(command, pathlib.Path(target), rest)"
    )
    call = [server.host.python, "-c", script, ROOT, command, target, *arguments]
    result = subprocess.run([str(part) for part in call], stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SetupError(result.stderr.strip().splitlines()[-1])
