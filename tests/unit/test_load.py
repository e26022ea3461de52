"""Files to models: published layouts load strictly, configurations are found in order, misfits are explained."""

import dataclasses
import os

import pytest
import safetensors.torch
import torch
import yaml

from hostile import NOT_A_TRANSFORMER, NOT_A_VQGAN, YAML, Hostile
from hostile.forge import transformer_metadata, vqgan_metadata, weights_bytes
from peak_memory import peak_bytes
from published import net2net_weights, net2net_yaml, transformer_weights, vqgan_weights, vqgan_yaml
from taming import get_condition
from taming.checkpoints import load_checkpoint, load_transformer, load_vqgan, plan_transformer, plan_vqgan
from taming.errors import CheckpointError, ConfigError, TamingError, TokensError
from taming.models import PRECISIONS, prepare_for_sampling
from taming.models.transformer import Transformer
from taming.models.vqgan import VQModel
from taming.modules.fast.packed_linear import can_pack

PIXELS = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8)
TRAINING_KEYS = {
    "loss.discriminator.main.0.weight": torch.zeros(4),
    "loss.perceptual_loss.lin0.model.1.weight": torch.full((4,), float("nan")),
    "colorize": torch.zeros(3, 3, 1, 1),
}


def assert_holds(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    state = model.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[key], weights[key]) for key in state)
    assert not model.training
    assert all(tensor.device.type == "cpu" for tensor in [*model.parameters(), *model.buffers()])


@pytest.fixture
def lightning_vqgan(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": vqgan_weights() | TRAINING_KEYS, "optimizer_states": [], "epoch": 3}, path)
    return path


@pytest.fixture
def net2net(tmp_path):
    path = tmp_path / "net2net.ckpt"
    torch.save({"state_dict": net2net_weights(vqgan_weights(), transformer_weights())}, path)
    return path


@pytest.mark.parametrize("quantizer", ["vq", "gumbel", "ema"])
def test_a_bare_vqgan_is_loaded_from_its_shapes(quantizer, tmp_path):
    weights = vqgan_weights(quantizer=quantizer)
    path = tmp_path / "vqgan.safetensors"
    safetensors.torch.save_file(weights, path)
    model = load_vqgan(path)
    assert_holds(model, weights)
    assert model.config.quantizer == quantizer
    assert model.decode_indices(model.encode(PIXELS).indices).shape == PIXELS.shape


def test_a_lightning_checkpoint_loses_what_only_training_used(lightning_vqgan):
    assert_holds(load_vqgan(lightning_vqgan), vqgan_weights())


@pytest.mark.parametrize("suffix", [".yaml", ".yml", "-project.yaml"])
def test_a_yaml_file_beside_the_weights_is_found_by_its_stem(suffix, lightning_vqgan):
    assert load_vqgan(lightning_vqgan).config.resolution == 256
    lightning_vqgan.with_name("last" + suffix).write_text(yaml.safe_dump(vqgan_yaml()))
    assert load_vqgan(lightning_vqgan).config.resolution == 8


def test_the_callers_configuration_comes_before_the_sidecar_and_the_sidecar_before_the_metadata(tmp_path):
    path = tmp_path / "vqgan.safetensors"
    path.write_bytes(weights_bytes(vqgan_weights(), vqgan_metadata(beta=0.125)))
    assert load_vqgan(path).config.beta == 0.125
    path.with_suffix(".yaml").write_text(yaml.safe_dump(vqgan_metadata(beta=0.5)["config"]))
    assert load_vqgan(path).config.beta == 0.5
    given = {**vqgan_metadata()["config"], "beta": 0.75}  # type: ignore[dict-item]
    assert load_vqgan(path, given).config.beta == 0.75
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(given))
    assert load_vqgan(path, str(other)).config.beta == 0.75


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (vqgan_yaml(n_embed=48), "n_embed 48, the weights have 24"),
        (vqgan_yaml("taming.models.vqgan.GumbelVQ"), "quantizer gumbel, the weights have vq"),
        (vqgan_yaml(ddconfig={**vqgan_yaml()["model"]["params"]["ddconfig"], "attn_resolutions": [8]}), "attention"),  # type: ignore[index]
        (net2net_yaml(first_stage_config=vqgan_yaml(embed_dim=9)["model"]), "embed_dim 9, the weights have 8"),
    ],
)
def test_a_configuration_that_contradicts_the_weights_is_refused_with_both_sides(values, message, lightning_vqgan):
    with pytest.raises(ConfigError, match=message) as error:
        load_vqgan(lightning_vqgan, values)
    assert "last.ckpt" in str(error.value) and "the given config" in str(error.value)


def test_half_precision_files_are_computed_in_float32(tmp_path):
    weights = {key: tensor.half() for key, tensor in vqgan_weights().items()}
    path = tmp_path / "vqgan.safetensors"
    safetensors.torch.save_file(weights, path)
    assert_holds(load_vqgan(path), {key: tensor.float() for key, tensor in weights.items()})
    assert {tensor.dtype for tensor in plan_vqgan(path).state_dict.values()} == {torch.float16}


@pytest.mark.parametrize("container", ["safetensors", "ckpt"])
def test_a_loaded_model_does_not_depend_on_its_file(container, tmp_path):
    """Mapped weights of a file that is then cut end the process with a bus error."""
    path = tmp_path / f"vqgan.{container}"
    weights = vqgan_weights()
    safetensors.torch.save_file(weights, path) if container == "safetensors" else torch.save(weights, path)
    model = load_vqgan(path)
    path.write_bytes(b"")
    assert_holds(model, weights)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_transformer_packed_from_its_file_is_the_one_packed_after_loading(precision, stored, tmp_path):
    path = tmp_path / "transformer.safetensors"
    weights = {key: tensor.to(stored) for key, tensor in transformer_weights(masks=False).items()}
    safetensors.torch.save_file(weights, path)
    afterwards, _ = load_transformer(path, net2net_yaml())
    prepare_for_sampling(afterwards, precision)
    packed, _ = load_transformer(path, net2net_yaml(), precision=precision)
    path.write_bytes(b"")  # mapped weights would now end the process
    state, expected = packed.state_dict(), afterwards.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) and state[key].dtype == torch.float32 for key in state)
    condition = get_condition(packed, coordinates=None)
    assert torch.equal(packed.sample(condition, seed=1), afterwards.sample(condition, seed=1))


@pytest.mark.skipif(not can_pack("int8"), reason="no kernels")
def test_packing_from_the_file_makes_no_float32_copy_of_the_weights(tmp_path):
    path = tmp_path / "transformer.safetensors"
    weights = transformer_weights(masks=False, n_layer=16, n_embd=64)
    safetensors.torch.save_file(weights, path)
    values = net2net_yaml()
    values["model"]["params"]["transformer_config"]["params"] |= {"n_layer": 16, "n_embd": 64}  # type: ignore[index]
    num_bytes = sum(tensor.nbytes for tensor in weights.values())
    mapped = path.stat().st_size  # which the profiler counts as memory, and the system may drop
    assert peak_bytes(lambda: load_transformer(path, values)) >= mapped + num_bytes
    assert peak_bytes(lambda: load_transformer(path, values, precision="int8")) < mapped + num_bytes / 4


@pytest.mark.parametrize("load", [load_vqgan, load_checkpoint])
def test_weights_that_cannot_be_mapped_are_in_memory_once(load, tmp_path):
    """Files from before PyTorch 1.6 are read as a whole."""
    path = tmp_path / "old.ckpt"
    weights = vqgan_weights()
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    num_bytes = sum(tensor.nbytes for tensor in weights.values())
    largest = max(tensor.nbytes for tensor in weights.values())
    assert peak_bytes(lambda: load(path)) < num_bytes + 3 * largest


def test_the_origin_of_a_vqgan_tells_a_replaced_file_and_the_other_vqgan_of_the_same_file(tmp_path):
    path = tmp_path / "maps.ckpt"
    weights = net2net_weights(vqgan_weights(), transformer_weights(block_size=512))
    weights |= {f"cond_stage_model.{key}": tensor for key, tensor in vqgan_weights(seed=1).items()}
    torch.save(weights, path)
    plan, alone = plan_transformer(path), plan_vqgan(path)
    assert plan.first_stage is not None and plan.cond_stage is not None
    assert alone.origin == plan.first_stage.origin != plan.cond_stage.origin
    assert plan_vqgan(path).origin == alone.origin is not None
    os.utime(path, ns=(0, 0))
    assert plan_vqgan(path).origin != alone.origin


def test_a_loaded_model_can_be_trained(lightning_vqgan):
    model = load_vqgan(lightning_vqgan)
    pixels, quantized = model(PIXELS)
    (pixels.square().mean() + quantized.loss).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_whole_transformer_checkpoint_gives_the_transformer_and_its_first_stage(net2net):
    net2net.with_suffix(".yaml").write_text(yaml.safe_dump(net2net_yaml()))
    transformer, vqgan = load_transformer(net2net)
    assert_holds(transformer, transformer_weights(masks=False))
    assert vqgan is not None
    assert_holds(vqgan, vqgan_weights())
    assert vqgan.config.resolution == 8
    assert (transformer.config.n_head, transformer.config.grid) == (4, (4, 4))
    logits = transformer(vqgan.encode(PIXELS).indices.flatten(1))
    assert logits.shape == (1, 16, 32) and logits.isfinite().all()


def test_the_first_stage_alone_is_loaded_from_a_whole_transformer_checkpoint(net2net):
    assert_holds(load_vqgan(net2net), vqgan_weights())


def test_a_transformer_without_a_first_stage_has_none(tmp_path):
    path = tmp_path / "transformer.safetensors"
    safetensors.torch.save_file(transformer_weights(), path)
    transformer, vqgan = load_transformer(path, net2net_yaml())
    assert vqgan is None
    assert_holds(transformer, transformer_weights(masks=False))


def test_a_first_stage_with_more_codes_than_the_transformer_knows_is_refused(tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save(net2net_weights(vqgan_weights(n_embed=48), transformer_weights()), path)
    values = net2net_yaml(first_stage_config=vqgan_yaml(n_embed=48)["model"])
    with pytest.raises(TokensError, match="knows 32 tokens, its first stage has 48"):
        plan_transformer(path, values)


def test_either_kind_is_loaded_by_what_the_file_holds(lightning_vqgan, net2net):
    assert isinstance(load_checkpoint(lightning_vqgan), VQModel)
    assert isinstance(load_checkpoint(net2net, net2net_yaml()), Transformer)


def test_a_bidirectional_prefix_in_the_file_must_be_in_the_configuration(tmp_path):
    path = tmp_path / "transformer.safetensors"
    safetensors.torch.save_file(transformer_weights(n_unmasked=3), path)
    with pytest.raises(ConfigError, match="n_unmasked 0, the weights have 3"):
        load_transformer(path, transformer_metadata()["config"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "condition",
    [
        {"kind": "class", "num_classes": 33},
        {"kind": "class", "num_classes": 3, "null_label": 32},
        {"kind": "class", "num_classes": 3, "class_names": ["a", "b"]},
        {"kind": "text"},
        {"kind": "class", "num_classes": -1},
        {"class_names": "alpine"},
        "class",
    ],
)
def test_a_condition_that_the_vocabulary_cannot_express_is_refused(condition, tmp_path):
    path = tmp_path / "transformer.safetensors"
    safetensors.torch.save_file(transformer_weights(), path)
    with pytest.raises(ConfigError, match="condition"):
        plan_transformer(path, {**transformer_metadata()["config"], "condition": condition})  # type: ignore[dict-item]


@pytest.mark.parametrize("hostile", NOT_A_VQGAN, ids=lambda hostile: hostile.name)
def test_what_is_no_vqgan_is_refused_in_words(hostile: Hostile, tmp_path):
    refuse(load_vqgan, hostile, tmp_path)


@pytest.mark.parametrize("hostile", NOT_A_TRANSFORMER, ids=lambda hostile: hostile.name)
def test_what_is_no_transformer_is_refused_in_words(hostile: Hostile, tmp_path):
    refuse(load_transformer, hostile, tmp_path)


def refuse(load, hostile: Hostile, folder) -> None:
    path = hostile.write(folder, folder / "canary")
    with pytest.raises((CheckpointError, ConfigError)) as error:
        load(path)
    message = str(error.value)
    assert hostile.name in message and all(words in message for words in hostile.words), message
    assert "\n" not in message and len(message) < 600


@pytest.mark.parametrize("hostile", YAML[:6], ids=lambda hostile: hostile.words[0])
def test_a_hostile_sidecar_is_refused_and_runs_nothing(hostile: Hostile, lightning_vqgan, tmp_path):
    canary = tmp_path / "canary"
    sidecar = dataclasses.replace(hostile, name=f"last{hostile.name}").write(tmp_path, canary)
    with pytest.raises(TamingError, match=sidecar.name):
        load_vqgan(lightning_vqgan)
    assert not canary.exists()
