"""Objects of one's own in training: they do what they are for, are saved, and a run does not go on without them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from full_disk import full_disk
from recipes import VQGAN, write_recipe
from short_runs import differences, read_state
from taming.checkpoints import load_vqgan, read_checkpoint, write_weights
from taming.configs import config_from_dict
from taming.data import Sample
from taming.errors import CheckpointError, ConfigError, TamingError
from taming.models import VQModel, VQModelConfig
from taming.training.batches import step_rng
from taming.training.datasets import Data
from taming.training.loop import train
from taming.training.recipe import read_recipe
from taming.training.tasks.custom import describe_plugged
from taming.training.tasks.vqgan import VQGANTask


class Patches(nn.Module):
    """An encoder of one layer; 4 px to a latent, as the recipe's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, VQGAN["z_channels"], 4, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.conv(pixels).tanh()


class Hinge(nn.Module):
    """A loss that remembers what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), 0.5))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, pixels: Tensor, rec: Tensor) -> Tensor:
        self.seen += len(pixels)
        return (self.weight @ (rec - pixels).mean((0, 2, 3)).relu()) * self.seen.clamp_max(8)


@dataclass(frozen=True)
class Painted:
    """Makes every picture, of any size, one color drawn from the generator."""

    low: int

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        image = np.full((40, 50, 3), rng.integers(self.low, 256), np.uint8)
        return replace(sample, image=image)


class Colors:
    """A data set of one's own."""

    class_names: tuple[str, ...] = ()
    fingerprint = "colors"

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.full((32, 36, 3), 50 * index, np.uint8))


def edges(pixels: Tensor, rec: Tensor) -> Tensor:
    return (pixels.diff(dim=3) - rec.diff(dim=3)).abs().mean()


def own_model() -> VQModel:
    torch.manual_seed(3)
    model = VQModel(config_from_dict(VQModelConfig, VQGAN, "model"))
    model.encoder = Patches()
    return model


OBJECTS = {"model": own_model, "augment": lambda: Painted(7), "extra_loss": Hinge}


def recipe_of(folder, **changes):
    return read_recipe(str(write_recipe(folder, "vqgan", save_minutes=0, **changes)))


def test_a_loss_is_added_to_the_reconstruction_loss_and_reported_under_its_name(tmp_path, scenes):
    recipe = recipe_of(tmp_path)
    turns = [VQGANTask(recipe, scenes, extra_loss=loss).generator_turn for loss in (None, edges)]
    batch = VQGANTask(recipe, scenes).batch(0, step_rng(0, 0))
    (plain, figures), (more, more_figures) = (turn(batch, 0) for turn in turns)
    assert more_figures == {**figures, "edges": pytest.approx((more - plain).item(), rel=1e-4)}
    assert more_figures["edges"] > 0


def test_a_loss_that_is_a_module_is_named_by_its_class_and_not_trained(tmp_path, scenes):
    recipe, loss, figures = recipe_of(tmp_path), Hinge(), []
    train(VQGANTask(recipe, scenes, extra_loss=loss), recipe, tmp_path, lambda step, row: figures.append(row))
    assert all("Hinge" in row for row in figures)
    assert torch.equal(loss.weight, torch.full((3,), 0.5)) and loss.weight.grad is None
    assert read_state(tmp_path)["modules"]["extra_loss"]["seen"] == loss.seen > 0


def test_an_augmentation_comes_before_the_crop_and_follows_the_seed(tmp_path, scenes):
    recipe = recipe_of(tmp_path)
    task = VQGANTask(recipe, scenes, augment=Painted(0))
    first, again, other = (task.batch(step, step_rng(5, step))["pixels"] for step in (0, 0, 1))
    assert first.shape == (3, 3, 16, 16) and torch.equal(first, again) and not torch.equal(first, other)
    assert (first == first[:, :1, :1, :1]).all() and len(first[:, 0, 0, 0].unique()) > 1


def test_a_model_of_other_layers_trains_and_its_weights_come_back(tmp_path, scenes, caplog):
    recipe, model = recipe_of(tmp_path, ema_decay=0.5), own_model()
    before = model.encoder.conv.weight.clone()
    train(VQGANTask(recipe, scenes, model=model), recipe, tmp_path)
    assert not torch.equal(model.encoder.conv.weight, before)
    assert "weights alone" in caplog.text and list(tmp_path.glob("*.part")) == []
    weights = read_checkpoint(tmp_path / "model.safetensors").state_dict
    own_model().load_state_dict(weights)
    assert torch.equal(weights["encoder.conv.weight"], read_state(tmp_path)["averages"]["encoder.conv.weight"])
    with pytest.raises(TamingError):
        load_vqgan(tmp_path / "model.safetensors")


def test_a_model_of_the_usual_layers_is_exported_as_usual(tmp_path, scenes):
    recipe = recipe_of(tmp_path, model={})
    train(VQGANTask(recipe, scenes, model=VQModel(config_from_dict(VQModelConfig, VQGAN, ""))), recipe, tmp_path)
    assert load_vqgan(tmp_path / "model.safetensors").config.quantizer == "vq"


def test_a_data_set_needs_no_more_than_the_protocol(tmp_path):
    recipe = recipe_of(tmp_path)
    figures = train(VQGANTask(recipe, Data(Colors(), Colors())), recipe, tmp_path)
    assert figures["psnr"] > 0


@pytest.mark.parametrize("name", OBJECTS)
def test_a_run_with_an_object_goes_on_as_if_it_had_not_been_stopped(name, tmp_path, scenes):
    recipe = recipe_of(tmp_path)

    def stop(step: int, figures: dict[str, float]) -> None:
        if step == 2:
            raise KeyboardInterrupt

    train(VQGANTask(recipe, scenes, **{name: OBJECTS[name]()}), recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(VQGANTask(recipe, scenes, **{name: OBJECTS[name]()}), recipe, tmp_path / "parts", stop)
    train(VQGANTask(recipe, scenes, **{name: OBJECTS[name]()}), recipe, tmp_path / "parts")
    assert differences(read_state(tmp_path / "whole"), read_state(tmp_path / "parts")) == []


@pytest.mark.parametrize("name", OBJECTS)
def test_a_run_does_not_go_on_without_its_object_nor_with_one_that_it_had_not(name, tmp_path, scenes):
    recipe = recipe_of(tmp_path)
    for number, (first, second) in enumerate(([{name: OBJECTS[name]()}, {}], [{}, {name: OBJECTS[name]()}])):
        folder = tmp_path / str(number)
        train(VQGANTask(recipe, scenes, **first), recipe, folder)
        state = (folder / "state.pt").read_bytes()
        with pytest.raises(ConfigError, match=f"started with {name}=.*nothing.*Pass the same|nothing, and now {name}"):
            train(VQGANTask(recipe, scenes, **second), recipe, folder)
        assert (folder / "state.pt").read_bytes() == state


def test_a_run_does_not_go_on_with_the_same_object_otherwise_set(tmp_path, scenes):
    recipe = recipe_of(tmp_path)
    train(VQGANTask(recipe, scenes, augment=Painted(7)), recipe, tmp_path)
    with pytest.raises(ConfigError, match=r"augment=Painted\(low=7\), and now augment is Painted\(low=9\)"):
        train(VQGANTask(recipe, scenes, augment=Painted(9)), recipe, tmp_path)


def test_objects_are_told_apart_in_words_that_every_process_uses():
    words = describe_plugged(model=own_model(), augment=lambda sample, rng: sample, extra_loss=None)
    assert set(words) == {"model", "augment"} and "Patches" in words["model"]
    assert "0x" not in words["augment"] and "lambda" in words["augment"]


def test_a_model_that_the_recipe_does_not_describe_is_refused(tmp_path, scenes):
    recipe = recipe_of(tmp_path, model={**VQGAN, "n_embed": 32})
    with pytest.raises(ConfigError, match="another model than model="):
        VQGANTask(recipe, scenes, model=own_model())


def test_a_model_where_only_a_decoder_is_trained_is_refused(run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "vqgan_decoder")))
    with pytest.raises(ConfigError, match="leave out model="):
        VQGANTask(recipe, scenes, model=own_model())


def test_weights_alone_that_fill_the_disk_are_told_and_the_file_before_them_is_kept(tmp_path):
    file = tmp_path / "model.safetensors"
    write_weights(Hinge().state_dict(), file)
    before = file.read_bytes()
    with full_disk(1000), pytest.raises(CheckpointError, match="model.safetensors cannot be written.*Free some space"):
        write_weights(own_model().state_dict(), file)
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
