"""The product as a user of packages has it: a source distribution, the wheel made from it, and a new environment with that wheel.

The wheel is made from what the source distribution holds, with the objects that the checkout has compiled from these same
files laid beside it: what a .pyx becomes is the compiler's business, and `make test-long` has it compile all of them.  The
environment is new and sees the packages that ours depends on, not the checkout: a .pth line that names a folder does not
run the .pth files in it, so the checkout's own (an editable installation) does not count.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

from tests.support.boxed import ROOT, Box

NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "*.so", "__pycache__", ".*_cache",
                                    ".hypothesis")
BUILD_SDIST = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"
LIBRARIES = f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"


def run(*words: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env={**without_checkout(), **environment})


def without_checkout() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def copy_of_checkout(folder: Path) -> Path:
    """The files of the checkout that are no product of a build."""
    return Path(shutil.copytree(ROOT, folder / "copy", symlinks=True, ignore=NOT_COPIED))


def make_sdist(checkout: Path, folder: Path) -> Path:
    done = run(sys.executable, "-c", BUILD_SDIST, folder, folder=checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.tar.gz"))


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as tar:
        tar.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir() and path.name.startswith("vswitch-"))


def lay_objects_beside(source: Path) -> None:
    """What the checkout has compiled, as if it had been compiled here: newer than its sources, which are the same."""
    for path in sorted((ROOT / "dataplane").rglob("*.p[yx][xd]")):
        assert (source / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), f"{path} is another file in the sdist"
    for folder in ("cython", LIBRARIES):
        shutil.copytree(ROOT / "build" / folder, source / "build" / folder, copy_function=shutil.copy)


def make_wheel(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """With the tools of our own environment, so nothing is fetched; the wheel lies in `folder`."""
    return run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", folder, source,
               folder=folder)


class Installed:
    """A new environment with the product installed from `what`."""

    def __init__(self, folder: Path, what: Path) -> None:
        self.folder = folder
        done = run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder.parent)
        assert done.returncode == 0, done.stderr
        self.packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
        (self.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        done = run(sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--no-deps", "--no-index",
                   "--no-build-isolation", what, folder=folder.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        # iproute2 and what else a host has, without gcc: it is not in sbin.
        self.path = f"{folder / 'bin'}:/usr/sbin:/sbin"
        assert shutil.which("gcc", path=self.path) is None

    def python(self, code: str, folder: Path) -> str:
        done = run(self.folder / "bin/python", "-c", code, folder=folder, PATH=self.path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def vswitch(self, *words: str | Path, folder: Path, box: Box) -> subprocess.CompletedProcess[str]:
        """The installed command, typed in `folder`, where the host is the box."""
        return run("/sbin/ip" if Path("/sbin/ip").exists() else "/usr/bin/ip", "netns", "exec", box.namespace,
                   self.folder / "bin/vswitch", *words, folder=folder, PATH=self.path, VSWITCH_RUN=str(box.run_dir))


def names_of_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def names_of_sdist(sdist: Path) -> set[str]:
    """Of its files, below the folder that all of them lie in."""
    with tarfile.open(sdist) as tar:
        return {entry.name.partition("/")[2] for entry in tar if entry.isfile()}


def compiled_modules() -> set[str]:
    """The data plane's, by name: what the checkout has a .pyx of."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "dataplane").rglob("*.pyx")}


def mapped_by(pid: int) -> set[str]:
    """The compiled modules of the data plane that a process has in memory."""
    return {line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/dataplane/" in line}
