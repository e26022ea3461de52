"""What a transformer samples by prompts: whether it follows them, is sharp, is a copy, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.attribute_classifier import AttributeClassifier, recognize
from benchmarks.attributes import find_facts
from benchmarks.image_statistics import measure_corner_contrast, measure_gradients
from benchmarks.judge import to_unit
from benchmarks.landscapes import SIZE_PX, Facts, Prompt, held_out_facts, paint_landscapes, write_prompt
from benchmarks.neighbors import build_bank, draw_nearest, find_neighbors, measure_copies
from benchmarks.prompt_sheet import draw_prompts, read_prompts
from benchmarks.reconstruction import make_tokenizer
from benchmarks.report import print_table, report_sheet, result_path
from benchmarks.rounds import summarize, take_turns
from benchmarks.samples import SAMPLE_SEED, Drawer, draw_samples, limit_guidance, prompt_conditions
from taming import generate_image
from taming.data.scenes.painting import paint_scene
from taming.sampling import SamplingOptions

FIRST_SEED = 1_000_000  # of unseen scenes
SAMPLES_PER_PROMPT = 4  # on the sheet
NUM_THREADS = 2  # for the time that a sample takes
REAL, RECONSTRUCTIONS, SAMPLES = "real scenes", "their reconstructions", "samples"
OTHERS = "real scenes of other prompts"  # what is right by chance


@dataclass(frozen=True)
class PromptJudge:
    """A classifier, and the names of those attributes that it recognizes well enough to judge by."""

    classifier: AttributeClassifier
    known: tuple[str, ...]


@dataclass(frozen=True)
class PromptedImages:
    """Samples, and what they are compared with."""

    prompts: list[Prompt]
    groups: dict[str, Tensor]  # one image for each prompt, (B, 3, H, W) in [0, 1]
    seconds: float  # that a sample took, in its batch

    @property
    def facts(self) -> list[Facts]:
        return [prompt.facts for prompt in self.prompts]


def measure_prompts(
    drawer: Drawer, judge: PromptJudge, options: SamplingOptions, num_prompts: int
) -> tuple[PromptedImages, dict[str, Any]]:
    """Sample by prompts of unseen scenes, and by prompts that join words which never meet in training.

    Returns the former, and the figures of both.
    """
    unseen = sample_prompts(drawer, options, num_prompts, is_held_out=False)
    joined = sample_prompts(drawer, options, num_prompts, is_held_out=True)
    words = [held_out_facts(facts) for facts in joined.facts]
    figures = {
        "unseen": measure_facts(judge, unseen.facts, unseen.groups, "Prompts of unseen scenes"),
        "held_out": measure_facts(judge, joined.facts, joined.groups, "Prompts that join words never met together"),
        "held_out_words": measure_facts(judge, words, joined.groups, "Those words of these prompts alone"),
        "seconds_per_image_in_batches": unseen.seconds,
    }
    return unseen, figures


def sample_prompts(drawer: Drawer, options: SamplingOptions, num_prompts: int, is_held_out: bool) -> PromptedImages:
    transformer, vqgan = drawer
    scenes = paint_landscapes(FIRST_SEED, num_prompts, is_held_out)
    rng = np.random.default_rng(FIRST_SEED)
    prompts = [write_prompt(scene.composition, rng) for scene in scenes]
    conditions = prompt_conditions(transformer, [prompt.text for prompt in prompts])
    samples, seconds = draw_samples(drawer, conditions, {SAMPLES: options})
    real = to_unit(np.stack([scene.image for scene in scenes]))
    reconstruct, _ = make_tokenizer(vqgan)
    groups = {REAL: real, RECONSTRUCTIONS: reconstruct(real)[0], **samples, OTHERS: real.roll(1, 0)}
    return PromptedImages(prompts, groups, seconds[SAMPLES])


def measure_facts(
    judge: PromptJudge, wanted: Sequence[Facts], groups: Mapping[str, Tensor], title: str
) -> dict[str, dict[str, float]]:
    """`find_facts` in the images of each group, one for each of `wanted`, (B, 3, H, W) in [0, 1]."""
    attributes = judge.classifier.attributes
    figures = {
        name: find_facts(attributes, judge.known, wanted, recognize(judge.classifier, images))
        for name, images in groups.items()
    }
    columns = list(next(iter(figures.values())))
    rows = [[name, *(f"{row[column]:.1f}" for column in columns)] for name, row in figures.items()]
    print_table(f"{title} ({len(wanted)}): what is asked for and seen, percent", ["", *columns], rows)
    return figures


def measure_looks(images: PromptedImages) -> dict[str, Any]:
    """Sharpness and corners of samples, beside real scenes."""
    real = images.groups[REAL]
    made = {name: images.groups[name] for name in (RECONSTRUCTIONS, SAMPLES)}
    return {
        "gradient_energy_percent": measure_gradients(real, made),
        "corner_contrast": measure_corner_contrast(real, made),
    }


def measure_nearest(
    judge: PromptJudge, training: np.ndarray, images: PromptedImages, num_shown: int, quick: bool
) -> dict[str, dict[str, float]]:
    """How near samples come to `training` scenes, whose seeds count from 0; and a sheet of those that come nearest."""
    bank = build_bank(judge.classifier, training)
    groups = {name: images.groups[name] for name in (REAL, RECONSTRUCTIONS, SAMPLES)}
    figures = measure_copies(judge.classifier, bank, groups)
    found = find_neighbors(judge.classifier, bank, groups[SAMPLES])
    rows = found.pixel_distance.argsort()[:num_shown].tolist()
    seeds = {*found.by_pixels[rows].tolist(), *found.by_features[rows].tolist()}  # of the scenes on the sheet
    shown = {seed: paint_scene(seed, SIZE_PX).image for seed in seeds}
    captions = [f"sample {row}" for row in range(len(images.prompts))]
    path = result_path("landscapes_nearest.png", quick)
    report_sheet(draw_nearest(found, shown, groups[SAMPLES], captions, rows, path))
    return figures


def draw_prompt_sheet(drawer: Drawer, options: SamplingOptions, num_prompts: int, quick: bool) -> None:
    """Write a sheet of several samples for each prompt of the fixed list."""
    prompts = read_prompts()[:num_prompts]
    repeated = [prompt for prompt in prompts for _ in range(SAMPLES_PER_PROMPT)]
    drawn, _ = draw_samples(drawer, prompt_conditions(drawer[0], repeated), {SAMPLES: options})
    samples = drawn[SAMPLES].unflatten(0, (len(prompts), SAMPLES_PER_PROMPT))
    report_sheet(draw_prompts(prompts, samples, result_path("landscapes_prompts.png", quick)))


def measure_seconds(drawer: Drawer, options: SamplingOptions, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds for one sample, text to pixels, of models in memory, on NUM_THREADS threads."""
    transformer, vqgan = drawer

    def sample(settings: SamplingOptions) -> None:
        condition = prompt_conditions(transformer, read_prompts()[:1])[0]
        generate_image(vqgan, transformer, condition, SAMPLE_SEED, options=limit_guidance(settings, condition))

    steps = {"node defaults": lambda: sample(SamplingOptions()), "recommended": lambda: sample(options)}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    figures = {name: summarize(samples) for name, samples in take_turns(steps, rounds).items()}
    torch.set_num_threads(num_threads)
    rows = [[name, row.get("median_s", "all dropped"), row["n"], row["dropped"]] for name, row in figures.items()]
    print_table(f"Seconds for one sample on {NUM_THREADS} threads", ["", "median", "kept", "dropped"], rows)
    return figures
