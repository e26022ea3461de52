"""Training in the graph, in miniature: from a folder of pictures to a sample, canceled and continued, in one server."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file

from devtools.live_server import LiveServer, Message
from prompts import VQGAN, node, pixels
from training_prompts import class_model, fresh, recipe, tokenizer, told
from workflow_models import TRAINED_PX, write_pictures

KEPT_MIB = 40  # of resident memory that a second run may leave behind: allocators are not exact


def losses(server: LiveServer, run: str) -> list[int]:
    """The steps whose losses the run has noted, in the order that it took them."""
    return [int(line.split(",")[0]) for line in (server.base / "output" / run / "losses.csv").read_text().splitlines()]


def cancel_after(server: LiveServer, steps: int, name: str = "train") -> Any:
    """A watcher that cancels once when node `name` has taken `steps`."""
    asked: list[Message] = []

    def watch(message: Message) -> None:
        is_due = message.kind == "progress" and message.data["node"] == name and message.data["value"] >= steps
        if is_due and not asked:
            asked.append(message)
            server.interrupt()

    return watch


def test_pictures_become_a_tokenizer_then_a_class_model_then_a_picture(server: LiveServer):
    first, second = fresh(), fresh()
    run = server.watch({**tokenizer(first), **told(class_model(["train", 0], second), "beach")}, preview_method="auto")
    assert run.ending == "execution_success", run.error
    assert run.progress("train")[-1] == (4, 4) and run.progress("transformer")[-1] == (4, 4)
    assert pixels(run.images["show"][0]).shape == (TRAINED_PX, TRAINED_PX, 3)
    assert pixels(run.images["plot"][0]).std() > 0
    shown = {message.data["node_id"]: Image.open(io.BytesIO(message.image)) for message in run.previews}
    assert {"train", "transformer"} <= set(shown)
    sizes = [shown[name].size for name in ("train", "transformer")]
    assert all(width >= 480 for width, _ in sizes), sizes  # the host scales the longer side to 512


def test_too_few_pictures_are_said_in_the_editor(server: LiveServer):
    """A run on 12 pictures looked like any other, and only the terminal said that its codebook collapsed."""
    run = server.watch(tokenizer(fresh()))
    said = [message.data["message"] for message in run.of("taming.warning") if message.data["node"] == "train"]
    assert any("pictures are few" in text and "From about 200 on" in text for text in said)


def test_a_finished_run_is_not_run_again_but_after_a_restart_gives_its_model_at_once(server: LiveServer):
    prompt, run = tokenizer(fresh()), None
    for _ in range(2):
        run = server.watch(prompt)
    assert run is not None and run.executed == []
    server.free()  # empties the host's cache too, as a restart does
    time.sleep(3)
    again = server.watch(prompt)
    assert "train" in again.executed and again.progress("train") == []
    assert again.ending == "execution_success"


@pytest.mark.parametrize(("every", "words"), [(2, ""), (500, "loss_map: runs/")])
def test_a_run_of_the_command_line_is_plotted_by_its_evaluations_or_says_that_it_cannot_be(
    server: LiveServer, every: int, words: str
):
    """It notes no loss of each step; of an empty list, or of a single loss, the host's node fails with a traceback."""
    name = fresh()
    prompt = tokenizer(name) | {"recipe": recipe("pictures_vqgan_small", f"evaluate_every={every}")}
    server.watch(prompt)
    (server.base / "output" / name / "losses.csv").unlink()
    server.free()
    time.sleep(3)
    again = server.watch(prompt)
    assert again.progress("train") == []
    assert (words in again.error) if words else again.images["plot"], again.error


def test_a_run_whose_folder_was_deleted_is_trained_anew(server: LiveServer):
    name = fresh()
    server.watch(tokenizer(name))
    folder = server.base / "output" / name
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert server.watch(tokenizer(name)).progress("train")[-1] == (4, 4)


def test_a_canceled_run_goes_on_where_it_stopped_and_ends_as_if_it_had_not_been(server: LiveServer):
    whole, broken = fresh(), fresh()
    server.watch(tokenizer(whole) | {"recipe": recipe(steps=40)})
    prompt = tokenizer(broken) | {"recipe": recipe(steps=40)}
    stopped = server.watch(prompt, on_message=cancel_after(server, 5))
    assert stopped.ending == "execution_interrupted"
    taken = losses(server, broken)
    assert 5 <= len(taken) < 40
    assert f"Training stopped after {len(taken)} of 40 steps" in server.log_tail(40)
    resumed = server.watch(prompt)
    assert resumed.ending == "execution_success"
    assert resumed.progress("train")[0] == (len(taken) + 1, 40)
    assert losses(server, broken) == list(range(40))
    models = [(server.base / "output" / name / "model.safetensors").read_bytes() for name in (whole, broken)]
    assert models[0] == models[1]


def test_training_leaves_no_memory_behind(server: LiveServer):
    """The first run loads libraries, which stay."""

    def after_a_run() -> float:
        server.watch({**tokenizer(fresh()), **class_model(["train", 0], fresh())}, preview_method="auto")
        server.free()
        time.sleep(3)
        return server.rss_mib()

    before = after_a_run()
    assert after_a_run() - before < KEPT_MIB


def test_canceled_training_leaves_the_host_as_it_was(server: LiveServer):
    """Weights made afterwards still work, and nothing believes that a training goes on."""
    prompt = tokenizer(fresh()) | {"recipe": recipe(steps=4000)}
    before = server.rss_mib()
    assert server.watch(prompt, on_message=cancel_after(server, 3)).ending == "execution_interrupted"
    run = server.watch({**tokenizer(fresh()), **class_model(["train", 0], fresh())})
    assert run.ending == "execution_success", run.error
    server.free()
    time.sleep(3)
    assert server.rss_mib() - before < 2 * KEPT_MIB


def test_connected_pictures_and_labels_take_the_place_of_a_folder(server: LiveServer):
    """From the host's own node, which gives lists."""
    folder = write_pictures(server.base / "input" / "flat", ("alpine",), count=6) / "alpine"
    for file, name in zip(sorted(folder.iterdir()), ["cat", "dog"] * 3, strict=True):
        file.with_suffix(".txt").write_text(name)
    # Two sizes: a list need not be a batch.
    Image.new("RGB", (60, 40), "red").save(folder / "0.png")
    data = node("LoadImageTextDataSetFromFolder", folder="flat/alpine")
    open_recipes = {"recipe": recipe(folder=""), "class recipe": recipe("pictures_class_small", folder="")}
    first, second = tokenizer(fresh(), images=["data", 0]), class_model(["train", 0], fresh(), images=["data", 0])
    second["transformer"]["inputs"]["labels"] = ["data", 1]
    run = server.watch({"data": data, **first, **told(second, "dog"), **open_recipes})
    assert run.ending == "execution_success", run.error
    second["label"]["inputs"]["label"] = "horse"
    assert "cat, dog" in server.watch({"data": data, **first, **second, **open_recipes}).error


def test_labels_of_connected_pictures_may_be_one_text(server: LiveServer):
    write_pictures(server.base / "input" / "six", ("alpine",), count=6)
    data = {"data": node("LoadImageDataSetFromFolder", folder="six/alpine")}
    open_recipes = {"recipe": recipe(folder=""), "class recipe": recipe("pictures_class_small", folder="")}
    first, second = tokenizer(fresh(), images=["data", 0]), class_model(["train", 0], fresh(), images=["data", 0])
    prompt = {**data, **first, **told(second, "dog"), **open_recipes}
    for labels, words in (
        ("cat, dog", "labels: 2 for 6 pictures"),
        ("a,b,,c,d,e", "labels: that of picture 3 is empty"),
    ):
        second["transformer"]["inputs"]["labels"] = labels
        assert words in server.watch(prompt).error
    second["transformer"]["inputs"]["labels"] = 'cat, dog, Cat,\n"cat", dog, "tench, tinca",\n'
    run = server.watch(prompt)
    assert run.ending == "execution_success", run.error
    second["label"]["inputs"]["label"] = "CAT"
    assert "The class 'CAT' could be 'Cat' (0) or 'cat' (1)" in server.watch(prompt).error
    second["label"]["inputs"]["label"] = "horse"
    assert "Cat, cat, dog, tench, tinca (or a number, 0 to 3)" in server.watch(prompt).error


def test_a_folder_is_what_is_typed_in_quotes_or_in_the_overrides(server: LiveServer, tmp_path: Path):
    """Blanks were lost, quotes were not understood, and YAML made a mapping of the last."""
    write_pictures(server.base / "input" / "ende ")
    write_pictures(tmp_path / "cats: 007 # 1 ")
    typed = {
        "in the input folder": recipe(folder="ende "),
        "in quotes": recipe(folder=f'"{tmp_path}"'),
        "as an override": recipe(
            "pictures_vqgan_small", "", "# mine", f"data.folder={tmp_path}/cats: 007 # 1 ", folder=""
        ),
        "with blanks that nobody sees": recipe(
            "pictures_vqgan_small", f"data.folder={tmp_path} ", "seed = 7 ", folder=""
        ),
    }
    for name, chosen in typed.items():
        run = server.watch(tokenizer(fresh()) | {"recipe": chosen})
        assert run.ending == "execution_success", (name, run.error)


def test_a_run_starts_from_the_weights_of_connected_models(server: LiveServer):
    """With no step of any size, what comes out is what went in."""
    first, second = fresh(), fresh()
    still = recipe("pictures_vqgan_small", "optimizer.lr=1e-12", "optimizer.final_lr=0")
    again = {
        "still": still,
        "again": node("TamingTrainVQGAN", recipe=["still", 0], run=second, vqgan=["train", 0]),
        "plot again": node("LossGraphNode", loss=["again", 1], filename_prefix="loss"),
    }
    run = server.watch({**tokenizer(first), **again})
    assert run.ending == "execution_success", run.error
    folder = server.base / "output" / second
    begun, ended = load_file(folder / "init_from.safetensors"), load_file(folder / "model.safetensors")
    key = "decoder.conv_out.weight"
    assert abs(begun[key] - ended[key]).max() < 1e-6


def test_saved_models_are_listed_and_draw_what_the_trained_ones_draw(server: LiveServer):
    prompt = {**tokenizer(fresh()), **told(class_model(["train", 0], fresh()), "alpine")}
    prompt["save"] = node("TamingSaveTransformer", transformer=["transformer", 0], filename_prefix="mine/saved")
    prompt["save vqgan"] = node("TamingSaveVQGAN", vqgan=["train", 0], filename_prefix="saved")
    trained = server.watch(prompt)
    assert trained.ending == "execution_success", trained.error
    for name, file in (("save", "mine/saved_00001_.safetensors"), ("save vqgan", "saved_00001_.safetensors")):
        (text,) = trained.history["outputs"][name]["text"]
        assert text.startswith("Saved ") and text.endswith(file)
    prompt["train"] = node("TamingLoadVQGAN", vqgan_name="saved_00001_.safetensors")
    prompt["transformer"] = node("TamingLoadTransformer", transformer_name="mine/saved_00001_.safetensors")
    loaded = {key: prompt[key] for key in ("train", "transformer", "label", "empty", "sample", "decode", "show")}
    drawn = server.watch(loaded)
    assert drawn.ending == "execution_success", drawn.error
    assert (pixels(drawn.images["show"][0]) == pixels(trained.images["show"][0])).all()


def test_a_transformer_that_reads_maps_is_trained_shown_saved_loaded_and_saved_again(server: LiveServer):
    """Its file has the VQGAN of its maps in it; drawing by a map, all of them draw the same."""
    scenes = ["data.count=24", "data.held_out=4"]
    channels = ["model.in_channels=9", "model.out_ch=9", "model.mid_attention=true"]
    maps = tokenizer(fresh()) | {"recipe": recipe("scenes_segments_vqgan", *channels, *scenes, folder="")}
    trained_on_maps = server.watch(maps, preview_method="auto")
    assert trained_on_maps.ending == "execution_success", trained_on_maps.error
    stage = server.base / "output" / maps["train"]["inputs"]["run"] / "model.safetensors"
    told_maps = ["init_from=''", f"condition.stage={stage}", *scenes]
    prompt = class_model(["train", 0], fresh())
    prompt |= {**tokenizer(fresh()), "class recipe": recipe("scenes_segmentation", *told_maps, folder="")}
    prompt["ground"] = node("EmptyImage", width=TRAINED_PX, height=TRAINED_PX, batch_size=1, color=0x010101)
    prompt["map"] = node("TamingImageCondition", transformer=["transformer", 0], image=["ground", 0])
    prompt["sample"]["inputs"]["condition"] = ["map", 0]
    prompt["save"] = node("TamingSaveTransformer", transformer=["transformer", 0], filename_prefix="maps")
    runs = [server.watch(prompt, preview_method="auto")]
    assert any(message.data["node_id"] == "transformer" for message in runs[0].previews), runs[0].error
    del prompt["train"], prompt["recipe"], prompt["class recipe"], prompt["plot"]
    for number in (1, 2):
        prompt["transformer"] = node("TamingLoadTransformer", transformer_name=f"maps_{number:05}_.safetensors")
        for name in ("empty", "decode"):
            prompt[name]["inputs"]["vqgan"] = ["transformer", 1]
        runs.append(server.watch(prompt))
    drawn = [pixels(run.images["show"][0]) for run in runs]
    assert all((picture == drawn[0]).all() for picture in drawn[1:])
    for number in (1, 2):
        saved = load_file(server.base / "models" / "taming_transformers" / f"maps_{number:05}_.safetensors")
        key = "decoder.conv_out.weight"
        assert (saved[f"cond_stage_model.{key}"] == load_file(stage)[key]).all()


def test_saving_again_takes_the_next_number(server: LiveServer):
    load = {"load": node("TamingLoadVQGAN", vqgan_name=VQGAN)}
    for number in (1, 2):
        server.free()
        time.sleep(1)
        server.watch(load | {"save": node("TamingSaveVQGAN", vqgan=["load", 0], filename_prefix="numbered")})
        assert (server.base / "models" / "vqgan" / f"numbered_{number:05}_.safetensors").is_file()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a folder that is not there": (recipe(folder="nowhere"), "folder: there is no folder"),
    "no pictures at all": (recipe(folder=""), "recipe: it names no pictures"),
    "an override that is none": (recipe("pictures_vqgan_small", "lr"), "overrides: expected key=value"),
    "a value of another type": (
        recipe("pictures_vqgan_small", "optimizer.lr=fast"),
        "overrides: optimizer.lr: expected a number of 0 or more, found 'fast'",
    ),
    "an unknown override": (recipe("pictures_vqgan_small", "sead=1"), "overrides: pictures_vqgan_small: unknown name"),
    "an unknown part of the model": (recipe("pictures_vqgan_small", "model.codes=4"), "recipe: model: unknown name"),
    "a recipe of the other kind": (recipe("pictures_class_small"), "recipe: it trains a transformer"),
    "a crop larger than the pictures": (
        recipe("pictures_vqgan_small", "phases=[{steps: 4, batch_size: 2, crop_px: 64}]"),
        "size_px: phases: crop_px 64 is larger",
    ),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_recipe_is_said_by_the_input_to_blame(
    server: LiveServer, wrong: dict[str, Any], words: str
):
    assert words in server.watch(tokenizer(fresh()) | {"recipe": wrong}).error


@pytest.mark.parametrize("run", ["", "..", "/elsewhere", "a/../../b"])
def test_a_run_stays_below_the_output_folder(server: LiveServer, run: str):
    assert "run: " in server.watch(tokenizer(run)).error


def test_another_recipe_in_the_folder_of_a_run_is_refused(server: LiveServer):
    name = fresh()
    server.watch(tokenizer(name))
    error = server.watch(tokenizer(name) | {"recipe": recipe("pictures_vqgan_small", "seed=3")}).error
    assert error.startswith("run: ") and "another recipe" in error


def test_another_tokenizer_in_the_folder_of_a_run_is_refused(server: LiveServer):
    name = fresh()
    server.watch({**tokenizer(fresh()), **class_model(["train", 0], name)})
    other = tokenizer(fresh()) | {"recipe": recipe("pictures_vqgan_small", "seed=3")}
    assert server.watch({**other, **class_model(["train", 0], name)}).error.startswith("vqgan: the run in")


def test_a_recipe_of_ones_own_is_listed_and_runs(server: LiveServer):
    """The folder models/taming_recipes is there from the start, and watched."""
    folder = server.base / "models" / "taming_recipes"
    folder.mkdir(parents=True, exist_ok=True)
    values = {"task": "vqgan", "optimizer": {"lr": 1e-3}, "phases": [{"steps": 2, "batch_size": 2}]}
    values["model"] = {"n_embed": 16, "embed_dim": 8, "ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1}
    values["model"] |= {"z_channels": 8, "attn_resolutions": [], "resolution": 32}
    (folder / "own vqgan.yaml").write_text(json.dumps(values))
    own = recipe(preset="own vqgan.yaml", steps=0, overrides="data.min_px=16")
    run = server.watch(tokenizer(fresh()) | {"recipe": own})
    assert run.ending == "execution_success", run.error
    assert run.progress("train")[-1] == (2, 2)


def test_the_runs_say_how_they_went(server: LiveServer):
    name = fresh()
    server.watch(tokenizer(name))
    rows = [json.loads(line) for line in (server.base / "output" / name / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 4 and {"psnr", "usage", "l1"} <= rows[-1].keys()
