"""How good the embedded models are, and with `--beside FOLDER` those of an earlier version in the same run.

Tokenizer: scenes, scenes with objects, photographs. Class model: do samples show their class, are any copies. Map and
box models, where they are there: do things stand where they were told to. `python3 dev.py bench` runs it; by hand,
PYTHONPATH must name the repository. `--quick` only checks that the script works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import ASSETS, RUNS
from benchmarks.judge import measure_classes, measure_judge, to_unit, train_judge
from benchmarks.neighbors import Neighbors, build_bank, draw_nearest, find_neighbors, measure_copies
from benchmarks.patch_codes import fit_patch_codes, reconstruct_patches
from benchmarks.photographs import draw_photographs, list_photographs, load_photographs
from benchmarks.real_scenes import SIZE_PX, MappedScenes, Scenes, SceneSet, load_mapped_scenes, load_scenes
from benchmarks.reconstruction import Tokenizer, get_ruler, load_tokenizer, measure_tokenizers
from benchmarks.report import describe_file, report_sheet, result_path, write_results, write_summary
from benchmarks.samples import BATCH, draw_samples, load_drawer, sampling_option
from benchmarks.segmenter import (
    Segmenter,
    draw_boxes,
    draw_maps,
    get_segmenter,
    measure_boxes,
    measure_maps,
    read_places,
)
from taming import get_condition
from taming.data import SCENE_CLASSES
from taming.sampling import SamplingOptions
from taming.training.recipe import read_recipe

EMBEDDED, BESIDE = "embedded", "beside"
REMADE = "reconstructed scenes"
CLASS_RECIPE = "scenes_class_photographs"  # of the class model; its scenes include those of the first version
HELD_OUT = SceneSet(1_000_000, 200)
JUDGING = SceneSet(2_000_000, 1_200)  # for the judge's own accuracy
SEGMENTING = SceneSet(3_000_000, 3_600, num_objects=2)  # what the segmenter learns from
PLACING = SceneSet(4_000_000, 192, num_objects=2)  # whose maps and boxes are told
PATCH_PX = 8  # the tokenizer's factor, so that the patch code has its rate
SETTINGS = {
    "node defaults": SamplingOptions(),
    "recommended": SamplingOptions(top_p=0.95, guidance_scale=2.0),  # what the node's help page says to try
}
SHEET_PER_CLASS = 2
PLACE_FIGURES = {  # of the summary
    "maps": ("mean_iou", "maps read off {}, mean IoU, %"),
    "boxes": ("found_percent", "boxes with an object, {}, %"),
}


def main() -> None:
    options = parse_arguments()
    folders = {EMBEDDED: ASSETS, **({BESIDE: options.beside} if options.beside else {})}
    settings = {**SETTINGS, "recommended": replace(SETTINGS["recommended"], **dict(options.recommended))}
    trained_on = training_scenes()
    training = load_scenes(trained_on, options.train_scenes or trained_on.count, options.workers)
    held_out = load_scenes(HELD_OUT, 24 if options.quick else HELD_OUT.count, options.workers)
    placed = load_mapped_scenes(replace(PLACING, count=24) if options.quick else PLACING, options.workers)
    photographs = load_photographs(SIZE_PX)
    groups = {"scenes": to_unit(held_out.images), "scenes with objects": to_unit(placed.images)}
    if photographs:
        groups["photographs"] = torch.stack([*photographs.values()])
    figures: dict[str, Any] = {
        "models": {name: describe_folder(folder) for name, folder in folders.items()},
        "training_scenes": {"set": trained_on.name, "used": len(training.images)},
        "settings": {name: asdict(options) for name, options in settings.items()},
    }
    tokenizers = {name: load_tokenizer(folder / "scenes_vqgan.safetensors") for name, folder in folders.items()}
    patches = {f"k-means of {PATCH_PX} px patches": fit_patches(training, options.quick)}
    ruler = get_ruler()
    remade, figures["reconstruction"] = measure_tokenizers({**tokenizers, **patches}, groups, ruler)
    if photographs:
        mine = {name: remade["photographs"][name] for name in tokenizers}
        figures["photographs"] = list_photographs(photographs, mine, ruler)
        report_sheet(draw_photographs(photographs, mine, result_path("photographs.png", options.quick)))
    figures["classes"] = measure_class_models(folders, settings, training, held_out, remade["scenes"], options)
    scenes = replace(SEGMENTING, count=96) if options.quick else SEGMENTING
    file = RUNS / f"segmenter-{scenes.name}-{options.epochs}.safetensors"
    segmenter = get_segmenter(file, load_mapped_scenes(scenes, options.workers), options.epochs)
    remade_placed = {name: remade["scenes with objects"][name] for name in tokenizers}
    figures["maps"] = measure_map_model(segmenter, placed, remade_placed, settings, options.quick)
    figures["boxes"] = measure_box_model(segmenter, placed, remade_placed, settings, options.quick)
    title = "The embedded models on what they were never trained on"
    write_summary("embedded.md", options.quick, title, ["", *folders], summarize(figures, list(folders)))
    write_results("embedded.json", options.quick, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few scenes and samples, to check the script")
    text = "a folder with earlier versions of the embedded tokenizer and class model, under their own names"
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help=text)
    parser.add_argument("--train-scenes", type=int, metavar="N", help="training scenes to use (default: all)")
    parser.add_argument("--samples-per-class", type=int, metavar="N", help="default 20")
    parser.add_argument("--epochs", type=int, metavar="N", help="of training judge and segmenter (default 4)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that render scenes (default 2)")
    text = "sampling options in place of the recommended ones, such as top_k=250 guidance_scale=1.5"
    parser.add_argument("--recommended", nargs="*", type=sampling_option, default=(), metavar="NAME=VALUE", help=text)
    options = parser.parse_args()
    options.train_scenes = options.train_scenes or (240 if options.quick else None)
    options.samples_per_class = options.samples_per_class or (SHEET_PER_CLASS if options.quick else 20)
    options.epochs = options.epochs or (1 if options.quick else 4)
    return options


def training_scenes() -> SceneSet:
    """What the embedded class model was trained on, by its recipe: what its samples could be copies of."""
    data = read_recipe(CLASS_RECIPE).data
    return SceneSet(data.first_seed, data.count, data.num_objects)


def describe_folder(folder: Path) -> dict[str, dict[str, object]]:
    return {file.name: describe_file(file) for file in sorted(folder.glob("*.safetensors"))}


def fit_patches(training: Scenes, quick: bool) -> Tokenizer:
    num_codes, num_patches, iterations = (64, 4096, 3) if quick else (1024, 262_144, 30)
    codes = fit_patch_codes(training.images, num_codes, PATCH_PX, num_patches=num_patches, iterations=iterations)
    return lambda images: reconstruct_patches(images, codes, PATCH_PX), num_codes


def measure_class_models(
    folders: Mapping[str, Path],
    settings: Mapping[str, SamplingOptions],
    training: Scenes,
    held_out: Scenes,
    remade: Mapping[str, Tensor],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Whether samples show their class, and whether they are copies, for the class model of each folder."""
    samples, seconds = {}, {}
    for name, folder in folders.items():
        drawer = load_drawer(folder / "scenes_class_transformer.safetensors")
        if drawer is not None:
            count = options.samples_per_class
            told = [get_condition(drawer[0], label=i, batch_size=count) for i in range(len(SCENE_CLASSES))]
            drawn, took = draw_samples(drawer, told, settings)
            samples |= {f"{name}, {setting}": images for setting, images in drawn.items()}
            seconds |= {f"{name}, {setting}": value for setting, value in took.items()}
    if not samples:
        return {}
    judging = load_scenes(JUDGING, 48 if options.quick else JUDGING.count, options.workers)
    judge = train_judge(training.images, training.labels, options.epochs)
    labels = torch.from_numpy(held_out.labels)
    known = {"held-out real scenes": (to_unit(judging.images), torch.from_numpy(judging.labels))}
    known |= {f"reconstructed ones, {name}": (remade[name], labels) for name in folders}
    figures: dict[str, Any] = {"judge_accuracy_percent": measure_judge(judge, known)}
    figures["accuracy_percent"] = measure_classes(judge, samples)
    figures["seconds_per_image"] = seconds
    bank = build_bank(judge, training.images)
    references = {"held-out scenes": to_unit(held_out.images), "held-out scenes, reconstructed": remade[EMBEDDED]}
    figures["nearest_training_scene"] = measure_copies(judge, bank, {**references, **samples})
    path = result_path("nearest.png", options.quick)
    newest = samples.get(f"{EMBEDDED}, recommended")
    if newest is not None:
        found = find_neighbors(judge, bank, newest)
        captions = [f"{SCENE_CLASSES[row * len(SCENE_CLASSES) // len(newest)]} (drawn)" for row in range(len(newest))]
        rows = nearest_of_each_class(found)
        report_sheet(draw_nearest(found, training.images, newest, captions, rows, path))
    return figures


def nearest_of_each_class(found: Neighbors) -> list[int]:
    """The rows of those samples that come nearest to a training scene, of as many samples of each class in turn."""
    by_class = found.pixel_distance.view(len(SCENE_CLASSES), -1)  # (classes, per class)
    nearest = by_class.argsort(dim=1)[:, :SHEET_PER_CLASS]
    return (nearest + torch.arange(len(by_class)).unsqueeze(1) * by_class.shape[1]).flatten().tolist()


def measure_map_model(
    segmenter: Segmenter,
    placed: MappedScenes,
    remade: Mapping[str, Tensor],
    settings: Mapping[str, SamplingOptions],
    quick: bool,
) -> dict[str, Any]:
    """Whether what was drawn by a map stands where the map says, beside what can and what cannot be expected."""
    told, real = torch.from_numpy(placed.maps).long(), to_unit(placed.images)
    groups = {"real scenes": real, **{f"{REMADE}, {name}": images for name, images in remade.items()}}
    # Scenes of one class look alike: what a picture scores that knew only its class is where the scale begins.
    groups["other scenes of the class"] = real.roll(len(SCENE_CLASSES), 0)
    drawer = load_drawer(ASSETS / "scenes_segmentation_transformer.safetensors")
    figures: dict[str, Any] = {}
    if drawer is not None:
        conditions = [get_condition(drawer[0], segmentation=batch) for batch in told.split(BATCH)]
        drawn, figures["seconds_per_image"] = draw_samples(drawer, conditions, settings)
        figures["is_guided"] = conditions[0].null_prefix is not None
        groups |= {f"samples, {name}": images for name, images in drawn.items()}
        sample = drawn["node defaults"]
        columns = {"sample": sample, "as it is read": read_places(segmenter, sample), "real scene": real}
        path = result_path("maps.png", quick)
        report_sheet(draw_maps(range(len(SCENE_CLASSES)), told, columns, path))
    return {**figures, "scores": measure_maps(segmenter, groups, told)}


def measure_box_model(
    segmenter: Segmenter,
    placed: MappedScenes,
    remade: Mapping[str, Tensor],
    settings: Mapping[str, SamplingOptions],
    quick: bool,
) -> dict[str, Any]:
    """Whether objects are drawn in the boxes asked for, where there is a model that is told boxes."""
    drawer = load_drawer(ASSETS / "scenes_boxes_transformer.safetensors")
    if drawer is None:
        return {}
    rows = [row for row, boxes in enumerate(placed.boxes) if boxes]
    layouts, real = [placed.boxes[row] for row in rows], to_unit(placed.images[rows])
    parts = [layouts[start : start + BATCH] for start in range(0, len(layouts), BATCH)]
    conditions = [get_condition(drawer[0], boxes=part) for part in parts]
    drawn, seconds = draw_samples(drawer, conditions, settings)
    groups = {"real scenes": real, **{f"{REMADE}, {name}": images[rows] for name, images in remade.items()}}
    groups["other scenes"] = real.roll(1, 0)
    groups |= {f"samples, {name}": images for name, images in drawn.items()}
    scores = measure_boxes(segmenter, groups, layouts)
    path = result_path("boxes.png", quick)
    report_sheet(draw_boxes(range(min(12, len(rows))), layouts, drawn["node defaults"], real, path))
    return {"seconds_per_image": seconds, "is_guided": conditions[0].null_prefix is not None, "scores": scores}


def summarize(figures: Mapping[str, Any], versions: Sequence[str]) -> list[list[str]]:
    """The figures that a card quotes, a column for each version; what one of them lacks stays empty."""
    rows = []
    for group, scores in figures["reconstruction"].items():
        for name, text in {"psnr_mean_db": "PSNR, dB", "perceptual": "perceptual distance (lite0)"}.items():
            if name in scores[EMBEDDED]:
                rows.append([f"{group}, {text}", *(f"{scores[version][name]:.2f}" for version in versions)])
    accuracy = figures["classes"].get("accuracy_percent", {})
    nearest = figures["classes"].get("nearest_training_scene", {})
    for setting in SETTINGS:
        shown = [accuracy.get(f"{version}, {setting}", {}) for version in versions]
        rows.append(
            [f"samples that show their class, {setting}, %", *(f"{row['all']:.1f}" if row else "" for row in shown)]
        )
    for setting in SETTINGS:
        found = [nearest.get(f"{version}, {setting}", {}) for version in versions]
        text = f"nearest training scene, {setting}, median and least gray levels"
        cells = (f"{row['pixels_median']:.1f}, {row['pixels_least']:.1f}" if row else "" for row in found)
        rows.append([text, *cells])
    for part, (figure, text) in PLACE_FIGURES.items():
        lines: dict[str, dict[str, str]] = {}
        for name, row in figures[part].get("scores", {}).items():
            # Only tokenizers are measured in several versions.
            line, _, version = name.partition(", ") if name.startswith(REMADE) else (name, "", EMBEDDED)
            lines.setdefault(line, {})[version] = f"{row[figure]:.1f}"
        rows += [
            [text.format(line), *(cells.get(version, "") for version in versions)] for line, cells in lines.items()
        ]
    return rows


if __name__ == "__main__":
    main()
