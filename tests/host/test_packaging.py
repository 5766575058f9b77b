"""What a user of packages installs has a data plane: sdist, wheel, and an environment where there is neither checkout nor gcc."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.boxed import ROOT, boxed
from tests.support.frames import BROADCAST, frame
from tests.support.packaged import (
    Installed,
    compiled_modules,
    copy_of_checkout,
    lay_objects_beside,
    make_sdist,
    make_wheel,
    mapped_by,
    names_of_sdist,
    names_of_wheel,
    unpack,
)
from tests.support.waiting import eventually
from vswitch.cli.init import WORDS

pytestmark = [pytest.mark.netns, pytest.mark.timeout(900 if "VSWITCH_LONG" in os.environ else 300)]

LONG = "VSWITCH_LONG" in os.environ
SOURCE_FOLDERS = ("benches", "dataplane", "docs", "tests", "tools", "topologies", "vswitch")


@dataclass
class Packages:
    checkout: Path
    sdist: Path
    source: Path                       # what is in the sdist
    wheel: Path
    installed: Installed


@pytest.fixture(scope="module")
def packages() -> Iterator[Packages]:
    with tempfile.TemporaryDirectory(prefix="vs-") as name:
        folder = Path(name)
        checkout = copy_of_checkout(folder)
        sdist = make_sdist(checkout, folder)
        source = unpack(sdist, folder)
        if not LONG:
            lay_objects_beside(source)
        done = make_wheel(source, folder)
        assert done.returncode == 0, done.stdout + done.stderr
        wheel = next(folder.glob("*.whl"))
        yield Packages(checkout, sdist, source, wheel, Installed(folder / "installed", wheel))


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for folder in SOURCE_FOLDERS for path in (root / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}


def test_the_sdist_has_every_source_file_and_nothing_that_was_built(packages):
    names = names_of_sdist(packages.sdist)
    assert files_of(packages.checkout) - names == set()
    assert {name for name in names if re.search(r"\.(so|pyc)$|^build/|^(?!tests/support/).*\.c$", name)} == set()
    assert {"Makefile", "CHANGELOG.md", "LICENSE", "pyproject.toml", "setup.py", "MANIFEST.in"} <= names


def test_the_wheel_has_every_compiled_module_every_topology_and_no_more(packages):
    assert re.fullmatch(r"vswitch-.*-cp3\d+-cp3\d+-linux_x86_64\.whl", packages.wheel.name)
    names = names_of_wheel(packages.wheel)
    compiled = {name.split(".")[0].replace("/", ".") for name in names if name.endswith(".so")}
    assert compiled == compiled_modules() != set()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"dataplane", "vswitch"}
    topologies = {path.name for path in (ROOT / "topologies").iterdir()}
    assert {Path(name).name for name in names if name.startswith("vswitch/cli/templates/")} == topologies


def test_what_is_installed_moves_frames_from_an_empty_folder(packages):
    """Without PYTHONPATH and gcc; every module that the data plane has loaded is the installed one."""
    installed = packages.installed
    with tempfile.TemporaryDirectory() as empty, boxed() as box:
        for module in ("vswitch", "dataplane.worker"):
            place = installed.python(f"import {module}; print({module}.__file__)", Path(empty))
            assert Path(place).is_relative_to(installed.packages)
        for words in (("init",), ("validate",), ("up",)):
            done = installed.vswitch(*words, folder=Path(empty), box=box)
            assert done.returncode == 0, done.stderr
        rows = {row["name"]: row for row in box.client.ports()}
        assert set(rows) == {"alice.eth0", "bob.eth0"}
        box.plug("alice-eth0")
        box.plug("bob-eth0")
        eventually(lambda: {row["state"] for row in box.client.ports()} == {"up"})
        sent = frame(BROADCAST, "02:00:00:00:00:01")
        box.send("alice-eth0", sent)
        assert box.receive("bob-eth0") == sent
        modules = mapped_by(box.switch()["pid"])
        assert len(modules) > 10
        assert {module for module in modules if not module.startswith(str(installed.packages))} == set()
        box.unplug("alice-eth0")
        box.unplug("bob-eth0")
        assert installed.vswitch("down", "flat", folder=Path(empty), box=box).returncode == 0


def test_init_offers_every_topology_there_is(packages):
    stems = {path.stem for path in (ROOT / "topologies").glob("*.yaml")}
    assert stems < set(WORDS)
    with tempfile.TemporaryDirectory() as empty:
        code = "import sys; sys.argv = ['vswitch', 'init', '-t', {!r}]; from vswitch.cli import main; main()"
        for stem in sorted(stems):
            packages.installed.python(code.format(stem), Path(empty))
            written = Path(empty, f"{stem}.yaml").read_text()
            shipped = (ROOT / "topologies" / f"{stem}.yaml").read_text()
            assert written == shipped.replace(f"topologies/{stem}.yaml", f"{stem}.yaml")
            for path in Path(empty).iterdir():
                path.unlink()


@pytest.mark.parametrize("lost", ["dataplane/**/*.pyx", "dataplane/worker.pyx", "dataplane/ports/tun.pyx",
                                  "dataplane/sys/files.pyx"])
def test_a_source_without_its_data_plane_is_not_built(packages, tmp_path, lost):
    """It would install, and say at the first `up` that it moves nothing; the control is the fixture's wheel."""
    source = Path(shutil.copytree(packages.source, tmp_path / "source", symlinks=True))
    for path in source.glob(lost):
        path.unlink()
    done = make_wheel(source, tmp_path)
    assert done.returncode != 0
    assert "the sources of the data plane are not complete" in done.stdout + done.stderr
    assert list(tmp_path.glob("*.whl")) == []


def test_what_an_earlier_build_has_left_does_not_go_into_a_wheel(packages, tmp_path):
    """A build folder that was used before has the tests' modules, and names that are no more."""
    source = Path(shutil.copytree(packages.source, tmp_path / "source", symlinks=True))
    left = next((source / "build").glob("lib*/vswitch"))
    (left / "renamed.py").write_text('"""It had this name once."""\n')
    done = make_wheel(source, tmp_path)
    assert done.returncode == 0, done.stderr
    assert names_of_wheel(next(tmp_path.glob("*.whl"))) == names_of_wheel(packages.wheel)


@pytest.mark.long                      # it compiles the data plane twice
@pytest.mark.timeout(1800)
def test_pip_installs_the_sdist_and_the_checkout(packages, tmp_path):
    for what in (packages.sdist, packages.checkout):
        installed = Installed(tmp_path / what.name, what)
        assert installed.python("import dataplane.worker; print(dataplane.worker.__file__)", tmp_path).startswith(
            str(installed.packages))


def test_the_environment_lacks_the_checkout(packages):
    """The control: what is not installed cannot be imported, though the packages that it needs can."""
    code = "import importlib.util as u; print(*(u.find_spec(name) is not None for name in ('tests', 'click')))"
    with tempfile.TemporaryDirectory() as empty:
        assert packages.installed.python(code, Path(empty)) == "False True"
