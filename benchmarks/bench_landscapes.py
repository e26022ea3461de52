"""How good tokenizers of landscapes are, and a transformer that samples landscapes by prompts, at 256 px.

Tokenizers: sharpness, corners, saturated colors, photographs. Transformer: whether samples follow prompts, also those
that join words which never meet in training; whether any are copies; how long one takes. `python3 dev.py bench` runs
it; by hand, PYTHONPATH must name the repository:

    python benchmarks/bench_landscapes.py runs/tokenizer/model.safetensors --transformer runs/words/model.safetensors

A tokenizer that makes more than 16 x 16 tokens of 256 px is measured twice: also with as many, on images that are
scaled down, and its reconstructions up. `--quick` only checks that the script works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import ROOT, RUNS
from benchmarks.attribute_classifier import get_classifier, recognize
from benchmarks.attributes import KNOWN_PERCENT, answer, list_attributes, measure_accuracies
from benchmarks.color_patches import measure_colors
from benchmarks.image_statistics import ERROR, ERROR_DEVIATION, measure_corner_contrast, measure_corner_errors
from benchmarks.judge import to_unit
from benchmarks.landscapes import SIZE_PX, Facts, Landscapes, load_landscapes, paint_landscapes
from benchmarks.photographs import draw_photographs, list_photographs, load_photographs
from benchmarks.prompted_samples import (
    FIRST_SEED,
    REAL,
    SAMPLES,
    PromptJudge,
    draw_prompt_sheet,
    measure_looks,
    measure_nearest,
    measure_prompts,
    measure_seconds,
)
from benchmarks.reconstruction import Tokenizer, get_ruler, make_tokenizer, measure_tokenizers
from benchmarks.report import describe_file, report_sheet, result_path, write_results, write_summary
from benchmarks.samples import Drawer, load_drawer, sampling_option
from taming import load_vqgan
from taming.sampling import SamplingOptions

TOKENIZER = ROOT / "embedded" / "landscapes_vqgan.safetensors"
TRANSFORMER = ROOT / "embedded" / "landscapes_words_transformer.safetensors"
GRID = 16  # tokens on a side that every tokenizer is measured with
SAMPLING = SamplingOptions(top_p=0.95, guidance_scale=2.0)
JUDGING_SEED = 2_000_000
SCENES, PHOTOGRAPHS, CONTRAST = "composed scenes", "photographs", "contrast"
RECONSTRUCTION_FIGURES = {  # of the summary
    "psnr_mean_db": "PSNR, dB",
    "perceptual": "perceptual distance (lite0)",
    "gradient_energy_percent": "gradient energy, % of the original",
}
CORNER_FIGURES = {
    ERROR: "largest error in a corner, over the image's",
    ERROR_DEVIATION: "largest deviation of the error in a corner, over the image's",
    CONTRAST: "largest contrast of a corner, 1 as in real scenes",
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    unseen: int = 200  # scenes that are reconstructed
    prompts: int = 300  # of each kind
    training: int = 20_000  # scenes that samples could be copies of
    learned: int = 20_000  # of these, that the classifier learns from
    judging: int = 2_000  # scenes that the classifier is judged by
    epochs: int = 4
    shown: int = 24  # prompts on a sheet, and samples on the sheet of nearest scenes
    rounds: int = 5  # of timing


QUICK = Sizes(unseen=6, prompts=6, training=600, learned=600, judging=60, epochs=1, shown=2, rounds=1)


def main() -> None:
    options = parse_arguments()
    sizes = QUICK if options.quick else replace(Sizes(), training=options.train_scenes)
    tokenizers = load_tokenizers([*options.tokenizers, *options.beside])
    if not tokenizers:
        return
    unseen = paint_landscapes(FIRST_SEED, sizes.unseen)
    real = to_unit(np.stack([scene.image for scene in unseen]))
    files = {model_name(file): file for file in (*options.tokenizers, *options.beside, options.transformer)}
    figures: dict[str, Any] = {
        "sizes": asdict(sizes),
        "models": {name: describe_file(file) for name, file in files.items() if file.exists()},
    }
    reconstructions, figures["tokenizers"] = measure_reconstructions(tokenizers, real, options.quick)
    training = load_landscapes(0, sizes.training, options.workers)
    facts = [scene.composition.facts for scene in unseen]
    judge, figures["attributes"] = get_judge(training, sizes, options.workers, facts, reconstructions)
    drawer = load_drawer(options.transformer)
    if drawer is not None:
        sampling = replace(SAMPLING, **dict(options.sampling))
        figures["transformer"] = measure_transformer(drawer, judge, sampling, training, sizes, options.quick)
    title = f"Landscapes and photographs of {SIZE_PX} px that were never trained on"
    write_summary("landscapes.md", options.quick, title, ["", *tokenizers], summarize(figures, list(tokenizers)))
    write_results("landscapes.json", options.quick, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="*", type=Path, default=[TOKENIZER], metavar="FILE", help="of tokenizers")
    parser.add_argument("--transformer", type=Path, default=TRANSFORMER, metavar="FILE", help="that knows words")
    parser.add_argument("--beside", nargs="*", type=Path, default=[], metavar="FILE", help="more tokenizers")
    parser.add_argument("--quick", action="store_true", help="a few scenes and samples, to check the script")
    text = "scenes that the transformer was trained on (default 20000)"
    parser.add_argument("--train-scenes", type=int, default=Sizes.training, metavar="N", help=text)
    text = "sampling options in place of the recommended ones, such as top_k=250 guidance_scale=1.5"
    parser.add_argument("--sampling", nargs="*", type=sampling_option, default=(), metavar="NAME=VALUE", help=text)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that paint scenes (default 2)")
    return parser.parse_args()


def load_tokenizers(files: Sequence[Path]) -> dict[str, Tokenizer]:
    """Those that exist, by name; also with GRID x GRID tokens, if that is less than they make of SIZE_PX."""
    tokenizers: dict[str, Tokenizer] = {}
    for file in files:
        if not file.exists():
            print(f"{file.name}: not measured, there is no such model in {file.parent}")
            continue
        vqgan, name = load_vqgan(file), model_name(file)
        tokenizers[name] = make_tokenizer(vqgan)
        if GRID * vqgan.factor < SIZE_PX:
            tokenizers[f"{name} at {GRID * vqgan.factor} px"] = make_tokenizer(vqgan, GRID * vqgan.factor)
    return tokenizers


def model_name(file: Path) -> str:
    """With its folder: what training writes is always called model.safetensors."""
    return f"{file.resolve().parent.name}/{file.stem}"


def measure_reconstructions(
    tokenizers: Mapping[str, Tokenizer], real: Tensor, quick: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reconstruct `real` scenes, (B, 3, H, W) in [0, 1], and whatever else can be; returns the former, and figures."""
    photographs, ruler = load_photographs(SIZE_PX), get_ruler()
    groups = {SCENES: real}
    if photographs:
        groups[PHOTOGRAPHS] = torch.stack([*photographs.values()])
    made, figures = measure_tokenizers(tokenizers, groups, ruler)
    all_figures: dict[str, Any] = {
        "reconstruction": figures,
        "corners": measure_corner_errors(real, made[SCENES]) | {CONTRAST: measure_corner_contrast(real, made[SCENES])},
        "colors": measure_colors(tokenizers, SIZE_PX),
    }
    if photographs:
        all_figures[PHOTOGRAPHS] = list_photographs(photographs, made[PHOTOGRAPHS], ruler)
        path = result_path("landscapes_photographs.png", quick)
        report_sheet(draw_photographs(photographs, made[PHOTOGRAPHS], path))
    return made[SCENES], all_figures


def get_judge(
    training: Landscapes,
    sizes: Sizes,
    num_workers: int,
    facts: Sequence[Facts],
    reconstructions: Mapping[str, Tensor],
) -> tuple[PromptJudge, dict[str, Any]]:
    """A judge of prompts, and how well it recognizes attributes of real scenes and of `reconstructions`."""
    learned = training.first(sizes.learned)
    attributes = list_attributes(learned.facts)
    file = RUNS / f"attributes-{training.name}-{sizes.epochs}.safetensors"
    classifier = get_classifier(file, attributes, learned, sizes.epochs)
    judging = load_landscapes(JUDGING_SEED, sizes.judging, num_workers)
    truth = {REAL: answer(attributes, judging.facts), **dict.fromkeys(reconstructions, answer(attributes, facts))}
    images = {REAL: to_unit(judging.images), **reconstructions}
    seen = {name: recognize(classifier, group) for name, group in images.items()}
    accuracies = measure_accuracies(attributes, truth, seen)
    known = tuple(name for name, value in accuracies[REAL].items() if value >= KNOWN_PERCENT)
    unknown = [name for name in attributes.names if name not in known]
    print(f"  below {KNOWN_PERCENT:.0f} on real scenes, so left out of what follows: {', '.join(unknown) or 'none'}")
    return PromptJudge(classifier, known), {"balanced_accuracy_percent": accuracies, "left_out": unknown}


def measure_transformer(
    drawer: Drawer,
    judge: PromptJudge,
    sampling: SamplingOptions,
    training: Landscapes,
    sizes: Sizes,
    quick: bool,
) -> dict[str, Any]:
    """All figures of samples; two sheets are written on the way."""
    unseen, prompts = measure_prompts(drawer, judge, sampling, sizes.prompts)
    draw_prompt_sheet(drawer, sampling, sizes.shown, quick)
    return {
        "sampling": asdict(sampling),
        "prompts": prompts,
        **measure_looks(unseen),
        "nearest_training_scene": measure_nearest(judge, training.images, unseen, sizes.shown, quick),
        "seconds_per_image": measure_seconds(drawer, sampling, sizes.rounds),
    }


def summarize(figures: Mapping[str, Any], tokenizers: Sequence[str]) -> list[list[str]]:
    """The figures that a card quotes: a column for each tokenizer, and what the transformer does in the first."""
    of_tokenizers = figures["tokenizers"]
    rows = []
    for group, scores in of_tokenizers["reconstruction"].items():
        for figure, text in RECONSTRUCTION_FIGURES.items():
            if all(figure in scores[name] for name in tokenizers):
                rows.append([f"{group}, {text}", *(f"{scores[name][figure]:.2f}" for name in tokenizers)])
    for part, text in CORNER_FIGURES.items():
        found = of_tokenizers["corners"][part]  # by tokenizer and corner
        rows.append([text, *(f"{max(found[name].values()):.2f}" for name in tokenizers)])
    for figure in of_tokenizers["colors"][tokenizers[0]]:
        errors = (of_tokenizers["colors"][name][figure] for name in tokenizers)
        rows.append([f"saturated colors, {figure}", *(f"{error:.1f}" for error in errors)])
    if "transformer" in figures:
        rows += [[*row, *[""] * (len(tokenizers) - 1)] for row in summarize_transformer(figures["transformer"])]
    return rows


def summarize_transformer(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    scores, nearest = figures["prompts"], figures["nearest_training_scene"][SAMPLES]
    rows = {
        "samples, gradient energy, % of real scenes": figures["gradient_energy_percent"][SAMPLES],
        "samples, contrast of the corner that stands out most": max(figures["corner_contrast"][SAMPLES].values()),
        "prompts of unseen scenes: found, %": scores["unseen"][SAMPLES]["all"],
        "prompts that join words never met together: found, %": scores["held_out"][SAMPLES]["all"],
        "of these, both such words found, %": scores["held_out_words"][SAMPLES]["whole prompts"],
        "nearest training scene, median, gray levels": nearest["pixels_median"],
        "nearest training scene, least, gray levels": nearest["pixels_least"],
        "seconds per image": figures["seconds_per_image"]["recommended"].get("median_s"),
    }
    return [(text, "not measured" if value is None else f"{value:.1f}") for text, value in rows.items()]


if __name__ == "__main__":
    main()
