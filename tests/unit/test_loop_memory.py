"""Memory and precision: whatever is saved, the gradients are those of the plain step."""

import json
import math
import warnings
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from recipes import GPT, VQGAN, write_recipe
from short_runs import all_pixels, differences, make_task, read_state
from taming.errors import ConfigError, TrainingError
from taming.training.amp import ScaledSteps
from taming.training.batches import step_rng
from taming.training.distributed import find_processes
from taming.training.loop import Batch, Run, train
from taming.training.memory import is_out_of_memory
from taming.training.recipe import read_recipe
from taming.training.tasks.vqgan import VQGANTask


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


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.75 GB, other allocations: 1.21 MB)."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
    ids=["torch", "mps", "cublas", "cudnn", "python"],
)
def test_out_of_memory_is_known_by_what_each_device_says(error):
    assert is_out_of_memory(error)


def test_a_processor_that_has_no_memory_left_is_known_too():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    with pytest.raises(RuntimeError) as caught:
        torch.dot(torch.zeros(2), torch.zeros(3))
    assert not is_out_of_memory(caught.value)


def test_an_error_that_is_not_about_memory_is_raised_as_it_is(tmp_path, scenes, monkeypatch):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    task, sizes = make_task(recipe, scenes), []

    def broken(batch, step):
        sizes.append(len(batch["pixels"]))
        raise RuntimeError("a bug")

    monkeypatch.setattr(task, "turns", [replace(task.turns[0], loss=broken)])
    with pytest.raises(RuntimeError, match="a bug"):
        train(task, recipe, tmp_path)
    assert sizes == [3]


# Gradient checkpointing

EVERYTHING = {"dropout": 0.2, "attn_resolutions": [16], "num_res_blocks": 2}
DROPS = {"resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2}
CHECKPOINTED = {
    "ema": ("vqgan", {"model": {**VQGAN, **EVERYTHING, "quantizer": "ema"}}),
    "gumbel": ("vqgan", {"model": {**VQGAN, **EVERYTHING, "quantizer": "gumbel"}}),
    "decoder, adversarial": ("vqgan_decoder", {}),
    "vq, adversarial": (
        "vqgan",
        {
            "model": {**VQGAN, **EVERYTHING, "quantizer": "vq"},
            "loss": {"l1": 1.0, "adversarial": 0.5},
            "phases": [{"steps": 3, "batch_size": 4}],
        },
    ),
    "transformer": ("transformer", {"model": {**GPT, **DROPS}}),
    "half precision": ("transformer", {"model": {**GPT, **DROPS}, "precision": "bfloat16"}),
}


@pytest.mark.parametrize(("task_name", "changes"), CHECKPOINTED.values(), ids=CHECKPOINTED)
def test_checkpointing_changes_no_weight_of_a_run(task_name, changes, run_folder, scenes):
    """Dropout draws the same again, and neither a codebook's averages nor the noise of its choice move twice."""
    states = []
    for on in (False, True):
        recipe = read_recipe(str(write_recipe(run_folder, task_name, checkpointing=on, accumulate=2, **changes)))
        out = run_folder / str(on)
        train(make_task(recipe, scenes), recipe, out)
        states.append({key: value for key, value in read_state(out).items() if key != "recipe"})
    assert differences(*states) == []


@pytest.mark.parametrize("task_name", ["vqgan", "transformer"])
def test_checkpointing_keeps_less_for_the_gradients(task_name, run_folder, scenes):
    kept = []
    for on in (False, True):
        recipe = read_recipe(str(write_recipe(run_folder, task_name, checkpointing=on)))
        run = Run(make_task(recipe, scenes), recipe, run_folder / str(on), find_processes("cpu"))
        kept.append(kept_bytes(run, run.task.batch(3, step_rng(0, 3))))
    assert 0 < kept[1] < 0.6 * kept[0]


def kept_bytes(run: Run, batch: Batch) -> int:
    """What a forward pass keeps for its gradients, counted once where two layers keep the same, without weights."""
    sizes: dict[int, int] = {parameter.data_ptr(): 0 for parameter in run.task.model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, _ = run.task.turns[0].loss(batch, 3)
    assert loss.requires_grad  # and all that was kept is alive, so no address was used twice
    return sum(sizes.values())


@pytest.mark.parametrize("task_name", ["vqgan", "transformer"])
def test_checkpointing_is_for_training_alone(task_name, run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, task_name, checkpointing=True)))
    run = Run(make_task(recipe, scenes), recipe, run_folder / "run", find_processes("cpu"))
    model = run.task.model
    part = model.get_submodule("blocks.0" if task_name == "transformer" else "decoder.up.0.block.0")
    calls: list[bool] = []
    part.register_forward_pre_hook(lambda *_: calls.append(part.training))
    run.task.turns[0].loss(run.task.batch(3, step_rng(0, 3)), 3)[0].backward()
    assert calls == [True, True]  # the second for the gradients
    calls.clear()
    with torch.no_grad():
        run.task.turns[0].loss(run.task.batch(3, step_rng(0, 3)), 3)
    assert calls == [True]
    calls.clear()
    model.eval()
    given = torch.zeros(1, 4, dtype=torch.int64) if task_name == "transformer" else all_pixels(scenes)[:1]
    out = model(given)
    (out if isinstance(out, torch.Tensor) else out[0]).sum().backward()
    assert calls == [False]


# Precision


@pytest.mark.parametrize("task_name", ["vqgan", "transformer"])
def test_a_stopped_run_in_float16_goes_on_exactly(task_name, run_folder, scenes):
    """The scale of the loss is part of the state."""
    phases = [{"steps": 5, "batch_size": 2, "crop_px": 16 if task_name == "vqgan" else 0}]
    recipe = read_recipe(str(write_recipe(run_folder, task_name, phases=phases, precision="float16")))

    def stop(step: int, figures: dict[str, float]) -> None:
        if step == 2:
            raise KeyboardInterrupt

    task = make_task(recipe, scenes)
    train(task, recipe, run_folder / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(make_task(recipe, scenes), recipe, run_folder / "parts", stop)
    train(make_task(recipe, scenes), recipe, run_folder / "parts")
    states = [read_state(run_folder / name) for name in ("whole", "parts")]
    steps = states[0]["steps"][task.turns[0].name]
    assert steps["skipped"] or steps["scaler"]["_growth_tracker"] == 5  # nothing that a fresh scale would repeat
    assert differences(states[0], states[1]) == []


def step_with(gradient: float, steps: ScaledSteps) -> tuple[bool, float]:
    """A step of one weight from 1.0 by this gradient; whether it was taken, and the weight after it."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    steps.backward(layer(torch.ones(1, 1)).sum() * gradient)
    moved = steps.take(torch.optim.SGD(layer.parameters(), 0.5), layer, clip_norm=0)
    return moved, layer.weight.item()


def test_a_step_with_infinite_gradients_is_skipped_and_counted():
    steps = ScaledSteps("float16", torch.device("cpu"))
    before = steps.scaler.get_scale()
    assert step_with(math.inf, steps) == (False, 1.0)
    assert (steps.skipped, steps.skipped_in_a_row, steps.scaler.get_scale()) == (1, 1, before / 2)
    assert step_with(0.25, steps) == (True, 0.875)
    assert (steps.skipped, steps.skipped_in_a_row) == (1, 0)


def test_steps_that_are_skipped_without_end_stop_the_run():
    steps = ScaledSteps("float16", torch.device("cpu"))
    with pytest.raises(TrainingError, match="20 steps in a row .* bfloat16 or float32"):
        for _ in range(100):
            step_with(math.nan, steps)
    assert steps.skipped == 20


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_other_precisions_scale_nothing(kind):
    steps = ScaledSteps(kind, torch.device("cpu"))
    layer = nn.Linear(1, 1)
    steps.backward(layer(torch.ones(1, 1)).sum())
    assert layer.weight.grad is not None and layer.weight.grad.item() == 1.0


def test_a_skipped_step_is_in_the_log_and_leaves_a_run_going(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", precision="float16")))
    task = make_task(recipe, scenes)
    turn = task.turns[0]
    before = {name: value.clone() for name, value in task.model.named_parameters()}

    def spoiled(batch, step):
        loss, figures = turn.loss(batch, step)
        return loss * (math.inf if step < 4 else 1), figures

    assert isinstance(task, VQGANTask)
    task.turns = [replace(turn, loss=spoiled)]
    train(task, recipe, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["skipped"] for row in rows] == [4, 4]
    moved = [name for name, value in task.model.named_parameters() if not torch.equal(value, before[name])]
    assert "decoder.conv_out.weight" in moved and all(p.isfinite().all() for p in task.model.parameters())


@pytest.mark.parametrize(
    "refusal", [UserWarning("CPU autocast is disabled"), RuntimeError("float16 is not implemented")]
)
def test_a_precision_that_torch_cannot_do_is_refused_in_words(refusal, tmp_path, scenes, monkeypatch):
    def autocast(device_type: str, dtype: torch.dtype):
        if isinstance(refusal, UserWarning):
            warnings.warn(refusal, stacklevel=1)
            return nullcontext()
        raise refusal

    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", precision="float16")))
    monkeypatch.setattr(torch, "autocast", autocast)
    with pytest.raises(ConfigError, match="cannot train in float16 on cpu: .* Set precision to float32 or bfloat16"):
        train(make_task(recipe, scenes), recipe, tmp_path)
