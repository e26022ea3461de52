"""One process, or several that train one model: each takes a share of every batch, and what they find is averaged.

Several are started by Hugging Face Accelerate, `accelerate launch -m taming train ...`; nothing else needs it.
"""

from __future__ import annotations

import os
from typing import Protocol

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..text import install_command


class Processes(Protocol):
    """The processes of a run, as one of them sees them."""

    @property
    def rank(self) -> int:
        """Its own number; 0 saves and reports."""
        ...

    @property
    def count(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def average(self, values: Tensor) -> Tensor:
        """The mean of `values` over all processes."""
        ...

    def wait(self) -> None:
        """Go on when all have come here."""
        ...


class OneProcess:
    """The usual case."""

    rank, count = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def average(self, values: Tensor) -> Tensor:
        return values

    def wait(self) -> None:
        pass


class LaunchedProcesses:
    """As many as Accelerate has launched."""

    def __init__(self, use_cpu: bool) -> None:
        try:
            from accelerate import Accelerator  # optional: only several processes need it
        except ImportError as error:
            raise ConfigError(
                "This is one of several processes, and training in several needs the package accelerate: "
                f"{install_command('accelerate')}"
            ) from error
        self._accelerator = Accelerator(cpu=use_cpu)
        self.rank, self.count = self._accelerator.process_index, self._accelerator.num_processes
        self.device = self._accelerator.device

    def average(self, values: Tensor) -> Tensor:
        return self._accelerator.reduce(values, "mean")  # pyright: ignore[reportReturnType]

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()


def find_processes(device: str = "auto") -> Processes:
    """The processes that were launched; one where none were.

    Args:
        device: "auto" takes an accelerator where there is one; or "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ConfigError: the device is not there, or Accelerate is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return LaunchedProcesses(use_cpu=device == "cpu")
    if device == "auto":
        return OneProcess(_find_accelerator() or torch.device("cpu"))
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"The device {device!r} is not here. Use auto or cpu.") from error
    return OneProcess(chosen)


def _find_accelerator() -> torch.device | None:
    """The kind of accelerator that torch can use here, if any."""
    if hasattr(torch, "accelerator"):
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    backends = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}  # torch 2.5 has to be asked for each
    return next((torch.device(name) for name, backend in backends.items() if backend.is_available()), None)


def average_gradients(processes: Processes, module: nn.Module) -> None:
    """Give each parameter the mean of its gradients over all processes."""
    if processes.count == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad = processes.average(parameter.grad)


def average_figures(processes: Processes, figures: dict[str, float]) -> dict[str, float]:
    """The mean of each figure over all processes."""
    if processes.count == 1:
        return figures
    values = torch.tensor(list(figures.values()), dtype=torch.float64, device=processes.device)
    return dict(zip(figures, processes.average(values).tolist(), strict=True))
