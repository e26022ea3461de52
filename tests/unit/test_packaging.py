"""What other tools make of pyproject.toml: pip, the registry of ComfyUI, ComfyUI-Manager."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from email.parser import Parser
from zipfile import ZipFile

import pytest
from PIL import Image

from install import MODULES, oldest_versions
from repository import ROOT, project_value, tracked_files

PARTS = ("taming", "pyproject.toml", "README.md", "LICENSE", "NOTICE.md")
BUILD = "import setuptools.build_meta as backend; backend.build_wheel('wheels')"
HOST_HAS = {"einops", "numpy", "pillow", "safetensors", "torch"}  # of ComfyUI 0.30.0's own requirements
NAME_LIMIT = 100
ICON_LIMIT_PX = 400
RAW = "https://raw.githubusercontent.com"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel that `pip install .` makes, built from a copy, because a build writes into its folder."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        files = [file for file in tracked_files() if file.relative_to(ROOT).parts[0] == part]
        for file in files:
            copy = folder / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    subprocess.run([sys.executable, "-c", BUILD], cwd=folder, check=True, capture_output=True)
    return ZipFile(next((folder / "wheels").glob("*.whl")))


def test_the_wheel_holds_the_whole_library_and_nothing_else(wheel: ZipFile):
    """A second top-level folder used to end `pip install .`, and files that are not Python were left out."""
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    library = {file.relative_to(ROOT).as_posix() for file in tracked_files()}
    assert names == {name for name in library if name.startswith("taming/")}


def test_the_wheel_is_no_larger_than_the_models_in_it(wheel: ZipFile):
    size = sum(entry.compress_size for entry in wheel.infolist() if not entry.filename.endswith(".safetensors"))
    assert size < 2**20


def test_the_wheel_brings_the_command_and_both_licenses(wheel: ZipFile):
    names = {name.split(".dist-info/")[1]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert wheel.read(names["entry_points.txt"]).decode().split() == [
        "[console_scripts]",
        "taming",
        "=",
        "taming.cli:main",
    ]
    assert {"licenses/LICENSE", "licenses/NOTICE.md"} <= names.keys()


def test_the_wheel_asks_for_what_pyproject_lists(wheel: ZipFile):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert required == list_of("dependencies")


def list_of(key: str) -> list[str]:
    return ast.literal_eval(project_value(key).split(" #")[0])


def test_managers_requirements_are_bare_and_only_what_the_host_lacks():
    """ComfyUI-Manager gives pip one line at a time, and its resolver of all packs takes the newest of a bare name.

    So a line that the host has already could replace the host's own version.
    """
    names = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert set(names) == oldest_versions("dependencies").keys() - HOST_HAS
    assert oldest_versions("dependencies").keys() >= HOST_HAS


def test_the_library_imports_whatever_it_depends_on():
    """einops was required once, when nothing used it."""
    sources = [file for file in tracked_files() if file.suffix == ".py" and ROOT / "taming" in file.parents]
    nodes = [node for file in sources for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    absolute = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0]
    imported = plain | {(node.module or "").split(".")[0] for node in absolute}
    assert {MODULES.get(name, name) for name in oldest_versions("dependencies")} <= imported


def test_the_registry_gets_everything_that_its_card_shows():
    assert "comfyui" not in ast.literal_eval(project_value("name")).lower()
    assert len(ast.literal_eval(project_value("DisplayName"))) < NAME_LIMIT
    repository = ast.literal_eval(project_value("Repository"))
    owner = repository.split("/")[-2]
    for key in ("Documentation", "Issues"):
        assert ast.literal_eval(project_value(key)).startswith(repository)
    for key, file in (("Icon", "icon.png"), ("Banner", "banner.png")):
        expected = f"{RAW}/{owner}/taming-tokens/main/docs/registry/{file}"
        assert ast.literal_eval(project_value(key)) == expected


def test_the_owner_of_the_repository_is_named_in_pyproject_alone():
    """A placeholder until there is one; it has to be replaced in a single file."""
    owner = ast.literal_eval(project_value("Repository")).split("/")[-2]
    texts = [file for file in tracked_files() if file.suffix in {".py", ".md", ".toml", ".json", ".js", ".yaml"}]
    named = [file.name for file in texts if f"{owner}/taming-tokens" in file.read_text(encoding="utf-8")]
    assert named == ["pyproject.toml"]


def test_icon_and_banner_have_the_shapes_that_the_registry_asks_for():
    folder = ROOT / "docs" / "registry"
    with Image.open(folder / "icon.png") as icon, Image.open(folder / "banner.png") as banner:
        assert icon.width == icon.height <= ICON_LIMIT_PX
        assert banner.width * 9 == banner.height * 21
