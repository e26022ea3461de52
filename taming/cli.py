"""The command line, `python -m taming`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import TamingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m taming", description="Discrete-token image models.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_train(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        options.run(options)
    except TamingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train a model by a recipe; run again to continue")
    parser.add_argument("recipe", help="a preset, such as scenes_vqgan, or a path to a YAML file")
    parser.add_argument("overrides", nargs="*", help="changed values, such as optimizer.lr=1e-4")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: state, log and final model")
    parser.add_argument("--workers", type=int, default=2, help="processes that render scenes (default 2)")
    parser.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> None:
    from .data import SCENE_CLASSES  # here, so that other commands start fast
    from .training.batches import Scenes, load_scenes
    from .training.loop import train
    from .training.recipe import read_recipe
    from .training.transformer import TransformerTask
    from .training.vqgan import VQGANTask

    recipe = read_recipe(options.recipe, options.overrides)
    data = recipe.data

    def scenes(first_seed: int, count: int) -> Scenes:
        folder = options.out.parent / f"scenes-{data.size_px}px-{first_seed}-{count}"
        return load_scenes(folder, first_seed, count, data.size_px, options.workers)

    training, held_out = scenes(data.first_seed, data.count), scenes(data.held_out_seed, data.held_out)
    if recipe.task == "transformer":
        task = TransformerTask(recipe, training, held_out, SCENE_CLASSES)
    else:
        task = VQGANTask(recipe, training, held_out)
    train(task, recipe, options.out)
