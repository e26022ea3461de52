"""How good the embedded models are: reconstruction, use of the codebook, class consistency, and no copies.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. All of it takes about ten minutes on two
cores. `--quick` only checks that the script works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks import ASSETS, RUNS
from benchmarks.judge import SceneClassifier, predict, to_unit, train_judge
from benchmarks.neighbors import Bank, build_bank, find_neighbors
from benchmarks.patch_codes import fit_patch_codes, reconstruct_patches
from benchmarks.real_scenes import Scenes, load_scenes
from benchmarks.report import file_digest, print_table, result_path, write_results
from taming import generate_image, get_condition, load_transformer, load_vqgan
from taming.data import SCENE_CLASSES
from taming.errors import ConfigError
from taming.metrics import code_usage, perplexity, psnr
from taming.models import Transformer, VQModel
from taming.modules.perceptual import PerceptualDistance
from taming.sampling import SamplingOptions
from taming.viz import labelled_sheet

SIZE_PX = 128
TRAINING = (0, 16_000)  # first seed and number of scenes
HELD_OUT = (1_000_000, 200)
JUDGING = (2_000_000, 1_200)  # for the judge's own accuracy
SAMPLE_SEED = 77_000
PATCH_PX = 8  # the tokenizer's factor, so that the patch code has its rate
NODE_DEFAULTS = SamplingOptions()
RECOMMENDED = SamplingOptions(top_p=0.95, guidance_scale=2.0)  # what the node's help page says to try
SHEET_PER_CLASS = 2
BATCH = 20


def main() -> None:
    options = parse_arguments()
    vqgan = load_vqgan(ASSETS / "scenes_vqgan.safetensors")
    transformer, _ = load_transformer(ASSETS / "scenes_class_transformer.safetensors")
    training = get_scenes(*TRAINING, options.train_scenes, options.workers)
    held_out = get_scenes(*HELD_OUT, 24 if options.quick else HELD_OUT[1], options.workers)
    judging = get_scenes(*JUDGING, 48 if options.quick else JUDGING[1], options.workers)
    real = to_unit(held_out.images)
    figures: dict[str, Any] = {
        "models": describe_files(),
        "training_scenes": len(training.images),
        "held_out_scenes": len(real),
    }
    reconstructed, figures["reconstruction"] = measure_tokenizer(vqgan, training, real, options.quick)
    judge, figures["judge"] = measure_judge(training, judging, reconstructed, held_out, options.epochs)
    settings = {"node defaults": NODE_DEFAULTS, "recommended": replace(RECOMMENDED, **dict(options.recommended))}
    drawn, figures["samples"] = measure_samples(judge, vqgan, transformer, settings, options.samples_per_class)
    bank = build_bank(judge, training.images)
    references = {"held-out scenes": real, "held-out scenes, reconstructed": reconstructed}
    figures["nearest_training_scene"] = measure_copies(judge, bank, references, drawn)
    sheet = draw_sheet(judge, bank, training, drawn["recommended"], result_path("nearest.png", options.quick))
    print(f"\nwritten: {sheet}")
    write_results("embedded.json", options.quick, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few scenes and samples, to check the script")
    parser.add_argument("--train-scenes", type=int, metavar="N", help=f"training scenes to use (default {TRAINING[1]})")
    parser.add_argument("--samples-per-class", type=int, metavar="N", help="default 20")
    parser.add_argument("--epochs", type=int, metavar="N", help="of the judge's training (default 4)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that render scenes (default 2)")
    text = "sampling options in place of the recommended ones, such as top_k=250 guidance_scale=1.5"
    parser.add_argument("--recommended", nargs="*", type=sampling_option, default=(), metavar="NAME=VALUE", help=text)
    options = parser.parse_args()
    options.train_scenes = options.train_scenes or (240 if options.quick else TRAINING[1])
    options.samples_per_class = options.samples_per_class or (SHEET_PER_CLASS if options.quick else 20)
    options.epochs = options.epochs or (1 if options.quick else 4)
    return options


def sampling_option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, int(value) if name == "top_k" else float(value)


def describe_files() -> dict[str, dict[str, object]]:
    files = sorted(ASSETS.glob("*.safetensors"))
    return {file.name: {"sha256": file_digest(file), "megabytes": file.stat().st_size / 1e6} for file in files}


def get_scenes(first_seed: int, count: int, wanted: int, workers: int) -> Scenes:
    """The first `wanted` scenes of a set of `count`; only so many are rendered where the whole set is not there."""
    whole = scenes_folder(first_seed, count)
    available = count if (whole / "images.npy").exists() and wanted <= count else wanted
    found = load_scenes(scenes_folder(first_seed, available), first_seed, available, SIZE_PX, workers)
    return Scenes(found.images[:wanted], found.labels[:wanted])


def scenes_folder(first_seed: int, count: int) -> Path:
    return RUNS / f"scenes-{SIZE_PX}px-{first_seed}-{count}"


@torch.no_grad()
def measure_tokenizer(
    vqgan: VQModel, training: Scenes, real: Tensor, quick: bool
) -> tuple[Tensor, dict[str, dict[str, float]]]:
    """Reconstruct whole held-out scenes, (B, 3, H, W) in [0, 1], and beside them by a patch code of the same rate."""
    num_codes = 64 if quick else vqgan.config.n_embed
    codes = fit_patch_codes(
        training.images, num_codes, PATCH_PX, num_patches=4096 if quick else 262_144, iterations=3 if quick else 30
    )
    tokens = torch.cat([vqgan.encode(batch * 2 - 1).indices for batch in real.split(BATCH)])
    decoded = torch.cat([vqgan.decode_indices(batch) for batch in tokens.split(BATCH)])
    reconstructed = (decoded.clamp(-1, 1) + 1) / 2
    patched, patch_tokens = reconstruct_patches(real, codes, PATCH_PX)
    ruler = get_ruler()
    figures = {
        "embedded VQGAN": judge_reconstruction(real, reconstructed, tokens, vqgan.config.n_embed, ruler),
        f"k-means of {PATCH_PX} px patches": judge_reconstruction(real, patched, patch_tokens, num_codes, ruler),
    }
    names = list(next(iter(figures.values())))
    rows = [[model, *(f"{row[name]:.2f}" for name in names)] for model, row in figures.items()]
    print_table(f"Reconstruction of {len(real)} whole {SIZE_PX} px scenes never trained on", ["", *names], rows)
    return reconstructed, figures


def get_ruler() -> PerceptualDistance | None:
    """The perceptual distance, where the packages that it needs are installed."""
    try:
        return PerceptualDistance()
    except ConfigError:
        print("perceptual distance: not measured, its packages are not installed (see taming/modules/perceptual.py)")
        return None


def judge_reconstruction(
    real: Tensor, reconstructed: Tensor, tokens: Tensor, num_codes: int, ruler: PerceptualDistance | None
) -> dict[str, float]:
    decibels = psnr(reconstructed, real)
    figures = {
        "psnr_mean_db": decibels.mean().item(),
        "psnr_pooled_db": -10 * (reconstructed - real).square().mean().log10().item(),
        "psnr_worst_db": decibels.min().item(),
        "codebook_used_percent": 100 * code_usage(tokens, num_codes),
        "perplexity": perplexity(tokens, num_codes),
    }
    if ruler is not None:
        pairs = zip(reconstructed.split(BATCH), real.split(BATCH), strict=True)
        figures["perceptual"] = torch.cat([ruler(a * 2 - 1, b * 2 - 1) for a, b in pairs]).mean().item()
    return figures


def measure_judge(
    training: Scenes, judging: Scenes, reconstructed: Tensor, held_out: Scenes, epochs: int
) -> tuple[SceneClassifier, dict[str, float]]:
    """Train the judge on real scenes, and say how far to trust it."""
    judge = train_judge(training.images, training.labels, epochs)
    figures = {
        "training_scenes": len(training.images),
        "epochs": epochs,
        "held_out_scenes": len(judging.images),
        "held_out_accuracy_percent": accuracy(judge, to_unit(judging.images), torch.from_numpy(judging.labels)),
        "accuracy_on_reconstructions_percent": accuracy(judge, reconstructed, torch.from_numpy(held_out.labels)),
    }
    rows = [
        [f"{len(judging.images)} held-out real scenes", f"{figures['held_out_accuracy_percent']:.1f}"],
        [f"{len(reconstructed)} reconstructed ones", f"{figures['accuracy_on_reconstructions_percent']:.1f}"],
    ]
    print_table("The judge, trained on real scenes only", ["its accuracy on", "percent"], rows)
    return judge, figures


def accuracy(judge: SceneClassifier, images: Tensor, labels: Tensor) -> float:
    return 100 * (predict(judge, images) == labels).float().mean().item()


def measure_samples(
    judge: SceneClassifier,
    vqgan: VQModel,
    transformer: Transformer,
    settings: dict[str, SamplingOptions],
    per_class: int,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Draw every class with every setting; returns the pictures, (classes * per_class, 3, H, W), and the figures."""
    drawn, figures = {}, {}
    for name, options in settings.items():
        start = time.perf_counter()
        pictures = [draw_class(vqgan, transformer, label, per_class, options) for label in range(len(SCENE_CLASSES))]
        seconds = time.perf_counter() - start
        by_class = {
            scene_class: accuracy(judge, images, torch.full((per_class,), label))
            for label, (scene_class, images) in enumerate(zip(SCENE_CLASSES, pictures, strict=True))
        }
        drawn[name] = torch.cat(pictures)
        figures[name] = {
            "options": asdict(options),
            "samples_per_class": per_class,
            "accuracy_percent": sum(by_class.values()) / len(by_class),
            "accuracy_by_class_percent": by_class,
            "seconds_per_image": seconds / len(drawn[name]),
        }
    rows = [
        [name, *(f"{row['accuracy_by_class_percent'][name]:.0f}" for row in figures.values())] for name in SCENE_CLASSES
    ]
    rows.append(["all", *(f"{row['accuracy_percent']:.1f}" for row in figures.values())])
    print_table(f"Samples that show their class, percent of {per_class} each", ["", *figures], rows)
    return drawn, figures


def draw_class(vqgan: VQModel, transformer: Transformer, label: int, count: int, options: SamplingOptions) -> Tensor:
    condition = get_condition(transformer, label=label, batch_size=count)
    return generate_image(vqgan, transformer, condition, seed=SAMPLE_SEED + label, options=options)


def measure_copies(
    judge: SceneClassifier, bank: Bank, references: dict[str, Tensor], drawn: dict[str, Tensor]
) -> dict[str, dict[str, float]]:
    """How near pictures come to a training scene: samples, beside scenes that cannot be copies."""
    groups = {**references, **{f"samples, {name}": images for name, images in drawn.items()}}
    figures = {}
    for name, images in groups.items():
        found = find_neighbors(judge, bank, images)
        figures[name] = {
            "pixels_median": found.pixel_distance.median().item(),
            "pixels_least": found.pixel_distance.min().item(),
            "features_median": found.feature_distance.median().item(),
            "features_least": found.feature_distance.min().item(),
        }
    names = list(next(iter(figures.values())))
    rows = [[group, *(f"{row[name]:.3g}" for name in names)] for group, row in figures.items()]
    print_table("Distance to the nearest training scene (pixels: RMS gray levels at 32 px)", ["", *names], rows)
    return figures


def draw_sheet(judge: SceneClassifier, bank: Bank, training: Scenes, images: Tensor, path: Path) -> Path:
    """The samples of each class that come nearest to a training scene, each beside the scenes it comes nearest to."""
    found = find_neighbors(judge, bank, images)
    per_class = len(images) // len(SCENE_CLASSES)
    by_class = found.pixel_distance.view(-1, per_class).argsort(dim=1)[:, :SHEET_PER_CLASS]
    rows = (by_class + torch.arange(0, len(images), per_class).unsqueeze(1)).flatten().tolist()
    pictures, labels = [], []
    for row in rows:
        sample = Image.fromarray((images[row].permute(1, 2, 0) * 255).round().byte().numpy())
        neighbors = [training.images[int(chosen[row])] for chosen in (found.by_pixels, found.by_features)]
        pictures += [sample, *map(Image.fromarray, neighbors)]
        labels += [
            f"{SCENE_CLASSES[row // per_class]} (drawn)",
            f"pixels {found.pixel_distance[row]:.1f}",
            f"features {found.feature_distance[row]:.2f}",
        ]
    labelled_sheet(pictures, labels, columns=6).save(path)
    return path


if __name__ == "__main__":
    main()
