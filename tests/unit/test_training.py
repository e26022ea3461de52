"""Training: recipes that say what is wrong with them, runs that learn, and runs that go on exactly where they ended."""

import json
import math
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes import GPT, RECIPES, SIZE_PX, VQGAN, write_recipe
from taming.checkpoints import load_checkpoint, load_transformer, load_vqgan, read_checkpoint, save_checkpoint
from taming.configs import config_from_dict
from taming.data import SCENE_CLASSES, ArrayDataset, Subset, render_scene
from taming.errors import ConfigError, TrainingError
from taming.models import VQModel, VQModelConfig
from taming.modules.quantizers import EMAVectorQuantizer
from taming.training.batches import augmentation, image_batch, step_rng, to_pixels
from taming.training.datasets import Data, open_data, split
from taming.training.diagnosis import Watch
from taming.training.kmeans import kmeans
from taming.training.loop import Run, Task, train
from taming.training.processes import find_processes
from taming.training.recipe import DataSettings, Recipe, read_recipe
from taming.training.transformer import TransformerTask
from taming.training.vqgan import VQGANTask


@pytest.fixture(scope="module")
def scenes() -> Data:
    images = np.stack([render_scene(i % len(SCENE_CLASSES), i, SIZE_PX).image for i in range(12)])
    training = ArrayDataset(images, range(12), class_names=SCENE_CLASSES)
    return Data(training, Subset(training, range(8, 12)))


def all_pixels(scenes: Data) -> torch.Tensor:
    return to_pixels([scenes.training[i].image for i in range(len(scenes.training))])


@pytest.fixture(scope="module")
def tokenizer(scenes: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved VQGAN with random weights whose codes lie among the latents, so that its tokens differ."""
    torch.manual_seed(0)
    vqgan = VQModel(config_from_dict(VQModelConfig, VQGAN, "model")).eval()
    with torch.no_grad():
        z = vqgan.encode_latents(all_pixels(scenes)[:4]).permute(0, 2, 3, 1).flatten(0, 2)  # (B*h*w, D)
    assert isinstance(vqgan.quantize, EMAVectorQuantizer)
    vqgan.quantize.start_at(kmeans(z, 16, torch.Generator().manual_seed(0)))
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.safetensors"
    save_checkpoint(vqgan, file)
    return file


@pytest.fixture
def run_folder(tokenizer: Path, tmp_path: Path) -> Path:
    """A folder for a run, with the tokenizer that a transformer names by its bare name."""
    shutil.copy(tokenizer, tmp_path)
    return tmp_path


def make_task(recipe: Recipe, scenes: Data) -> Task:
    if recipe.task == "transformer":
        cache = Path(recipe.first_stage).parent / "cache"
        return TransformerTask(recipe, scenes, cache, torch.device("cpu"))
    return VQGANTask(recipe, scenes)


# Batches


def batch_of(scenes: Data, settings: DataSettings, seed: int = 0, step: int = 0, count: int = 6, crop_px: int = 0):
    return image_batch(scenes.training, count, augmentation(settings, crop_px), step_rng(seed, step))


def test_scenes_are_rendered_once_and_then_read(tmp_path):
    settings = DataSettings(count=3, held_out=1, size_px=16)
    open_data(settings, tmp_path)
    (written,) = tmp_path.glob("scenes-16px-0-3/images.npy")
    before = written.stat().st_mtime_ns
    again = open_data(settings, tmp_path)
    assert written.stat().st_mtime_ns == before and (len(again.training), len(again.held_out)) == (3, 1)


def test_a_batch_follows_from_seed_and_step_alone(scenes):
    settings = DataSettings(size_px=SIZE_PX, largest_scale=1.5, color=0.2)
    batch, again, next_step, other_seed = (
        batch_of(scenes, settings, *key, crop_px=16) for key in ((1, 7), (1, 7), (1, 8), (2, 7))
    )
    assert torch.equal(batch, again)
    assert not torch.equal(batch, next_step) and not torch.equal(batch, other_seed)


def test_a_batch_of_whole_pictures_holds_scenes_and_their_mirror_images(scenes):
    known = all_pixels(scenes)
    known = torch.cat([known, known.flip(3)])
    batch = batch_of(scenes, DataSettings(size_px=SIZE_PX), count=32)
    found = [(known == picture).flatten(1).all(1).nonzero().flatten().tolist() for picture in batch]
    assert batch.shape == (32, 3, SIZE_PX, SIZE_PX)
    assert all(found) and {matches[0] // len(scenes.training) for matches in found} == {0, 1}


def test_crops_have_the_asked_size_and_lie_anywhere(scenes):
    batch = batch_of(scenes, DataSettings(size_px=SIZE_PX), step=1, count=16, crop_px=16)
    assert batch.shape == (16, 3, 16, 16)
    assert batch.unique(dim=0).shape[0] == 16
    assert -1 <= batch.min() < batch.max() <= 1


def test_held_out_pictures_are_spread_over_a_folder_and_never_trained_on(scenes):
    pictures = ArrayDataset(np.zeros((95, 8, 8, 3), np.uint8), range(95), class_names=tuple(map(str, range(95))))
    data = split(pictures, 5)
    chosen, rest = ([part[i].label for i in range(len(part))] for part in (data.held_out, data.training))
    assert chosen == [9, 28, 47, 66, 85] and sorted(chosen + rest) == list(range(95))
    assert len(split(pictures, 50).held_out) == 9
    assert split(Subset(pictures, range(3)), 5).held_out[0].label == 0  # too few: they are measured on themselves


def test_kmeans_finds_separate_groups_and_survives_more_centers_than_points():
    centers = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    points = centers.repeat(30, 1) + torch.randn(90, 2, generator=torch.Generator().manual_seed(0)) / 10
    found = kmeans(points, 12, torch.Generator().manual_seed(1))
    assert torch.cdist(centers, found).amin(1).max() < 0.3
    same = kmeans(torch.zeros(20, 2), 8, torch.Generator().manual_seed(1))
    assert same.shape == (8, 2) and same.isfinite().all()


# Runs


@pytest.mark.parametrize(
    "section",
    [{"loss": {"null_rate": 0.1, "l2": 1}}, {"loss": {"null_rate": "often"}}],
    ids=["unknown", "of a wrong type"],
)
def test_a_transformers_loss_section_is_checked_like_the_others(section, run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer", **section)))
    with pytest.raises(ConfigError, match="null_rate|l2"):
        make_task(recipe, scenes)


def test_a_vqgan_learns_to_reconstruct(tmp_path, scenes):
    changes = {
        "phases": [{"steps": 40, "batch_size": 4, "crop_px": 16}],
        "optimizer": {"lr": 4e-3, "warmup_steps": 2},
        "loss": {"l1": 0.5, "l2": 5.0, "quantize_from": 10},
    }
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", **changes, evaluate_every=100)))
    task, losses = make_task(recipe, scenes), []
    before = task.evaluate()
    after = train(task, recipe, tmp_path / "run", lambda step, figures: losses.append(figures["l2"]))
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert after["psnr"] > before["psnr"] + 1
    assert after["usage"] > 0.5


def test_a_transformer_learns_to_predict_tokens(run_folder, scenes):
    phases = [{"steps": 60, "batch_size": 8}]
    recipe = read_recipe(str(write_recipe(run_folder, "transformer", phases=phases, evaluate_every=100)))
    task, losses = make_task(recipe, scenes), []
    before = task.evaluate()["held_out_loss"]
    after = train(task, recipe, run_folder, lambda step, figures: losses.append(figures["loss"]))["held_out_loss"]
    assert before == pytest.approx(math.log(16), rel=0.1)
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert after < 0.9 * before


class Killed(Exception):
    """Stands for a process that ends without a chance to save."""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Killed])
@pytest.mark.parametrize("task_name", RECIPES)
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(task_name, stop, run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, task_name, save_minutes=0)))
    whole, parts = run_folder / "whole", run_folder / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        shutil.copy(run_folder / "tokenizer.safetensors", folder)
    expected, seen = {}, {}

    def stop_after_four(step: int, figures: dict[str, float]) -> None:
        seen[step] = figures
        if step == 3:
            raise stop

    train(make_task(recipe, scenes), recipe, whole, expected.__setitem__)
    with pytest.raises(stop):
        train(make_task(recipe, scenes), recipe, parts, stop_after_four)
    torch.manual_seed(1234)  # another process starts from another global seed
    train(make_task(recipe, scenes), recipe, parts, seen.__setitem__)
    assert seen == expected
    differing = differences(read_state(whole), read_state(parts))
    assert differing == [], f"{len(differing)} values differ after resuming: {differing[:5]}"


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, scenes, monkeypatch):
    """A step that is cut in half has moved some weights and not others, and cannot be continued."""
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    task, handler = make_task(recipe, scenes), signal.getsignal(signal.SIGINT)
    whole_batch, steps = task.batch, []

    def batch(number: int, rng):
        if number == 2:
            signal.raise_signal(signal.SIGINT)
        return whole_batch(number, rng)

    monkeypatch.setattr(task, "batch", batch)
    with pytest.raises(KeyboardInterrupt):
        train(task, recipe, tmp_path, lambda number, figures: steps.append(number))
    assert steps == [0, 1] and read_state(tmp_path)["step"] == 3
    assert signal.getsignal(signal.SIGINT) is handler


def read_state(folder: Path) -> dict:
    return torch.load(folder / "state.pt", weights_only=True)


def differences(a: object, b: object, where: str = "state") -> list[str]:
    """Where two nested states are not bit for bit the same."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [found for key in a for found in differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [found for i in range(len(a)) for found in differences(a[i], b[i], f"{where}[{i}]")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [where]
    return [] if type(a) is type(b) and a == b else [where]


def test_a_save_that_is_cut_off_leaves_the_state_before_it(tmp_path, scenes, monkeypatch):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    run, file = Run(make_task(recipe, scenes), recipe, tmp_path, find_processes("cpu")), tmp_path / "state.pt"
    run.done = 3
    run._save()
    before = file.read_bytes()

    def cut_off(state: object, stream) -> None:
        stream.write(before[: len(before) // 2])
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_off)
        with pytest.raises(OSError, match="no space"):
            run._save()
    assert file.read_bytes() == before and list(tmp_path.glob("*.partial")) == []
    assert Run(make_task(recipe, scenes), recipe, tmp_path, find_processes("cpu")).done == 3


def test_a_finished_run_is_not_trained_again(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    steps = []
    figures = train(make_task(recipe, scenes), recipe, tmp_path, lambda step, figures: steps.append(step))
    state = read_state(tmp_path)
    again = train(make_task(recipe, scenes), recipe, tmp_path, lambda step, figures: steps.append(step))
    assert steps == list(range(5)) and again == figures
    assert differences(read_state(tmp_path), state) == []


def test_a_run_does_not_go_on_by_another_recipe(tmp_path, scenes):
    """It did so in silence, and the file that it left was of neither."""
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    train(make_task(recipe, scenes), recipe, tmp_path)
    before = (tmp_path / "state.pt").read_bytes()
    other = replace(recipe, seed=recipe.seed + 1)
    with pytest.raises(ConfigError, match="seed is 5, now 6"):
        train(make_task(other, scenes), other, tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    train(make_task(recipe, scenes), replace(recipe, save_minutes=1.0, export_dtype="float16"), tmp_path)


@pytest.mark.parametrize("quantizer", ["vq", "ema", "cosine"])
def test_a_codebook_starts_among_the_latents(quantizer, tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", model={**VQGAN, "quantizer": quantizer})))
    task = make_task(recipe, scenes)
    assert isinstance(task, VQGANTask)
    task.start_codebook(step_rng(0, 0))
    with torch.no_grad():
        indices = task.model.eval().encode(all_pixels(scenes)).indices
    assert len(indices.unique()) > 8


def test_crops_that_are_not_whole_tokens_are_refused(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", phases=[{"steps": 1, "batch_size": 1, "crop_px": 18}])))
    with pytest.raises(ConfigError, match="18 is not a multiple of 4"):
        make_task(recipe, scenes)


@pytest.mark.parametrize("task_name", ["vqgan", "transformer"])
def test_micro_batches_give_the_gradients_of_the_whole_batch(task_name, run_folder, scenes):
    """The loss is a mean over items, so only float noise may tell them apart; the last part is smaller."""
    changes = {"phases": [{"steps": 1, "batch_size": 5}], "evaluate_every": 9}
    if task_name == "transformer":
        changes["model"] = GPT  # without dropout
    else:
        changes |= {"loss": {"l1": 1.0}, "model": {**VQGAN, "quantizer": "vq"}}
    gradients = []
    for accumulate in (1, 2, 5, 9):
        recipe = read_recipe(str(write_recipe(run_folder, task_name, accumulate=accumulate, **changes)))
        run = Run(make_task(recipe, scenes), recipe, run_folder / str(accumulate), find_processes("cpu"))
        run._accumulate(run.task.turns[0], run.task.batch(0, step_rng(5, 0)), 0)
        gradients.append([p.grad for p in run.task.model.parameters() if p.grad is not None])
    for other in gradients[1:]:
        for mine, whole in zip(other, gradients[0], strict=True):
            torch.testing.assert_close(mine, whole, rtol=1e-3, atol=1e-5)


def test_out_of_memory_halves_the_micro_batches_and_gives_up_at_one_item(tmp_path, scenes, monkeypatch, caplog):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", phases=[{"steps": 2, "batch_size": 4, "crop_px": 16}])))
    task, sizes = make_task(recipe, scenes), []
    turn = task.turns[0]

    def limited(limit: int):
        def loss(batch, step):
            sizes.append(len(batch["pixels"]))
            if sizes[-1] > limit:
                raise torch.OutOfMemoryError("no memory")
            return turn.loss(batch, step)

        return [replace(turn, loss=loss)]

    monkeypatch.setattr(task, "turns", limited(1))
    train(task, recipe, tmp_path)
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]  # and the second step begins with what worked
    assert "4 micro-batches" in caplog.text and read_state(tmp_path)["num_micro"] == 4
    monkeypatch.setattr(task, "turns", limited(0))
    with pytest.raises(TrainingError, match="a single item"):
        train(task, replace(recipe, seed=1), tmp_path / "other")


def test_a_run_that_becomes_nan_stops_with_the_last_good_state(tmp_path, scenes, monkeypatch):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", save_minutes=0)))
    task = make_task(recipe, scenes)
    turn = task.turns[0]

    def spoiled(batch, step):
        loss, figures = turn.loss(batch, step)
        return (loss * float("nan"), {**figures, "l1": float("nan")}) if step == 3 else (loss, figures)

    monkeypatch.setattr(task, "turns", [replace(turn, loss=spoiled)])
    with pytest.raises(TrainingError, match="step 3: l1 became NaN .* Halve optimizer.lr"):
        train(task, recipe, tmp_path)
    state = read_state(tmp_path)
    assert state["step"] == 3
    assert all(t.isfinite().all() for t in state["modules"]["vqgan"].values())


def test_a_loss_that_grows_tenfold_is_called_diverged():
    watch = Watch("loss")
    found = [watch.look({"loss": 1.0 if step < 300 else 1.0 + step / 10}) for step in range(600)]
    first = next(step for step, word in enumerate(found) if word)
    assert 300 < first < 450 and "grew from 1 to" in str(found[first]) and "warmup_steps" in str(found[first])
    assert not any(Watch("loss").look({"loss": 1 / (1 + step)}) for step in range(600))


def test_running_averages_are_what_is_evaluated_and_exported(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", ema_decay=0.9)))
    task = make_task(recipe, scenes)
    train(task, recipe, tmp_path)
    state, exported = read_state(tmp_path), load_vqgan(tmp_path / "model.safetensors").state_dict()
    name = "decoder.conv_out.weight"
    assert torch.equal(exported[name], state["averages"][name])
    assert not torch.equal(exported[name], state["modules"]["vqgan"][name])
    assert torch.equal(task.modules["vqgan"].state_dict()[name], state["modules"]["vqgan"][name])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_vqgan_learns_in_either_precision(precision, tmp_path, scenes):
    changes = {"phases": [{"steps": 30, "batch_size": 4, "crop_px": 16}], "optimizer": {"lr": 4e-3, "warmup_steps": 2}}
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", **changes, precision=precision, evaluate_every=100)))
    losses = []
    train(make_task(recipe, scenes), recipe, tmp_path, lambda step, figures: losses.append(figures["l2"]))
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_the_log_has_a_line_per_evaluation(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    train(make_task(recipe, scenes), recipe, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 5]
    assert all({"l1", "l2", "psnr", "usage", "perplexity"} <= row.keys() for row in rows)


def test_an_exported_vqgan_is_the_trained_one_without_what_only_training_needs(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    task = make_task(recipe, scenes)
    train(task, recipe, tmp_path)
    vqgan, trained = load_vqgan(tmp_path / "model.safetensors"), task.modules["vqgan"].eval()
    assert isinstance(trained, VQModel)
    pixels = all_pixels(scenes)[:2]
    with torch.no_grad():
        assert torch.equal(vqgan.encode(pixels).indices, trained.encode(pixels).indices)
        assert torch.equal(vqgan(pixels)[0], trained(pixels)[0])
    assert vqgan.config == replace(config_from_dict(VQModelConfig, recipe.model, "model"), quantizer="vq")
    assert not any("cluster_size" in key or "embed_avg" in key for key in vqgan.state_dict())


def test_an_exported_transformer_is_the_trained_one_and_finds_its_tokenizer(run_folder, tokenizer, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer")))
    task = make_task(recipe, scenes)
    train(task, recipe, run_folder)
    transformer, vqgan = load_transformer(run_folder / "model.safetensors")
    indices = torch.randint(16, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(transformer(indices), task.modules["transformer"].eval()(indices))
    assert transformer.config.condition.class_names == SCENE_CLASSES
    assert transformer.config.condition.null_label == len(SCENE_CLASSES)
    assert vqgan is not None
    codes = [model.state_dict()["quantize.embedding.weight"] for model in (vqgan, load_vqgan(tokenizer))]
    assert torch.equal(*codes)


@pytest.mark.parametrize("name", ["vqgan", "transformer"])
def test_a_model_can_be_exported_at_half_the_size(name, run_folder, scenes):
    sizes = {}
    for dtype in ("float32", "float16"):
        recipe = read_recipe(str(write_recipe(run_folder, name, export_dtype=dtype)))
        task, file = make_task(recipe, scenes), run_folder / "model.safetensors"
        task.export(file)
        sizes[dtype] = sum(tensor.nbytes for tensor in read_checkpoint(file).state_dict.values())
        load_checkpoint(file)
    assert sizes["float16"] * 2 == sizes["float32"]


def test_a_transformer_can_be_exported_far_from_its_tokenizer(run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer")))
    train(make_task(recipe, scenes), recipe, run_folder / "elsewhere")
    transformer, vqgan = load_transformer(run_folder / "elsewhere" / "model.safetensors")
    assert transformer.config.grid == (8, 8) and vqgan is not None


def test_training_the_decoder_leaves_the_tokens_as_they_are(run_folder, tokenizer, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "vqgan_decoder")))
    train(make_task(recipe, scenes), recipe, run_folder)
    before, after = load_vqgan(tokenizer).state_dict(), load_vqgan(run_folder / "model.safetensors").state_dict()
    changed = {key.partition(".")[0] for key in after if not torch.equal(before[key], after[key])}
    assert changed == {"decoder", "post_quant_conv"}


def test_weight_decay_is_for_the_matrices_of_a_transformer_only(run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer")))
    task = make_task(recipe, scenes)
    names = {id(parameter): name for name, parameter in task.modules["transformer"].named_parameters()}
    groups = {
        group["weight_decay"]: {names.pop(id(parameter)) for parameter in group["params"]}
        for group in task.turns[0].optimizer.param_groups
    }
    assert names == {}, "some parameters are not trained"
    assert set(groups) == {0.0, 0.05}
    assert all(".attn." in name or ".mlp." in name or name == "head.weight" for name in groups[0.05])
    assert not any(name.endswith("bias") for name in groups[0.05])
    assert {"pos_emb", "tok_emb.weight", "ln_f.weight"} <= groups[0.0]
