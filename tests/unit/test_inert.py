"""Checkpoints with training state in them: the weights come out, and nothing that a pickle names is imported."""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import OmegaConf

from hostile.forge import Call, torch_bytes
from published import vqgan_weights
from taming.checkpoints import load_vqgan, read_checkpoint
from taming.checkpoints.pickle_scan import read_pickles
from taming.checkpoints.stub_unpickler import load_inert
from taming.errors import CheckpointError


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch):
    """Makes a class of a package that is installed while pickling, and gone when the file is read."""

    def make(name: str) -> type:
        module, _, class_name = name.rpartition(".")
        kind = type(class_name, (), {"__module__": module, "__init__": lambda self: None})
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:count]), ModuleType(".".join(parts[:count])))
        setattr(sys.modules[module], class_name, kind)
        return kind

    return make


def saved(tmp_path: Path, content: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "last.ckpt"
    path.write_bytes(torch_bytes(content))
    monkeypatch.undo()
    return path


def lightning_file(state_dict: dict, callback: type) -> dict:
    """What pytorch-lightning 1.0 writes, which keys `callbacks` by the class itself."""
    return {
        "epoch": 3,
        "global_step": 9,
        "pytorch-lightning_version": "1.0.8",
        "callbacks": {callback: {"best_model_score": torch.tensor(0.5), "best_model_path": "/x/y.ckpt"}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2_000_000)}}, "param_groups": []}],
        "lr_schedulers": [],
        "state_dict": OrderedDict(state_dict),
    }


def test_a_lightning_checkpoint_with_its_callbacks_loads(tmp_path, foreign, monkeypatch):
    """The published f16_16384 and latent-diffusion files are like this, and PyTorch's safe reader refuses them."""
    weights = vqgan_weights()
    callback = foreign("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")
    path = saved(tmp_path, lightning_file(weights, callback), monkeypatch)
    with pytest.raises(pickle.UnpicklingError, match="ModelCheckpoint"):
        torch.load(path, weights_only=True)
    read = read_checkpoint(path).state_dict
    assert read.keys() == weights.keys() and all(torch.equal(read[key], weights[key]) for key in weights)
    assert "pytorch_lightning" not in sys.modules
    state = load_vqgan(path).state_dict()
    assert all(torch.equal(state[key], weights[key]) for key in weights)


def test_omegaconf_hyperparameters_are_left_out(tmp_path, monkeypatch):
    weights = vqgan_weights()
    hyper_parameters = OmegaConf.create({"ddconfig": {"ch": 32, "ch_mult": [1, 2]}, "lr": 1e-4})
    path = saved(tmp_path, {"state_dict": weights, "hyper_parameters": hyper_parameters}, monkeypatch)
    assert read_checkpoint(path).state_dict.keys() == weights.keys()


def test_only_a_conversion_takes_weights_out_of_a_file_with_unknown_code(tmp_path, foreign, monkeypatch):
    weights = vqgan_weights()
    path = saved(tmp_path, {"state_dict": weights, "owner": foreign("somebody.project.Trainer")()}, monkeypatch)
    with pytest.raises(CheckpointError, match="somebody.project.Trainer.*convert"):
        read_checkpoint(path)
    read = read_checkpoint(path, stub_all=True).state_dict
    assert all(torch.equal(read[key], weights[key]) for key in weights)


@pytest.mark.parametrize(
    "attack",
    [
        lambda canary: Call(__import__("os").system, f"touch {canary}"),
        lambda canary: Call(open, str(canary), "w"),
        lambda canary: Call(exec, f"open({str(canary)!r}, 'w')"),
        lambda canary: Call(getattr, Call(__import__, "os"), "remove"),
    ],
    ids=["system", "open", "exec", "getattr"],
)
def test_a_stub_runs_nothing(attack, tmp_path, monkeypatch):
    weights, canary = vqgan_weights(), tmp_path / "canary"
    path = saved(tmp_path, {"state_dict": weights, "bomb": attack(canary)}, monkeypatch)
    read = read_checkpoint(path, stub_all=True).state_dict
    assert read.keys() == weights.keys()
    assert not canary.exists()


def test_every_dtype_shape_and_shared_storage_comes_out_as_it_went_in(tmp_path, monkeypatch):
    base = torch.arange(24.0).view(4, 6)
    content: dict = {
        "plain": base,
        "transposed": base.T,
        "slice": base[1:3, ::2],
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(base.clone()),
    }
    dtypes = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8)
    content |= {str(dtype): base.to(dtype) for dtype in (*dtypes, torch.uint8, torch.bool)}
    path = saved(tmp_path, content, monkeypatch)
    read = load_inert(path, read_pickles(path, "zip"))
    assert isinstance(read, dict) and read.keys() == content.keys()
    for key, tensor in content.items():
        assert torch.equal(read[key], tensor) and read[key].dtype == tensor.dtype


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, monkeypatch):
    rebuild = torch._utils._rebuild_tensor_v2  # pyright: ignore[reportAttributeAccessIssue]

    class Liar:
        def __init__(self, offset: int, size: tuple, stride: tuple) -> None:
            self.claims = (offset, size, stride)

        def __reduce__(self):
            storage = torch.TypedStorage(wrap_storage=torch.zeros(8).untyped_storage(), dtype=torch.float32)
            return rebuild, (storage, *self.claims, False, OrderedDict())

    for claims in ((0, (9,), (1,)), (1, (8,), (1,)), (0, (2, 8), (1, 1)), (-4, (4,), (1,))):
        path = tmp_path / "liar.ckpt"
        path.write_bytes(torch_bytes({"state_dict": {"a": Liar(*claims)}}))
        with pytest.raises(pickle.UnpicklingError, match="goes beyond its 8 values"):
            load_inert(path, read_pickles(path, "zip"))
