"""Training on a lent GPU: what fits into its minutes and its file sizes."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from devtools.gpu_training import pack, train
from devtools.gpu_training.data import PaintedScenes, PrefetchedVQGANTask, StepImages
from devtools.gpu_training.parts import Report, join_parts, split_file, write_report
from devtools.gpu_training.stages import (
    STAGES,
    choose_num_steps,
    enlarge_batches,
    find,
    read_stage_recipe,
    rehearsal_recipe,
    with_length,
)
from devtools.steps import SetupError
from recipes import write_recipe
from taming.data import CompositionPainter
from taming.training.batches import step_rng, to_pixels
from taming.training.losses.efficientnet import PerceptualDistance
from taming.training.recipe import Phase, Recipe, read_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return read_recipe(str(write_recipe(tmp_path, "vqgan")))


def bring_back(folder: Path, content: bytes, part_bytes: int) -> list[str]:
    """Split a file of `content` into `folder`, with its report; returns the names of the parts."""
    file = folder / "model.safetensors"
    file.write_bytes(content)
    parts = split_file(file, folder, part_bytes)
    digest = hashlib.sha256(content).hexdigest()
    write_report(Report("words", "finished", "cpu", 9, [0.5], digest, parts, [{"step": 9, "loss": 1.5}]), folder)
    return parts


def test_the_chosen_steps_fill_the_time_but_for_the_margin(recipe):
    phases = (Phase(60, 4), Phase(40, 2))
    steps = choose_num_steps(replace(recipe, phases=phases), [0.1, 0.4], seconds=1000)
    longer = with_length(replace(recipe, phases=phases), steps)
    seconds = sum(phase.steps * each for phase, each in zip(longer.phases, [0.1, 0.4], strict=True))
    assert 895 < seconds <= 900.5


def test_there_is_a_step_even_where_no_time_is_left(recipe):
    steps = choose_num_steps(recipe, [1.0, 1.0], seconds=-5)
    assert with_length(recipe, steps).num_steps == 1


def test_a_larger_batch_raises_the_learning_rate_by_half_at_most(recipe):
    rates = [enlarge_batches(recipe, factor).optimizer.lr / recipe.optimizer.lr for factor in (1, 2, 4, 64)]
    assert rates == pytest.approx([1, 2**0.5, 1.5, 1.5])
    assert [phase.batch_size for phase in enlarge_batches(recipe, 4).phases] == [12, 8]


def test_trained_weights_start_with_their_codebook_and_at_half_the_rate(recipe):
    changed = enlarge_batches(replace(recipe, init_from="model.safetensors"), 1)
    assert changed.loss["quantize_from"] == 0
    assert changed.optimizer.lr == pytest.approx(recipe.optimizer.lr / 2)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_has_a_recipe_whose_rehearsals_have_all_losses(name, tmp_path):
    stage_recipe = read_stage_recipe(STAGES[name], ["data.count=500"], [tmp_path])
    assert stage_recipe.data.count == 500
    for number, phase in enumerate(stage_recipe.phases):
        rehearsal = rehearsal_recipe(stage_recipe, number)
        assert rehearsal.phase_at(0).batch_size == phase.batch_size
        assert rehearsal.loss.get("adversarial_from", 0) == rehearsal.loss.get("quantize_from", 0) == 0


def test_a_model_of_this_sitting_is_preferred_to_the_packed_one(tmp_path):
    work, packed = tmp_path / "work", tmp_path / "packed"
    for folder in (packed, work):
        folder.mkdir()
        (folder / "a").touch()
        assert find((work, packed), "a") == folder / "a"
    assert find((work, packed), "b") == packed / "b"


@pytest.mark.parametrize("size", [1, 100, 101, 1000])
def test_the_parts_are_the_file_again(size, tmp_path):
    content = np.random.default_rng(size).bytes(size)
    parts = bring_back(tmp_path, content, part_bytes=100)
    assert max((tmp_path / name).stat().st_size for name in parts) <= 100
    report = join_parts(tmp_path, tmp_path / "made" / "words.safetensors")
    assert (tmp_path / "made" / "words.safetensors").read_bytes() == content
    assert report.stage == "words"
    assert (tmp_path / "made" / "words.log.jsonl").read_text() == '{"step": 9, "loss": 1.5}\n'


def test_damaged_and_missing_parts_are_refused(tmp_path):
    part = tmp_path / bring_back(tmp_path, bytes(250), part_bytes=100)[1]
    target = tmp_path / "words.safetensors"
    part.write_bytes(bytes(99) + b"x")
    with pytest.raises(SetupError, match="damaged"):
        join_parts(tmp_path, target)
    part.unlink()
    with pytest.raises(SetupError, match="did not come back"):
        join_parts(tmp_path, target)
    assert not target.exists()


def test_more_than_may_travel_is_refused(capsys):
    with pytest.raises(SetupError, match="64 MiB"):
        pack.check_size(64 * 2**20)
    pack.check_size(62 * 2**20)
    assert "62.0 of 64 MiB" in capsys.readouterr().out


def test_photographs_fill_their_room_with_both_kinds(tmp_path, capsys):
    source, folder = tmp_path / "all", tmp_path / "packed"
    source.mkdir()
    for number in range(40):
        for kind in ("photograph", "emoji"):
            to_image(number).save(source / f"{kind}-{number:05}.png")
    pack.pack_photographs(source, folder, room=20_000)
    kinds = [file.name.split("-")[0] for file in folder.iterdir()]
    assert 0 < pack.size_of(folder) <= 20_000
    assert 2 < kinds.count("photograph") / kinds.count("emoji") < 5


def to_image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(256, size=(16, 16, 3), dtype=np.uint8))


def test_every_beginning_of_the_photographs_is_spread_over_all(tmp_path):
    files = [tmp_path / f"{number:04}" for number in range(1000)]
    order = pack.spread(files)
    assert sorted(order) == files
    quarters = np.bincount([int(file.name) // 250 for file in order[:100]])
    assert quarters.min() >= 20


def test_the_packed_weights_measure_the_same_perceptual_distance():
    distance, images = PerceptualDistance(), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = distance(images[:1], images[1:])
    distance.net.load_state_dict(pack.shrink_perceptual(distance.net.state_dict()))
    assert torch.equal(distance(images[:1], images[1:]), before)


def test_prefetched_images_are_those_that_the_task_draws(recipe, scenes):
    task = PrefetchedVQGANTask(recipe, scenes)
    for step in (0, 3):  # of either phase
        drawn = task.batch(step, step_rng(recipe.seed, step))["pixels"]
        images = StepImages(recipe, scenes)[step]
        assert torch.equal(to_pixels(images), drawn)
        task.batches = iter([images])
        assert torch.equal(task.batch(step, step_rng(recipe.seed, step))["pixels"], drawn)
        task.stop_prefetching()


def test_painted_scenes_are_those_of_their_painter():
    painter = CompositionPainter(size_px=32)
    samples = PaintedScenes(painter, 2, num_workers=1)
    for index in range(2):
        expected = painter.paint(index)
        assert np.array_equal(samples[index].image, expected.image)
        assert np.array_equal(samples[index].segmentation, expected.segmentation)
        assert samples[index].boxes == expected.boxes


def test_a_rehearsal_times_the_steps_after_those_that_warm_up(monkeypatch):
    clock, now = train.StepClock(seconds=1.0), 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with pytest.raises(train.TimeIsUp):
        for step in range(100):
            clock(step, {})
            now += 0.7 if step < 2 else 0.1
    assert clock.step_seconds == pytest.approx(0.1)


def test_sigterm_and_the_end_of_the_minutes_end_a_run_after_a_step():
    before = signal.getsignal(signal.SIGTERM)
    try:
        deadline = train.Deadline(at=time.monotonic() + 60)
        deadline(0, {})
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(train.TimeIsUp, match="told to end"):
            deadline(1, {})
        with pytest.raises(train.TimeIsUp, match="minutes were over"):
            train.Deadline(at=time.monotonic() - 1)(1, {})
    finally:
        signal.signal(signal.SIGTERM, before)
