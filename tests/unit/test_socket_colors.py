"""Whether the colors of the pack's sockets can be told apart, by everybody, on every theme."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from repository import ROOT

# What each kind of sight makes of linear RGB: Machado, Oliveira, Fernandes, "A Physiologically-based Model for
# Simulation of Color Vision Deficiency" (2009), severity 1.
SIGHTS = {
    "all cones": np.eye(3),
    "no red cones": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]]),
    "no green cones": np.array([[0.3673, 0.8606, -0.228], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "no blue cones": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(axis=1)
HOST = {"IMAGE": "#64B5F6", "MASK": "#81C784", "CONDITIONING": "#FFA931"}  # sockets beside ours, in the dark theme
CANVAS = {"dark": "#141414", "light": "#d3d3d3"}
SOURCE = (ROOT / "web" / "js" / "socket_colors.js").read_text(encoding="utf-8")
COLORS = dict(re.findall(r'^  (TAMING_\w+): "(#[0-9a-f]{6})",$', SOURCE, re.MULTILINE))


def linear(color: str) -> np.ndarray:
    """Linear RGB of a color such as `#ff6611`."""
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(color: str, sight: np.ndarray) -> np.ndarray:
    """CIELAB of a color as somebody with this sight sees it."""
    xyz = XYZ @ np.clip(sight @ linear(color), 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a: str, b: str) -> float:
    """Contrast ratio of WCAG 2, 1 to 21."""
    low, high = sorted((XYZ @ linear(color))[1] + 0.05 for color in (a, b))
    return high / low


def test_every_socket_of_the_pack_has_a_color():
    types = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "nodes").rglob("*.py"))
    assert set(COLORS) == set(re.findall(r'"(TAMING_[A-Z]+)"', types))


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_colors_differ_for_every_kind_of_sight(sight: str):
    """All were one pale green. A difference of 2 can just be seen side by side; 30 is told apart from memory."""
    seen = {name: lab(color, SIGHTS[sight]) for name, color in COLORS.items()}
    distances = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(seen, 2)}
    assert min(distances.values()) > 30, min(distances, key=lambda pair: distances[pair])


@pytest.mark.parametrize("name", HOST)
def test_the_colors_are_not_those_of_the_hosts_sockets_beside_them(name: str):
    theirs = lab(HOST[name], SIGHTS["all cones"])
    assert min(np.linalg.norm(theirs - lab(color, SIGHTS["all cones"])) for color in COLORS.values()) > 30


@pytest.mark.parametrize("theme", CANVAS)
def test_wires_can_be_seen_on_the_canvas(theme: str):
    assert min(contrast(color, CANVAS[theme]) for color in COLORS.values()) > 1.8
