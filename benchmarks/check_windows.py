"""Every grid from 1 to 40 cells on a side, windows of 4 to 16: our sampler draws what the scripts' slow loop draws.

A check rather than a benchmark, and too long for a test (half an hour on one core). By hand:
`PYTHONPATH=.:tests .venv/bin/python benchmarks/check_windows.py`. A grid smaller than its window is compared with the
upper left part of a whole one.
"""

import sys
import time

import torch

from oracles.sliding_window import CODES, CONDITIONS, build, condition_for, draw_by_script
from taming.sampling import SamplingOptions, generate

SIDES, WINDOWS = range(1, 41), range(4, 17)
GREEDY = SamplingOptions(temperature=0)


def main() -> int:
    torch.set_num_threads(1)
    kinds, checked, wrong, start = sorted(CONDITIONS), 0, [], time.monotonic()
    for height in SIDES:
        for width in SIDES:
            number = height * len(SIDES) + width
            # Odd windows are not the scripts', whose rule leaves the grid; test_windows.py checks that ours stays in.
            side = [size for size in WINDOWS if size % 2 == 0][number % 7]
            kind = kinds[number // 7 % len(kinds)]
            if not agrees(kind, (height, width), (side, side)):
                wrong.append((kind, height, width, side))
            checked += 1
        print(f"height {height}: {checked} grids, {len(wrong)} differ, {time.monotonic() - start:.0f} s", flush=True)
    print(*wrong[:20], sep="\n")
    return int(bool(wrong))


def agrees(kind: str, grid: tuple[int, int], window: tuple[int, int]) -> bool:
    transformer = build(kind, window)
    whole = tuple(max(sides) for sides in zip(grid, window, strict=True))
    indices = torch.randint(CODES, (1, *grid), generator=torch.Generator().manual_seed(3))
    known = torch.rand(1, *grid, generator=torch.Generator().manual_seed(4)) < 0.1
    padding = (0, whole[1] - grid[1], 0, whole[0] - grid[0])
    condition = condition_for(transformer, grid, 1)
    padded = condition.padded(padding[3], padding[1])
    large = [torch.nn.functional.pad(cells, padding) for cells in (indices, known)]
    expected = draw_by_script(padded, *large, GREEDY, seed=0)[:, : grid[0], : grid[1]]
    return torch.equal(generate(condition, indices, known, options=GREEDY), expected)


if __name__ == "__main__":
    sys.exit(main())
