"""Everything on a fresh machine, with one command: `python3 dev.py demo|test|serve|bench`. Standard library only."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from devtools import CACHE, ROOT
from devtools.demo import run_demo
from devtools.environment import PYTHON, prepare_reference, prepare_requirements, prepare_test_tools, prepare_torch
from devtools.host import Host, get_host, make_base
from devtools.package_sets import PACKAGE_SETS
from devtools.server import PromptError, Server
from devtools.steps import SetupError, say
from devtools.suite import run_suite

BASE = CACHE / "base"


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--comfyui", metavar="PATH", help="use this ComfyUI instead of getting one ($COMFYUI_PATH)")
    demo = commands.add_parser("demo", parents=[common], help="draw pictures in a real ComfyUI; they go to output/")
    demo.add_argument("--image", type=Path, metavar="FILE", help="reconstruct this picture instead of a drawn scene")
    test = commands.add_parser(
        "test", parents=[common], help="run what CI runs; names of suites select, the rest is pytest's"
    )
    test.add_argument("--frontend", metavar="VERSION", help="test with this version of ComfyUI's editor, or `latest`")
    test.add_argument("--packages", choices=PACKAGE_SETS, help="the unit tests with the oldest packages, or the newest")
    serve = commands.add_parser("serve", parents=[common], help="open ComfyUI with this pack in the browser")
    serve.add_argument("--port", type=int, default=8188)
    commands.add_parser("bench", parents=[common], help="run the benchmarks; other options go to each of them")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in ("test", "bench"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a killed run takes its server along
    try:
        return run(options, rest)
    except (SetupError, PromptError, TimeoutError) as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndev.py: stopped. The same command goes on where this one ended.", file=sys.stderr)
        return 130


def run(options: argparse.Namespace, rest: list[str]) -> int:
    """Do what the command line asks for."""
    if options.command == "test":
        return run_suite(rest, options.comfyui, options.frontend, options.packages)
    if options.command == "bench":
        return run_benchmarks(rest, options.comfyui)
    image = options.image.expanduser() if options.command == "demo" and options.image else None
    if image and not image.is_file():
        raise SetupError(f"there is no picture {image}.")
    start = time.monotonic()
    host = get_host(options.comfyui)
    make_base(BASE, host)
    device = () if has_accelerator(host) else ("--cpu",)
    if options.command == "serve":
        return run_server(Server(host, BASE, port=options.port, options=device))
    with Server(host, BASE, options=device) as server:
        say(f"ComfyUI runs at {server.url}")
        files = run_demo(server, image)
    say(f"done in {time.monotonic() - start:.0f} s; open:")
    for file in files:
        print(f"  {file}")
    return 0


def run_server(server: Server) -> int:
    """Keep the server until Ctrl-C."""
    with server:
        say(f"ComfyUI runs at {server.url} (Ctrl-C ends it). Models go into {server.base / 'models'}.")
        if has_desktop():
            webbrowser.open(server.url)
        assert server.process is not None  # it was started above
        return server.process.wait()


def run_benchmarks(arguments: list[str], comfyui: str | None) -> int:
    """Run every benchmarks/bench_*.py, and the check that all ways draw the same, each in a process of its own."""
    get_host(comfyui)  # its requirements hold peers that are measured against
    prepare_torch()
    prepare_requirements("this pack", ROOT / "requirements.txt")
    prepare_test_tools()
    prepare_reference()
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join((str(ROOT), str(ROOT / "tests"))))
    if comfyui:
        environment["COMFYUI_PATH"] = comfyui
    scripts = [*sorted((ROOT / "benchmarks").glob("bench_*.py")), ROOT / "benchmarks" / "check_equality.py"]
    results = [subprocess.run([PYTHON, script, *arguments], cwd=ROOT, env=environment).returncode for script in scripts]
    return int(any(results))


def has_desktop() -> bool:
    """Whether a browser window could be seen; on a server it would start in the terminal instead."""
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def has_accelerator(host: Host) -> bool:
    """Whether torch sees a GPU; ComfyUI must be told when there is none."""
    script = (
        "import sys, torch\n"
        "oldest = [torch.cuda, torch.backends.mps, torch.xpu]\n"  # torch 2.5
        "backends = [torch.accelerator] if hasattr(torch, 'accelerator') else oldest\n"
        "sys.exit(not any(backend.is_available() for backend in backends))"
    )
    return subprocess.run([host.python, "-c", script], stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
