"""Benchmarks: figures of the embedded models, and times beside real peers in the same run. Left out of the pack."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "runs"
ASSETS = ROOT / "taming" / "assets"
