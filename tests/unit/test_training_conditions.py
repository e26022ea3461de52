"""Training on conditions: what a transformer reads in training is what sampling tells it, and it learns to obey."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes import GPT, SIZE_PX, VQGAN
from taming import get_condition, load_transformer
from taming.checkpoints import save_checkpoint
from taming.conditioning import Box, Window
from taming.configs import config_from_dict
from taming.data import OBJECT_NAMES, ClassPainter, Sample, SceneDataset, Subset, render_dataset
from taming.errors import ConfigError, TamingError
from taming.models import Transformer, VQModel, VQModelConfig
from taming.sampling import SamplingOptions, generate
from taming.training.build import make_task
from taming.training.conditions import shuffle_objects
from taming.training.datasets import Data
from taming.training.encoder import coordinates
from taming.training.loop import train
from taming.training.recipe import Recipe
from taming.training.tasks.transformer import TransformerTask

CPU = torch.device("cpu")
SEGMENTS_VQGAN = VQGAN | {"in_channels": 9, "out_ch": 9}
OPTIMIZER = {"lr": 3e-3, "warmup_steps": 2}
CONDITIONS = {
    "class": {"kind": "class"},
    "unconditional": {"kind": "unconditional"},
    "segmentation": {"kind": "segmentation", "stage": "segments.safetensors", "vocabulary": "scenes"},
    "depth": {"kind": "depth", "stage": "depth.safetensors"},
    "boxes": {"kind": "boxes", "max_objects": 3},
    "coordinates": {"kind": "coordinates", "num_codes": 16},
}
PREFIX_LENGTHS = {"class": 1, "unconditional": 1, "segmentation": 64, "depth": 64, "boxes": 11, "coordinates": 64}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("scenes")
    painter = ClassPainter(SIZE_PX, num_objects=2)
    render_dataset(folder, painter, 14)
    whole = SceneDataset(folder, painter, has_maps=True)
    return Data(Subset(whole, range(12)), Subset(whole, range(12, 14)), OBJECT_NAMES)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random VQGANs for pictures, segments and depth."""
    folder = tmp_path_factory.mktemp("stages")
    for name, changes in {"tokenizer": {}, "segments": {"in_channels": 9}, "depth": {"in_channels": 1}}.items():
        torch.manual_seed(len(name))
        model = VQModel(config_from_dict(VQModelConfig, VQGAN | {"quantizer": "vq"} | changes, name)).eval()
        with torch.no_grad():
            z = model.encode_latents(torch.rand(2, model.config.in_channels, SIZE_PX, SIZE_PX) * 2 - 1)
            model.quantize.start_at(z.permute(0, 2, 3, 1).flatten(0, 2)[:16])
        save_checkpoint(model, folder / f"{name}.safetensors")
    return folder


def make_recipe(stages: Path, kind: str, **changes: object) -> Recipe:
    condition = dict(CONDITIONS[kind])
    if "stage" in condition:
        condition["stage"] = str(stages / condition["stage"])
    length = PREFIX_LENGTHS[kind] + 63
    values = {
        "task": "transformer",
        "first_stage": str(stages / "tokenizer.safetensors"),
        "condition": condition,
        "model": GPT | {"vocab_size": 32, "block_size": length},
        "loss": {"null_rate": 0.0},
        "optimizer": OPTIMIZER,
        "phases": [{"steps": 3, "batch_size": 4}],
        "data": {"size_px": SIZE_PX, "flip": False},
    }
    return config_from_dict(Recipe, values | changes, "recipe")


def what_to_tell(kind: str, sample: Sample) -> dict[str, object]:
    """The arguments of `get_condition` for a whole sample, from the sample alone."""
    match kind:
        case "class":
            return {"label": sample.label}
        case "segmentation":
            return {"segmentation": torch.tensor(sample.segmentation).long()}
        case "depth":
            return {"depth": torch.tensor(sample.depth)}
        case "boxes":
            return {"boxes": [Box(box.label, box.x, box.y, box.width, box.height) for box in sample.boxes]}
    return {}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_trained_transformer_is_told_the_same_in_sampling_as_in_training(kind, scenes, stages, tmp_path):
    recipe = make_recipe(stages, kind)
    task = make_task(recipe, scenes, tmp_path / "cache", CPU)
    train(task, recipe, tmp_path / "run")
    loaded, first_stage = load_transformer(tmp_path / "run" / "model.safetensors")
    assert first_stage is not None and loaded.config.condition.kind == kind
    for sample in (scenes.training[number] for number in range(12)):
        condition = get_condition(loaded, **what_to_tell(kind, sample))
        sampled = condition.prefix.at(Window(0, 0, 8, 8, (8, 8)))
        trained = task.reader.prefix([sample])
        if kind == "boxes":  # in any order
            sampled, trained = (prefix[:, :-2].view(1, 3, 3).sort(dim=1).values for prefix in (sampled, trained))
        assert torch.equal(sampled, trained)
    drawn = loaded.sample(condition)
    assert drawn.shape == (1, 8, 8)


@pytest.mark.parametrize("kind", CONDITIONS)
def test_pictures_read_in_every_step_are_those_that_are_read_once(kind, scenes, stages, tmp_path):
    cached = make_task(make_recipe(stages, kind), scenes, tmp_path, CPU)
    fresh = make_task(
        make_recipe(stages, kind, data={"size_px": SIZE_PX, "flip": False, "cache_tokens": False}),
        scenes,
        tmp_path,
        CPU,
    )
    for step in range(3):
        one, other = (task.batch(step, np.random.default_rng(step)) for task in (cached, fresh))
        assert torch.equal(one["tokens"], other["tokens"])
        if kind != "boxes":  # whose order is drawn after other things
            assert torch.equal(one["prefix"], other["prefix"])


def test_a_mirrored_picture_is_told_mirrored(scenes, stages, tmp_path):
    recipe = make_recipe(stages, "segmentation", data={"size_px": SIZE_PX, "flip": True})
    task = make_task(recipe, scenes, tmp_path, CPU)
    rows = task.training.prefix[1::2]
    expected = task.reader.prefix([scenes.training[number].mirrored() for number in range(12)])
    assert (rows == expected.numpy()).all() and (rows != task.training.prefix[::2]).any()


def test_coordinates_of_a_crop_are_those_of_the_whole_picture(scenes):
    whole = scenes.training[0]
    everywhere = coordinates(whole)
    crop = whole.mirrored().cropped(3, 5, 16, 12)
    np.testing.assert_allclose(coordinates(crop), everywhere[:, ::-1][5:17, 3:19], atol=1e-6)


def test_boxes_are_shuffled_and_none_is_lost(scenes, stages, tmp_path):
    task = make_task(make_recipe(stages, "boxes"), scenes, tmp_path, CPU)
    format = task.config.condition.boxes
    assert format.num_classes == len(OBJECT_NAMES)
    prefix = torch.from_numpy(task.training.prefix.astype(np.int64))
    orders = {
        tuple(shuffle_objects(prefix, format, torch.Generator().manual_seed(n)).flatten().tolist()) for n in range(9)
    }
    assert len(orders) > 1
    for order in orders:
        shuffled = torch.tensor(order).view_as(prefix)
        objects, original = (each[:, :-2].view(-1, 3, 3) for each in (shuffled, prefix))
        assert torch.equal(objects.sort(dim=1).values, original.sort(dim=1).values)
        missing = objects[:, :, 0] == format.none_token
        assert not (missing[:, :-1] & ~missing[:, 1:]).any()  # all of them at the end
        assert torch.equal(shuffled[:, -2:], prefix[:, -2:])


class WithContexts:
    """Scenes with vectors that say which of two classes they are of."""

    def __init__(self, scenes) -> None:
        self.scenes, self.class_names, self.fingerprint = scenes, (), scenes.fingerprint

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        sample = self.scenes[index]
        return replace(sample, label=None, context=np.full((2 + index % 2, 6), sample.label % 2, np.float32))


def test_a_transformer_learns_from_a_context_and_is_guided_by_it(scenes, stages, tmp_path):
    data = Data(WithContexts(scenes.training), WithContexts(scenes.held_out))
    recipe = make_recipe(
        stages,
        "unconditional",
        model=GPT | {"vocab_size": 32, "context_dim": 6},
        loss={"null_rate": 0.3},
        phases=[{"steps": 30, "batch_size": 8}],
    )
    train(make_task(recipe, data, tmp_path / "cache", CPU), recipe, tmp_path / "run")
    model, _ = load_transformer(tmp_path / "run" / "model.safetensors")
    indices, known = torch.zeros(1, 8, 8, dtype=torch.long), torch.zeros(1, 8, 8, dtype=torch.bool)
    told = [get_condition(model, context=torch.full((2, 6), float(value))) for value in (0, 1)]
    untold = get_condition(model)
    assert untold.context is not None and not untold.context.any()
    logits = [model(each.prefix.tokens, each.context) for each in (*told, untold)]
    assert not torch.allclose(logits[0], logits[1])
    plain, guided = (generate(told[1], indices, known, options=SamplingOptions(guidance_scale=g)) for g in (1.0, 3.0))
    assert not torch.equal(plain, guided)


def test_guidance_is_away_from_no_context(scenes, stages, tmp_path):
    """With a scale of 0 nothing of the context is left."""
    recipe = make_recipe(
        stages, "unconditional", model=GPT | {"vocab_size": 32, "context_dim": 6}, loss={"null_rate": 0.3}
    )
    data = Data(WithContexts(scenes.training), WithContexts(scenes.held_out))
    model = make_task(recipe, data, tmp_path, CPU).model.eval()
    indices, known = torch.zeros(1, 8, 8, dtype=torch.long), torch.zeros(1, 8, 8, dtype=torch.bool)
    told, untold = get_condition(model, context=torch.ones(2, 6)), get_condition(model)
    away = generate(told, indices, known, options=SamplingOptions(guidance_scale=0.0))
    assert torch.equal(away, generate(untold, indices, known))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("segmentation", {"condition": {"kind": "segmentation"}}, "condition.stage"),
        ("class", {"condition": {"kind": "class", "stage": "segments.safetensors"}}, "nothing else does"),
        ("segmentation", {"model": GPT | {"vocab_size": 32}}, "model.block_size=127"),
        ("class", {"model": GPT | {"vocab_size": 12}}, "model.vocab_size"),
    ],
)
def test_a_recipe_that_does_not_fit_its_condition_is_refused(kind, changes, message, scenes, stages, tmp_path):
    recipe = make_recipe(stages, kind, **changes)
    if recipe.condition.stage and not Path(recipe.condition.stage).is_absolute():
        recipe = replace(recipe, condition=replace(recipe.condition, stage=str(stages / recipe.condition.stage)))
    with pytest.raises(ConfigError, match=message):
        make_task(recipe, scenes, tmp_path, CPU)


@pytest.mark.parametrize(("kind", "field"), [("segmentation", "segmentation"), ("depth", "depth")])
def test_pictures_without_what_is_told_are_refused(kind, field, scenes, stages, tmp_path):
    task = make_task(make_recipe(stages, kind), scenes, tmp_path, CPU)
    with pytest.raises(TamingError, match=f"no {kind}.*condition.kind"):
        task.reader([replace(scenes.training[0], **{field: None})])


@pytest.mark.parametrize("kind", ["segmentation", "depth"])
def test_a_vqgan_of_maps_learns_and_is_saved_for_a_transformer(kind, scenes, stages, tmp_path):
    channels = 9 if kind == "segmentation" else 1
    recipe = make_recipe(
        stages,
        "unconditional",
        task="map_vqgan",
        first_stage="",
        condition={"kind": kind},
        model=VQGAN | {"in_channels": channels, "out_ch": channels},
        loss={"quantize_from": 5},
        phases=[{"steps": 40, "batch_size": 4, "crop_px": 16}],
    )
    task = make_task(recipe, scenes, tmp_path, CPU)
    before = task.evaluate()
    after = train(task, recipe, tmp_path / "run")
    if kind == "segmentation":
        assert after["accuracy"] > max(0.4, before["accuracy"])
    else:
        assert after["distance"] < before["distance"]
    shutil.copy(tmp_path / "run" / "model.safetensors", tmp_path / "stage.safetensors")
    told = make_recipe(stages, kind, condition=CONDITIONS[kind] | {"stage": str(tmp_path / "stage.safetensors")})
    assert make_task(told, scenes, tmp_path, CPU).held_out.prefix.shape == (2, 64)


def test_a_loss_of_ones_own_is_learned_and_reported(scenes, stages, tmp_path):
    def never_token_three(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return logits.softmax(-1)[..., 3].mean()

    recipe = make_recipe(stages, "class", loss={"null_rate": 0.0})
    alike = make_task(recipe, scenes, tmp_path, CPU)
    own = TransformerTask(recipe, scenes, tmp_path, CPU, extra_loss=never_token_three)
    batch = alike.batch(0, np.random.default_rng(0))
    torch.manual_seed(0)
    loss, _ = alike.turn_loss(batch, 0)
    torch.manual_seed(0)
    total, figures = own.turn_loss(batch, 0)
    assert figures["never_token_three"] == pytest.approx((total - loss).item(), abs=1e-6)


def test_a_transformer_of_ones_own_is_trained_in_place_of_the_recipes(scenes, stages, tmp_path):
    recipe = make_recipe(stages, "class")
    usual = make_task(recipe, scenes, tmp_path, CPU)
    own = Transformer(usual.config)
    own.blocks[0].mlp[1] = torch.nn.SiLU()
    task = TransformerTask(recipe, scenes, tmp_path, CPU, model=own)
    assert task.model is own
    before = task.evaluate()["held_out_loss"]
    assert train(task, recipe, tmp_path / "run")["held_out_loss"] < before
    with pytest.raises(ConfigError, match="another configuration"):
        TransformerTask(recipe, scenes, tmp_path, CPU, model=Transformer(replace(usual.config, n_layer=1)))


def test_an_augmentation_of_ones_own_needs_pictures_that_are_read_in_every_step(scenes, stages, tmp_path):
    def inverted(sample: Sample, rng: np.random.Generator) -> Sample:
        return replace(sample, image=255 - sample.image)

    with pytest.raises(ConfigError, match="data.cache_tokens=false"):
        TransformerTask(make_recipe(stages, "class"), scenes, tmp_path, CPU, augment=inverted)
    recipe = make_recipe(stages, "class", data={"size_px": SIZE_PX, "flip": False, "cache_tokens": False})
    plain = make_task(recipe, scenes, tmp_path, CPU)
    varied = TransformerTask(recipe, scenes, tmp_path, CPU, augment=inverted)
    one, other = (task.batch(0, np.random.default_rng(0)) for task in (plain, varied))
    assert torch.equal(one["prefix"], other["prefix"]) and not torch.equal(one["tokens"], other["tokens"])
