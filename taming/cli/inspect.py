"""`python -m taming inspect`: what a weights file holds, and whether it loads."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping

from ..checkpoints import Checkpoint, TransformerPlan, VQGANPlan, plan_transformer, plan_vqgan, read_checkpoint
from ..checkpoints import weights_file as find_weights
from ..checkpoints.containers import identify_container
from ..checkpoints.detect_transformer import transformer_disagreements
from ..checkpoints.keymaps import ANCHORS
from ..checkpoints.metadata import config_to_dict
from ..checkpoints.parts import holds, take_part
from ..checkpoints.upstream_transformer import NET2NET_TARGETS, net2net_config
from ..checkpoints.yaml_file import read_yaml
from ..conditioning import WordCondition, WordList
from ..configs import PUBLISHED, preset_names
from ..errors import TamingError
from ..text import shorten_text
from .options import Commands

MAX_PARTS = 16
MAX_NAMES = 12  # of words
TITLES = {"vqgan": "VQGAN (tokenizer)", "transformer": "transformer"}


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "inspect",
        help="say what a weights file holds",
        description="Says what kind of model FILE holds, its configuration and its parts. Where it does not load, says "
        "why, and exits with 1.",
    )
    parser.add_argument("file", metavar="FILE", help="a checkpoint, or an embedded model such as embedded/...")
    parser.add_argument(
        "--config",
        metavar="YAML",
        help="a YAML file, or the name of a published model such as sflckr (default: a YAML beside FILE, else what "
        "FILE says, else its shapes)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    path = find_weights(options.file)
    container = identify_container(path)
    print(f"{path.name}: {path.stat().st_size:,} bytes, {container}")
    checkpoint = read_checkpoint(options.file)
    print_parts(checkpoint)
    refusals: list[TamingError] = []
    if any(key.endswith(ANCHORS["transformer"]) for key in checkpoint.state_dict):
        print_model("transformer", options, refusals)
        if options.config is None:
            print_presets(checkpoint)
        if not refusals:
            return  # it told of its first stage too
    if not refusals or any(key.endswith(ANCHORS["vqgan"]) for key in checkpoint.state_dict):
        print_model("vqgan", options, refusals)
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


def print_model(family: str, options: argparse.Namespace, refusals: list[TamingError]) -> None:
    """The configuration that loading would use; or add why it would not load to `refusals`."""
    plan_model = plan_transformer if family == "transformer" else plan_vqgan
    try:
        plan = plan_model(options.file, options.config)
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


def print_presets(checkpoint: Checkpoint) -> None:
    """Which published transformers have these shapes: heads and conditions, which shapes do not tell, may differ."""
    if not holds(checkpoint, "transformer"):
        return
    weights, name = take_part(checkpoint, "transformer"), checkpoint.path.name
    fitting = []
    for preset in preset_names(PUBLISHED):
        values = read_yaml(PUBLISHED / f"{preset}.yaml")
        if values["model"]["target"] not in NET2NET_TARGETS:
            continue
        config = net2net_config(values, preset).transformer
        try:
            if not transformer_disagreements(config, weights, name):
                fitting.append(preset)
        except TamingError:
            return  # no transformer of ours, which loading has said
    if fitting:
        print(f"published models of these shapes: {', '.join(fitting)}; name the right one with --config")


def print_plan(title: str, plan: TransformerPlan | VQGANPlan) -> None:
    parameters = sum(tensor.numel() for tensor in plan.state_dict.values())
    print(f"{title}: loads, {parameters:,} parameters")
    values = config_to_dict(plan.config)
    if isinstance(plan, TransformerPlan) and isinstance(plan.config.condition, WordCondition):
        values["condition"]["word_list"] = describe_words(plan.config.condition.word_list)
    print_fields(values)


def describe_words(word_list: WordList) -> str:
    """How many words there are, and some of them."""
    names = [word.name for word in word_list.words[:MAX_NAMES]]
    more = ", ..." if len(word_list.words) > MAX_NAMES else ""
    return f"{len(word_list.words)} words: {', '.join(names)}{more}"


def print_fields(values: Mapping[str, object], prefix: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            print_fields(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else value
            print(f"  {prefix + name:24} {text}")
