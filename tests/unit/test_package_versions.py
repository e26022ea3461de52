"""The oldest packages that are allowed: where they stand, what is said of older ones, and what works without any."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from command_line import refusal
from devtools.package_sets import find_python, oldest_python, package_set
from devtools.steps import SetupError
from devtools.suite import run_suite
from install import oldest_versions
from repository import ROOT
from taming.checkpoints.yaml_file import read_yaml
from taming.configs import read_preset
from taming.data.image_io import decode_picture
from taming.errors import ConfigError
from taming.modules.quantizers.base import mean_square
from taming.training.distributed import find_processes
from taming.viz import labelled_sheet, write

NAMES = {"torch": "PyTorch", "pillow": "Pillow", "numpy": "NumPy", "omegaconf": "OmegaConf"}  # as people write them


PYTHON = f'"{sys.executable}"' if " " in sys.executable else sys.executable  # as a shell takes it


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_says_the_oldest_versions(name: str):
    text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
    for package, version in oldest_versions("dependencies").items():
        assert f"{NAMES.get(package, package)} {version.removesuffix('.0')}" in text
    assert f"Python {oldest_python()}" in text


def install_with(folder: Path, **versions: str) -> str:
    """What install.py says where packages in `folder` come before those of the environment."""
    for name, version in versions.items():
        metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, ROOT / "install.py"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_install_has_nothing_to_say_of_packages_that_are_there(tmp_path: Path):
    said = install_with(tmp_path, torch="2.10.0+cu128", pillow="10.0.0.post1")
    assert said.startswith("Taming has every package that it needs.\n")


def test_install_names_what_is_too_old_and_a_command_that_takes_what_is_new_enough(tmp_path: Path):
    said = install_with(tmp_path, pillow="9.4.0", omegaconf="2.0.6")
    assert "pillow 9.5.0 or newer (9.4.0 is installed)" in said
    assert "omegaconf 2.1.0 or newer (2.0.6 is installed)" in said
    assert f'{PYTHON} -m pip install "omegaconf>=2.1.0" "pillow>=9.5.0"' in said
    assert "numpy" not in said and "everything else works" not in said


def test_an_old_torch_is_not_replaced_by_whatever_pip_takes(tmp_path: Path):
    said = install_with(tmp_path, torch="2.4.1+cu121")
    assert "torch 2.5.0 or newer (2.4.1+cu121 is installed)" in said
    assert "pip install" not in said and "README" in said


@pytest.mark.parametrize("read", [read_yaml, read_preset])
def test_without_omegaconf_yaml_says_what_to_install(read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A clone without pip ended in ModuleNotFoundError."""
    file = tmp_path / "model.yaml"
    file.write_text("model: {}\n")
    monkeypatch.setitem(sys.modules, "omegaconf", None)
    command = re.escape(f"{PYTHON} -m pip install omegaconf")
    with pytest.raises(ConfigError, match=f"^model.yaml is a YAML file.*the package omegaconf.*{command}$"):
        read(file if read is read_yaml else str(file))


def test_without_omegaconf_commands_that_read_no_yaml_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(sys.modules, "omegaconf", None)
    error = refusal(["train", "scenes_vqgan", "--out", str(tmp_path / "run")], capsys)
    assert "scenes_vqgan.yaml is a YAML file" in error and not (tmp_path / "run").exists()
    script = "import sys; sys.modules['omegaconf'] = None; from taming.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "inspect", "embedded/scenes_vqgan.safetensors"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_values_that_are_left_open_are_named_wherever_they_stand(tmp_path: Path):
    """OmegaConf finds them itself from 2.2 on."""
    file = tmp_path / "recipe.yaml"
    file.write_text("data:\n  folder: ???\nphases:\n- steps: ???\nseed: 0\n")
    with pytest.raises(ConfigError, match=r"recipe.yaml needs data.folder and phases\[0\].steps"):
        read_preset(str(file))
    assert read_preset(str(file), ["seed=1"], ("data.folder", "phases[0].steps"), {"seed": int})["seed"] == 1


def test_a_device_is_found_by_a_torch_that_has_no_accelerator(monkeypatch: pytest.MonkeyPatch):
    """torch 2.5, the host's oldest, ended `train` in AttributeError."""
    found = find_processes("auto").device
    monkeypatch.delattr(torch, "accelerator", raising=False)
    assert find_processes("auto").device.type == found.type


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("has_key", [False, True])
def test_what_is_transparent_is_white_without_the_help_of_pillow(mode: str, has_key: bool, tmp_path: Path):
    """`has_transparency_data` is of Pillow 10.1: no picture could be read before."""
    image = Image.new("L", (2, 2), 0).convert(mode)
    suffix = "tiff" if mode in ("PA", "CMYK") else "png"
    image.putalpha(0) if mode in ("LA", "PA", "RGBA") else None
    options = {"transparency": 0} if has_key and mode in ("1", "L", "P") else {}
    image.save(tmp_path / f"a.{suffix}", **options)
    is_clear = mode in ("LA", "PA", "RGBA") or bool(options)
    expected = 255 if is_clear else 0
    assert (decode_picture(tmp_path / f"a.{suffix}") == expected).all()


def test_sheets_are_labeled_by_a_pillow_whose_font_has_one_size(monkeypatch: pytest.MonkeyPatch):
    """Before 10.1 it had no other letters than Latin ones either, and class names may be any."""
    if hasattr(ImageFont, "load_default_imagefont"):  # of the Pillow that has both
        monkeypatch.setattr(ImageFont, "load_default", lambda: ImageFont.load_default_imagefont())
    sheet = labelled_sheet([Image.new("RGB", (64, 64))] * 2, ["cat", "\uace0\uc591\uc774"], columns=2)
    assert sheet.width > 128
    paper = Image.new("L", (100, 40))
    write(ImageDraw.Draw(paper), (50, 20), "middle", 255, anchor="mm")
    left, top, right, bottom = paper.getbbox() or (0, 0, 0, 0)
    assert abs((left + right) / 2 - 50) < 4 and abs((top + bottom) / 2 - 20) < 4 and right - left > 20


def test_the_distance_of_latents_is_known_in_bfloat16_too():
    """torch 2.5 has no such kernel for CPUs, and `encode` in bfloat16 was not implemented."""
    a, b = (torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    rough = mean_square(a.bfloat16(), b.bfloat16())
    torch.testing.assert_close(rough, mean_square(a, b), rtol=1e-2, atol=1e-2)
    assert torch.equal(mean_square(a, b), torch.nn.functional.mse_loss(a, b))


def test_the_floor_is_each_oldest_version_and_the_newest_any():
    assert {"torch==2.5.0", "accelerate==0.30.0", "pytest"} <= set(package_set("floor"))
    assert {"torch>=2.5.0", "efficientnet-lite-pytorch>=0.1.0"} <= set(package_set("newest"))


def test_a_python_is_found_by_its_version_and_one_that_is_not_there_is_asked_for():
    assert find_python(f"{sys.version_info.major}.{sys.version_info.minor}").samefile(sys.executable)
    with pytest.raises(SetupError, match=r"no python2\.9 here.*python2\.9 dev.py test unit --packages floor"):
        find_python("2.9")


def test_other_suites_than_the_unit_tests_have_no_package_sets():
    with pytest.raises(SetupError, match="dev.py test unit --packages floor"):
        run_suite(["lint", "unit"], None, packages="floor")
