"""Options and files in any order, options that do nothing, and output that nobody reads to its end."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import refusal
from repository import ROOT, project_value
from taming.cli import CLOSED_PIPE, main, version

RUN = [sys.executable, "-m", "taming"]


@pytest.mark.parametrize("arguments", [["download"], ["--help"]])
def test_a_closed_pipe_ends_a_command_in_silence(arguments: list[str]):
    """`| head` was answered with `error: [Errno 32] Broken pipe`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}  # else argparse itself hides that its help cannot be written
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*RUN, *arguments], cwd=ROOT, env=environment, **pipes)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == CLOSED_PIPE
    process.stderr.close()


def test_a_command_works_where_there_is_no_output_at_all():
    script = "import os, sys; sys.stdout = None; from taming.cli import main; sys.exit(main(['download']))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


def test_the_version_is_that_of_pyproject(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"taming {ast.literal_eval(project_value('version'))}\n"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""], ids=["a folder", "not UTF-8", "empty"])
def test_a_version_that_cannot_be_read_stops_no_command(content: bytes | None, tmp_path: Path, monkeypatch):
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    monkeypatch.setattr(version, "PYPROJECT", tmp_path / "pyproject.toml" if content is not None else tmp_path)
    assert main(["download"]) == 0


def test_a_seed_may_be_as_large_as_in_the_node(tmp_path: Path, small_transformer: Path, capsys):
    """It ended at 2**63 - 1."""
    arguments = ["sample", "--transformer", str(small_transformer), "--out", str(tmp_path / "out"), "--seed"]
    assert main([*arguments, str(2**64 - 1)]) == 0
    assert (tmp_path / "out" / "sample_18446744073709551615_0.png").is_file()
    assert "from 0 to 18446744073709551615" in refusal([*arguments, str(2**64)], capsys)


def test_overrides_and_files_may_stand_behind_options(tmp_path: Path, scene: Path, capsys):
    """They were unrecognized arguments."""
    error = refusal(["train", "scenes_vqgan", "seed=1", "--out", str(tmp_path), "seed=x"], capsys)
    assert error == "error: seed: expected a whole number of 0 or more, found 'x'.\n"
    other = scene.with_name("other.png")
    other.write_bytes(scene.read_bytes())
    assert main(["encode", str(scene), "--out", str(tmp_path / "tokens"), str(other)]) == 0
    assert sorted(file.name for file in (tmp_path / "tokens").iterdir()) == ["other.npz", "scene.npz"]


@pytest.mark.parametrize("arguments", [["train", "x", "--foo"], ["inspect", "a", "b"], ["encode", "a", "--foo", "b"]])
def test_what_no_command_knows_is_still_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([*arguments, *([] if arguments[0] == "inspect" else ["--out", "o"])])
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "needed"),
    [(["--grow", "5"], "--mask"), (["--patch", "2"], "--image"), (["--palette", "ade20k"], "--seg")],
)
def test_an_option_that_would_do_nothing_says_what_it_needs(option: list[str], needed: str, tmp_path: Path, capsys):
    error = refusal(["sample", *option, "--out", str(tmp_path)], capsys)
    assert error.startswith(f"error: {option[0]} is about a") and f"give it with {needed}" in error


@pytest.mark.parametrize("below", ["", "deeper"])
@pytest.mark.parametrize("command", [["sample"], ["encode", "a.png"], ["train", "scenes_vqgan"]])
def test_a_file_as_the_folder_of_the_results_is_refused_before_the_work(command, below: str, scene: Path, capsys):
    error = refusal([*command, "--out", str(scene / below)], capsys)
    assert f"{scene} is a file, not a folder." in error


@pytest.mark.parametrize("option", [["--segmentation", "no.png"], ["--boxes", "no.json"], ["--depth", "no.png"]])
def test_a_map_for_a_model_of_classes_is_refused_before_it_is_read(option, tmp_path, small_transformer: Path, capsys):
    """--segmentation asked for a --palette, which could not help."""
    arguments = ["sample", "--transformer", str(small_transformer), *option, "--out", str(tmp_path / "out")]
    error = refusal(arguments, capsys)
    assert "given to a transformer that was trained to be told its label" in error
    assert not (tmp_path / "out").exists()


def test_files_that_are_not_there_are_told_without_numbers_of_the_system(tmp_path: Path, capsys):
    error = refusal(["encode", "no.png", "--out", str(tmp_path)], capsys)
    assert error == "error: no.png cannot be read as a picture: No such file or directory.\n"


def test_workers_that_are_none_are_refused(tmp_path: Path, capsys):
    error = refusal(["train", "scenes_vqgan", "--out", str(tmp_path), "--workers", "0"], capsys)
    assert "--workers is 0; it must be 1 or more" in error


def test_a_number_that_is_too_large_is_told_the_limit(tmp_path: Path, capsys):
    """A seed of 13 digits was asked to be a whole number of 0 or more."""
    error = refusal(["train", "scenes_vqgan", "--out", str(tmp_path), "seed=9999999999999"], capsys)
    assert "expected a whole number from 0 to 2147483647, found 9999999999999" in error


def test_convert_writes_neither_over_a_folder_nor_under_the_name_of_another_format(
    tmp_path: Path, small_vqgan: Path, capsys
):
    convert = ["convert", str(small_vqgan), "--out"]
    error = refusal([*convert, str(tmp_path)], capsys)
    assert f"{tmp_path} is a folder. Give --out the name of a file, such as {tmp_path / 'model.safetensors'}." in error
    error = refusal([*convert, str(tmp_path / "new" / "a.pt")], capsys)
    assert f"Give --out {tmp_path / 'new' / 'a.safetensors'}" in error and not (tmp_path / "new").exists()
    assert main([*convert, str(tmp_path / "new" / "a.safetensors")]) == 0


def test_a_picture_larger_than_any_is_refused_before_it_takes_memory(tmp_path: Path, small_transformer: Path, capsys):
    arguments = ["sample", "--transformer", str(small_transformer), "--width", str(10**9), "--height", str(10**9)]
    assert "more than the limit of 268435456 pixels" in refusal([*arguments, "--out", str(tmp_path)], capsys)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep a process from taking memory")
def test_memory_that_runs_out_is_told_in_words(tmp_path: Path, small_transformer: Path):
    """The largest batch that is no mistake, in a process that may take 256 MiB more than it has."""
    script = (
        "import resource, sys; from pathlib import Path; from taming.cli import main\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + 2**28; resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    sizes = ["--width", "4096", "--height", "4096", "--batch-size", "4"]
    arguments = ["sample", "--transformer", str(small_transformer), *sizes, "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads take it too
    command = [sys.executable, "-c", script, *arguments]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.endswith(
        "error: memory ran out. Ask for less at a time: smaller pictures, or a smaller batch.\n"
    )
