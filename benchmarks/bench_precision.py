"""What rounded weights change: logits, tokens and pictures of each precision beside fp32 as loaded, on this CPU.

The embedded models read grids that fp32 drew, and draw their own from the same random numbers; judges that saw nothing
but real scenes say whether the pictures got worse or only different. It measures no times. `python3 dev.py bench` runs
it; by hand, PYTHONPATH must name the repository. `--quick` only checks that the script works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from benchmarks import ASSETS, ROOT, RUNS
from benchmarks.bench_embedded import HELD_OUT, PLACING, SEGMENTING, SETTINGS, training_scenes
from benchmarks.judge import accuracy, to_unit, train_judge
from benchmarks.photographs import to_picture
from benchmarks.real_scenes import load_mapped_scenes, load_scenes
from benchmarks.report import print_table, result_path, write_results
from benchmarks.samples import SAMPLE_SEED
from benchmarks.segmenter import compare_maps, get_segmenter, read_places
from taming import get_condition, load_transformer
from taming.conditioning import Condition, Window
from taming.data import SCENE_CLASSES
from taming.errors import UnsupportedCheckpointError
from taming.models import PRECISIONS, Transformer, VQModel, prepare_for_sampling
from taming.sampling import SamplingOptions, item_seed, sample_grid, sample_next
from taming.sampling.decoder import Decoder
from taming.sampling.seeds import CellNoise
from taming.viz import FONT_PX, INK, PAPER, labelled_sheet

REFERENCE = "fp32, as loaded"
FROM_FP32 = "fp16, of an fp32 file"
ANOTHER = "another picture of the class"  # as little as two pictures have in common
DEFAULTS = "node defaults"  # of SETTINGS
BATCH = len(SCENE_CLASSES)  # one picture of each class
NUM_ALONE = 6  # pictures that are also drawn by themselves
JUDGED_ON = 4_000  # scenes that the judge of classes learns from
SHOWN = [0, 1, 7, 9]  # pictures of each model that go onto the sheet
TILE_PX, WRAP = 128, 19  # a heading of the sheet, and the letters of its lines


@dataclass(frozen=True)
class Subject:
    """A model in every precision, what it is told, and who looks at its pictures."""

    name: str
    versions: Mapping[str, Transformer]  # by precision, the reference first
    weights: Mapping[str, str]  # what became of them in each precision
    vqgan: VQModel
    tell: Callable[[Sequence[int]], Condition]  # what is told for these pictures, by number; they take turns in classes
    judged: str  # what the judge's percentage says
    judge: Callable[[Tensor], float]  # all pictures, (B, 3, H, W) in [0, 1], to percent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one batch, quick judges: to check the script")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that render scenes (default 2)")
    options = parser.parse_args()
    num_batches = 1 if options.quick else 4
    figures: dict[str, Any] = {"settings": {name: asdict(setting) for name, setting in SETTINGS.items()}}
    strips: dict[str, list[Image.Image]] = {}
    captions = [SCENE_CLASSES[row].replace("_", " ") for row in SHOWN] + [f"by map {i + 1}" for i in range(len(SHOWN))]
    for subject in (load_class_model(options), load_map_model(options)):
        drawn, scores = measure_drawing(subject, num_batches)
        read = measure_reading(subject, drawn[REFERENCE])
        figures[subject.name] = {"weights": subject.weights, "read": read, "drawn": scores}
        for version, grids in drawn.items():
            strips.setdefault(version, [draw_heading(version, subject.weights[version])])
            strips[version] += map(to_picture, decode(subject.vqgan, grids[SHOWN]))
    for name in ("fp32", FROM_FP32):  # the pictures of the reference again, as far as such noise lets them
        del strips[name]
    path = result_path("precision.jpg", True) if options.quick else ROOT / "docs" / "images" / "precision.jpg"
    pictures = [picture for strip in strips.values() for picture in strip]
    sheet = labelled_sheet(pictures, ["", *captions] * len(strips), columns=1 + len(captions))
    sheet.save(path, quality=88)
    print(f"\nwritten: {path}")
    write_results("precision.json", options.quick, figures)


def load_class_model(options: argparse.Namespace) -> Subject:
    """The class model, and a classifier that says which pictures show their class."""
    versions, weights, vqgan = load_versions(ASSETS / "scenes_class_transformer.safetensors")
    count, epochs = (240, 1) if options.quick else (JUDGED_ON, 4)
    scenes, held_out = load_scenes(training_scenes(), count, options.workers), load_scenes(HELD_OUT, 24, 1)
    classifier = train_judge(scenes.images, scenes.labels, epochs)
    right = accuracy(classifier, to_unit(held_out.images), torch.from_numpy(held_out.labels))
    print(f"the judge of classes is right on {right:.1f}% of {len(held_out.images)} real scenes")

    def judge(pictures: Tensor) -> float:
        return accuracy(classifier, pictures, torch.arange(len(pictures)) % BATCH)

    def tell(rows: Sequence[int]) -> Condition:
        return get_condition(versions[REFERENCE], label=[row % BATCH for row in rows])

    return Subject("class model", versions, weights, vqgan, tell, "show their class, %", judge)


def load_map_model(options: argparse.Namespace) -> Subject:
    """The map model, and a segmenter that reads what stands where in its pictures."""
    versions, weights, vqgan = load_versions(ASSETS / "scenes_segmentation_transformer.safetensors")
    count, epochs, num_placed = (96, 1, 24) if options.quick else (SEGMENTING.count, 4, PLACING.count)
    learned = replace(SEGMENTING, count=count)
    file = RUNS / f"segmenter-{learned.name}-{epochs}.safetensors"  # that of bench_embedded
    segmenter = get_segmenter(file, load_mapped_scenes(learned, options.workers), epochs)
    placed = load_mapped_scenes(replace(PLACING, count=num_placed), options.workers)
    maps = torch.from_numpy(placed.maps).long()

    def judge(pictures: Tensor) -> float:
        return compare_maps(read_places(segmenter, pictures), maps[: len(pictures)])["mean_iou"]

    def tell(rows: Sequence[int]) -> Condition:
        return get_condition(versions[REFERENCE], segmentation=maps[list(rows)])

    return Subject("map model", versions, weights, vqgan, tell, "mean IoU, %", judge)


def load_versions(file: Path) -> tuple[dict[str, Transformer], dict[str, str], VQModel]:
    """A fresh load of `file` for each precision, what became of its weights, and the tokenizer."""
    reference, vqgan = load_transformer(file)
    if vqgan is None:
        raise UnsupportedCheckpointError(f"{file.name} names no tokenizer of its tokens. Save it with first_stage=.")
    versions, weights = {REFERENCE: reference}, {REFERENCE: "weights in fp32, as loaded"}
    for precision in PRECISIONS:
        if precision != "auto":  # it is fp32 on a CPU
            versions[precision], _ = load_transformer(file)
            weights[precision] = prepare_for_sampling(versions[precision], precision)
            print(f"{file.stem}, {precision}: {weights[precision]}")
    versions[FROM_FP32], _ = load_transformer(file)
    add_digits(versions[FROM_FP32])
    weights[FROM_FP32] = "weights in fp32 that the reference is rounded from"
    return versions, weights, vqgan


@torch.no_grad()
def add_digits(transformer: Transformer) -> None:
    """Give the weights of the linear layers digits that float16 does not keep, at random.

    The embedded models are stored in float16, so that fp16 loses nothing of them. How far they are from these weights
    is how far fp16 is from a model that was stored in float32.
    """
    generator = torch.Generator().manual_seed(0)
    for layer in transformer.modules():
        if isinstance(layer, nn.Linear):
            exponent = layer.weight.frexp().exponent.clamp(min=-13)  # below 2**-14 float16 has no finer steps
            lost = torch.rand(layer.weight.shape, generator=generator) - 0.5  # of a step
            layer.weight += torch.ldexp(lost, exponent - 11)


def measure_drawing(subject: Subject, num_batches: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What each precision draws under the same seeds.

    Returns: its grids at the node defaults, (B, h, w), by precision; and figures by setting and precision.
    """
    told = [subject.tell(range(start, start + BATCH)) for start in range(0, num_batches * BATCH, BATCH)]
    by_setting: dict[str, dict[str, Tensor]] = {}
    figures: dict[str, Any] = {}
    for setting, options in SETTINGS.items():
        if told[0].null_prefix is None:
            options = replace(options, guidance_scale=1.0)  # the model was not trained to be guided
        drawn = {name: draw(version, told, options) for name, version in subject.versions.items()}
        reference = drawn[REFERENCE]
        figures[setting] = {name: compare_grids(reference, grids) for name, grids in drawn.items()}
        for name, grids in drawn.items():
            figures[setting][name][subject.judged] = subject.judge(decode(subject.vqgan, grids))
            if setting == DEFAULTS:
                alone = draw_alone(subject, subject.versions[name])
                figures[setting][name]["as alone, %"] = share_equal(alone, grids[: len(alone)])
        if num_batches > 1:
            figures[setting][ANOTHER] = compare_grids(reference, reference.roll(BATCH, 0))
        by_setting[setting] = drawn
        title = f"{subject.name}: {len(reference)} pictures, {setting}, beside {REFERENCE}, same seeds"
        show(title, figures[setting])
    return by_setting[DEFAULTS], figures


def draw(transformer: Transformer, told: Sequence[Condition], options: SamplingOptions) -> Tensor:
    """A grid for each item of each batch, (B, h, w)."""
    numbered = enumerate(told, start=SAMPLE_SEED)
    grids = [sample_grid(replace(each, transformer=transformer), options=options, seed=seed) for seed, each in numbered]
    return torch.cat(grids)


def draw_alone(subject: Subject, transformer: Transformer) -> Tensor:
    """The first pictures of the first batch, each by itself with the random numbers that it had there, (B, h, w)."""
    told = [replace(subject.tell([row]), transformer=transformer) for row in range(NUM_ALONE)]
    return torch.cat([sample_grid(each, seed=item_seed(SAMPLE_SEED, row)) for row, each in enumerate(told)])


def compare_grids(reference: Tensor, grids: Tensor) -> dict[str, float | None]:
    """How two sets of grids, (B, h, w), differ; the first difference counts from 0, where there is one."""
    differs = (grids != reference).flatten(1)  # (B, L)
    changed = differs.any(1)
    first = differs[changed].int().argmax(1).double()
    return {
        "equal tokens, %": share_equal(reference, grids),
        "first to differ": first.mean().item() if len(first) else None,
        "equal grids": len(grids) - int(changed.sum()),
    }


def share_equal(a: Tensor, b: Tensor) -> float:
    """Of two tensors of the same shape, in percent."""
    return 100 * (a == b).double().mean().item()


@torch.no_grad()
def decode(vqgan: VQModel, grids: Tensor) -> Tensor:
    """(B, h, w) tokens to pictures (B, 3, H, W) in [0, 1]."""
    pixels = torch.cat([vqgan.decode_indices(batch) for batch in grids.split(BATCH)])
    return (pixels.clamp(-1, 1) + 1) / 2


def measure_reading(subject: Subject, grids: Tensor) -> dict[str, dict[str, float]]:
    """What each precision makes of every cell of `grids`, (B, h, w), when it reads the same cells before it."""
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in subject.versions if name != REFERENCE}
    for number, tokens in enumerate(grids.split(BATCH)):
        told = subject.tell(range(number * BATCH, number * BATCH + len(tokens)))
        noise = noise_of(tokens, subject.versions[REFERENCE].config.vocab_size, SAMPLE_SEED + number)
        expected = read(subject.versions[REFERENCE], told, tokens)
        for name, found in parts.items():
            found.append(compare_logits(expected, read(subject.versions[name], told, tokens), noise))
    figures = {name: summarize(found) for name, found in parts.items()}
    show(f"{subject.name}: {grids.numel()} cells read by each precision beside {REFERENCE}", figures)
    return figures


@torch.inference_mode()
def read(transformer: Transformer, told: Condition, tokens: Tensor) -> Tensor:
    """Logits of each cell of `tokens`, (B, h, w), as the sampler gets them after the cells before it; (B, L, V)."""
    decoder = Decoder(replace(told, transformer=transformer), 1.0, is_whole=True)
    grid = (tokens.shape[1], tokens.shape[2])
    prefix = decoder.condition_tokens(Window(0, 0, *grid, grid))  # (B, S)
    cache = decoder.new_cache(prefix.shape[1] + tokens[0].numel() - 1)
    steps = [prefix, *tokens.flatten(1)[:, :-1].split(1, dim=1)]
    return torch.cat([decoder.decode(step, cache).clone() for step in steps], dim=1)  # a step may reuse its memory


def noise_of(tokens: Tensor, num_codes: int, seed: int) -> Tensor:
    """What every cell of `tokens`, (B, h, w), is drawn with; (B, h * w, V)."""
    batch, _, width = tokens.shape
    return CellNoise(seed, range(batch), width, num_codes, tokens.device).at(range(tokens[0].numel()))


def compare_logits(reference: Tensor, logits: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """How logits differ, both (B, L, V), with the noise that draws from them, (B, L, V); a value for each cell."""
    expected, found = (each.flatten(0, 1) for each in (reference, logits))  # (B * L, V)
    p, q = (each.double().log_softmax(-1) for each in (expected, found))
    same = {"same likeliest, %": expected.argmax(-1) == found.argmax(-1)}
    for options in SETTINGS.values():
        drawn = (sample_next(each, options, noise.flatten(0, 1)) for each in (expected, found))
        same[f"same draw, top_p {options.top_p:g}, %"] = torch.eq(*drawn)
    return {"KL": (p.exp() * (p - q)).sum(-1).clamp(min=0), **same}


def summarize(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Of all cells together; KL in nats for each token."""
    cells = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    divergence = cells.pop("KL")
    shares = {name: 100 * same.double().mean().item() for name, same in cells.items()}
    return {"KL, mean": divergence.mean().item(), "KL, worst": divergence.max().item(), **shares}


def show(title: str, figures: Mapping[str, Mapping[str, float | None]]) -> None:
    """A table with a row for each precision; what one of them lacks stays empty."""
    columns = list(dict.fromkeys(column for row in figures.values() for column in row))
    rows = [[name, *(as_text(column, row.get(column)) for column in columns)] for name, row in figures.items()]
    print_table(title, ["", *columns], rows)


def as_text(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column.startswith("KL"):
        return f"{value:.1e}"
    return str(value) if isinstance(value, int) else f"{value:.2f}" if "%" in column else f"{value:.0f}"


def draw_heading(version: str, weights: str) -> Image.Image:
    """The name of a row of the sheet, and what became of its weights on this CPU, which may be something else."""
    tile = Image.new("RGB", (TILE_PX, TILE_PX), PAPER)
    pen = ImageDraw.Draw(tile)
    pen.text((4, 4), version.partition(",")[0], INK, ImageFont.load_default(size=2 * FONT_PX))
    pen.text((4, 12 + 2 * FONT_PX), textwrap.fill(weights, WRAP), INK, ImageFont.load_default(size=FONT_PX))
    return tile


if __name__ == "__main__":
    main()
