"""`python -m taming download`: fetch a model of the zoo, or list them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..file_names import check_new_folder
from ..zoo import find_model, read_zoo
from ..zoo.download import download
from .options import Commands, add_overwrite, given_path
from .progress import show_progress


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "download",
        help="fetch a published model, or list them all",
        description="Fetches one file and checks it. An interrupted download goes on where it stopped. Without NAME, "
        "lists the models; docs/models.md says more about each.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a model of the list")
    parser.add_argument(
        "--folder", type=given_path, help="where to put it (default: ./models/vqgan or taming_transformers)"
    )
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    if options.name is None:
        list_models()
        return
    model = find_model(options.name)
    print(f"{model.name}: {model.purpose}\nlicense: {model.license or 'not known'}; see {model.source}")

    def report(done: int, total: int | None) -> None:
        show_progress(done, total, "bytes")

    folder = options.folder or Path("models", model.folder)
    check_new_folder(folder)
    print(download(model, folder, report, options.overwrite))


def list_models() -> None:
    models = read_zoo()
    width = max(len(model.name) for model in models)
    for model in models:
        how = model.size or "" if model.url else "by hand"
        print(f"{model.name:{width}}  {how:>19}  {model.purpose}")
