"""Files on the command line whose names the console cannot show."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from foreign_text import FOREIGN
from photos import photo
from recipes import write_recipe
from repository import ROOT
from taming.cli import main
from taming.file_names import mend_name

NAMES = ("first", FOREIGN, "last \uace0\uc591\uc774")
RESULTS = {mend_name(name) for name in NAMES}  # every system can have them

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not UTF-8")


class Console:
    """A console of one encoding, and what was printed on it."""

    def __init__(self, encoding: str) -> None:
        self.out, self.err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))

    def run(self, *arguments: object) -> int:
        with redirect_stdout(self.out), redirect_stderr(self.err):
            return main([str(argument) for argument in arguments])

    @property
    def printed(self) -> str:
        return self._text(self.out)

    @property
    def errors(self) -> str:
        return self._text(self.err)

    def _text(self, stream: io.TextIOWrapper) -> str:
        assert isinstance(stream.buffer, io.BytesIO)
        return stream.buffer.getvalue().decode(stream.encoding)


@pytest.fixture(params=["ascii", "cp1252", "utf-8"])
def console(request: pytest.FixtureRequest) -> Console:
    return Console(request.param)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    files = [folder / f"{name}.png" for name in NAMES]
    for file in files:
        photo(5, (32, 32)).save(file)
    return files


def stems(folder: Path) -> set[str]:
    return {file.stem for file in folder.iterdir()}


def test_all_files_are_encoded_and_decoded_and_reconstructed(console: Console, pictures: list[Path], tmp_path: Path):
    """Printing the second file's name ended the command, and the third was not done."""
    assert console.run("encode", *pictures, "--out", tmp_path / "tokens") == 0
    assert stems(tmp_path / "tokens") == RESULTS
    assert console.run("decode", *sorted((tmp_path / "tokens").iterdir()), "--out", tmp_path / "decoded") == 0
    assert console.run("reconstruct", *pictures, "--out", tmp_path / "again") == 0
    assert stems(tmp_path / "decoded") == stems(tmp_path / "again") == RESULTS
    assert console.printed.count("caf- ") == 3


def test_a_picture_that_is_not_there_is_named(console: Console, tmp_path: Path):
    assert console.run("encode", tmp_path / f"{FOREIGN}.png", "--out", tmp_path) == 1
    assert console.errors.startswith("error: ") and "caf\\udce9" in console.errors


@pytest.mark.parametrize("command", ["inspect", "convert"])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_weights_whose_name_is_not_utf8_are_to_be_renamed(command: str, suffix: str, console: Console, tmp_path: Path):
    """They were said to be damaged, with the advice to download them again."""
    weights = tmp_path / f"{FOREIGN}{suffix}"
    weights.write_bytes(next((ROOT / "taming" / "assets").glob("*.safetensors")).read_bytes())
    out = ("--out", tmp_path / "out.safetensors") if command == "convert" else ()
    assert console.run(command, weights, *out) == 1
    assert "caf\\udce9" in console.errors and "Rename the file" in console.errors


def test_weights_are_not_written_where_they_could_not_be_read(console: Console, tmp_path: Path):
    assert (
        console.run("convert", "embedded/scenes_vqgan.safetensors", "--out", tmp_path / f"{FOREIGN}.safetensors") == 1
    )
    assert "'caf\\udce9" in console.errors and "some systems forbid in names. Leave it out." in console.errors
    assert list(tmp_path.iterdir()) == []


def test_a_label_that_the_console_cannot_show_is_answered(console: Console, tmp_path: Path):
    assert console.run("sample", "--label", FOREIGN, "--out", tmp_path) == 1
    assert "has no class 'caf\\udce9" in console.errors and "alpine" in console.errors


def test_a_run_is_not_begun_where_its_model_could_not_be_saved(console: Console, pictures: list[Path], tmp_path: Path):
    """The export at its end was the first to notice."""
    recipe = write_recipe(tmp_path, "vqgan", data={"folder": str(pictures[0].parent), "size_px": 32, "min_px": 16})
    assert console.run("train", recipe, "--device", "cpu", "--out", tmp_path / FOREIGN) == 1
    assert "'caf\\udce9" in console.errors and "some systems forbid in names. Leave it out." in console.errors
    assert not (tmp_path / FOREIGN).exists()


def test_pictures_are_trained_on_and_the_one_that_is_not_is_named(
    console: Console, pictures: list[Path], tmp_path: Path
):
    pictures[1].with_name(f"empty {FOREIGN}.png").write_bytes(b"")
    data = {"folder": str(pictures[0].parent), "size_px": 32, "min_px": 16}
    recipe = write_recipe(tmp_path, "vqgan", data=data)
    assert console.run("train", recipe, "--device", "cpu", "--workers", 1, "--out", tmp_path / "run") == 0
    assert "caf\\udce9" in (tmp_path / "cache" / "left_out.txt").read_text(encoding="utf-8")


def test_the_command_itself_prints_names_that_its_console_cannot_show(pictures: list[Path], tmp_path: Path):
    environment = dict(os.environ, PYTHONIOENCODING="ascii")
    command = [sys.executable, "-m", "taming", "encode", *pictures, "--out", tmp_path / "tokens"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii() and result.stdout.count(b"\n") == len(NAMES)
