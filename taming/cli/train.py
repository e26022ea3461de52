"""`python -m taming train`: train a model by a recipe."""

from __future__ import annotations

import argparse

from ..errors import TamingError
from ..file_names import check_new_folder
from .options import TAKEN, Commands, add_overwrite, given_path


def add(commands: Commands) -> None:
    parser = commands.add_parser("train", help="train a model by a recipe; run again to continue")
    parser.add_argument("recipe", help="a preset, such as scenes_vqgan, or a path to a YAML file")
    overrides = parser.add_argument("overrides", nargs="*", help="changed values, such as optimizer.lr=1e-4")
    parser.add_argument(
        "--out", type=given_path, required=True, help="folder of the run: state, log and final model; made if needed"
    )
    add_overwrite(parser)
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, ... (default: an accelerator if there is one)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that render scenes (default 2)")
    parser.set_defaults(run=run, many=overrides)


def run(options: argparse.Namespace) -> None:
    from ..training.build import make_task  # here, so that other commands start fast
    from ..training.datasets import open_data
    from ..training.distributed import find_processes
    from ..training.loop import check_run_folder, train
    from ..training.recipe import read_recipe
    from ..training.resume import check_run
    from ..training.run_folder import run_folder

    if options.workers < 1:
        raise TamingError(f"--workers is {options.workers}; it must be 1 or more.")
    check_new_folder(options.out)
    recipe = read_recipe(options.recipe, options.overrides)
    if not options.overwrite:
        check_run_folder(options.out, TAKEN)
    check_run(recipe, options.out)  # this and the folder before minutes go into the data
    with run_folder(options.out):
        processes = find_processes(options.device)
        cache = options.out.parent / "cache"
        if processes.rank != 0:
            processes.wait()  # until the first has made the caches
        data = open_data(recipe.data, cache, options.workers)
        task = make_task(recipe, data, cache, processes.device)
        if processes.rank == 0:
            processes.wait()
        train(task, recipe, options.out, processes=processes)
