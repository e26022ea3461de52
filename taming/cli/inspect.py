"""`python -m taming inspect`: what a weights file holds, and whether it loads."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict

from ..checkpoints import Checkpoint, TransformerPlan, VQGANPlan, plan_transformer, plan_vqgan, read_checkpoint
from ..checkpoints import weights_file as find_weights
from ..checkpoints.containers import identify_container
from ..checkpoints.keymaps import ANCHORS
from ..errors import TamingError
from ..wording import shorten_text
from .options import Commands

MAX_PARTS = 16
TITLES = {"vqgan": "VQGAN (tokenizer)", "transformer": "transformer"}


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "inspect",
        help="say what a weights file holds",
        description="Says what kind of model FILE holds, its configuration and its parts. Where it does not load, says "
        "why, and exits with 1.",
    )
    parser.add_argument("file", metavar="FILE", help="a checkpoint, or an embedded model such as embedded/...")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    path = find_weights(options.file)
    container = identify_container(path)
    print(f"{path.name}: {path.stat().st_size:,} bytes, {container}")
    checkpoint = read_checkpoint(options.file)
    print_parts(checkpoint)
    refusals: list[TamingError] = []
    if any(key.endswith(ANCHORS["transformer"]) for key in checkpoint.state_dict):
        print_model("transformer", options.file, refusals)
        if not refusals:
            return  # it told of its first stage too
    if not refusals or any(key.endswith(ANCHORS["vqgan"]) for key in checkpoint.state_dict):
        print_model("vqgan", options.file, refusals)
    if refusals:
        raise refusals[0]


def print_parts(checkpoint: Checkpoint) -> None:
    """Tensors and values under each first component of the keys."""
    tensors: dict[str, int] = defaultdict(int)
    values: dict[str, int] = defaultdict(int)
    for key, tensor in checkpoint.state_dict.items():
        part = key.partition(".")[0]
        tensors[part] += 1
        values[part] += tensor.numel()
    print(f"parts ({len(checkpoint.state_dict):,} tensors, {sum(values.values()):,} values):")
    for part in list(tensors)[:MAX_PARTS]:
        print(f"  {shorten_text(part):24} {tensors[part]:6,} tensors {values[part]:15,} values")
    if len(tensors) > MAX_PARTS:
        print(f"  ... and {len(tensors) - MAX_PARTS} more")


def print_model(family: str, file: str, refusals: list[TamingError]) -> None:
    """The configuration that loading would use; or add why it would not load to `refusals`."""
    try:
        plan = plan_transformer(file) if family == "transformer" else plan_vqgan(file)
    except TamingError as error:
        print(f"{TITLES[family]}: does not load")
        refusals.append(error)
        return
    print_plan(TITLES[family], plan)
    if isinstance(plan, TransformerPlan):
        if plan.first_stage is None:
            print("first stage: none in the file and none named: give it the tokenizer that it was trained on")
        else:
            print_plan("first stage, VQGAN", plan.first_stage)


def print_plan(title: str, plan: TransformerPlan | VQGANPlan) -> None:
    parameters = sum(tensor.numel() for tensor in plan.state_dict.values())
    print(f"{title}: loads, {parameters:,} parameters")
    print_fields(asdict(plan.config))


def print_fields(values: Mapping[str, object], prefix: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            print_fields(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else value
            print(f"  {prefix + name:24} {text}")
