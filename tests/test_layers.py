"""Who may import whom: the table of the design, held against the import lines of every file.

Also closed here: the two holes that a clean Cython translation leaves (`with gil`, and a nogil signature without
`noexcept`), directives outside setup.py, and outside libraries with more than one door.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"pyroute2", "scapy", "netaddr", "pydantic", "prometheus_client", "fastapi", "uvicorn", "httpx", "ruamel", "click",
           "rich_click", "rich", "qemu", "networkx", "matplotlib", "textual", "hypothesis"}

# package -> what of ours it may import (prefixes); the first entry that matches a file's module name counts.
MAY_IMPORT = {
    "dataplane.sys": set(),
    "dataplane.frames": {"dataplane.sys", "dataplane.frames"},
    "dataplane.tables": {"dataplane.sys", "dataplane.tables"},
    "dataplane.policies.chain": {"dataplane.policies", "dataplane.frames", "dataplane.tables", "dataplane.state",
                                 "dataplane.ownership", "dataplane.reasons", "dataplane.counters", "dataplane.sys"},
    "dataplane.policies": {"dataplane.frames", "dataplane.tables", "dataplane.state", "dataplane.ownership",
                           "dataplane.reasons", "dataplane.counters", "dataplane.sys"},
    "dataplane.stages": {"dataplane.policies.chain", "dataplane.frames", "dataplane.tables", "dataplane.state",
                         "dataplane.reasons", "dataplane.counters", "dataplane.sys", "dataplane.ports.port"},
    "dataplane.pipeline": {"dataplane.stages", "dataplane.state", "dataplane.frames"},
    "dataplane.ports": {"dataplane.ports", "dataplane.frames", "dataplane.reasons", "dataplane.sys"},
    "dataplane": {"dataplane"},
    "vswitch.errors": set(),
    "vswitch.run_dir": set(),
    "vswitch.folders": set(),
    "vswitch.unix_listener": {"vswitch.folders", "vswitch.errors"},
    "vswitch.topology": {"vswitch.topology", "vswitch.errors", "vswitch.run_dir"},
    "vswitch.plan": {"vswitch.plan", "vswitch.topology", "vswitch.errors", "vswitch.run_dir"},
    "vswitch.host": {"vswitch.host", "vswitch.plan", "vswitch.unix_listener", "vswitch.errors"},
    "vswitch.lab": {"vswitch.lab", "vswitch.topology", "vswitch.errors", "vswitch.run_dir", "vswitch.host.netlink",
                    "vswitch.host.namespaces"},
    "vswitch.reconcile": {"vswitch.topology", "vswitch.plan", "vswitch.host", "vswitch.errors"},
    "vswitch.daemon": {"vswitch.daemon", "vswitch.reconcile", "vswitch.topology", "vswitch.plan", "vswitch.host",
                       "vswitch.errors", "vswitch.run_dir", "dataplane.messages", "dataplane.reasons", "dataplane.counters",
                       "dataplane.ending", "dataplane.logs",
                       "vswitch"},
    "vswitch.cli": {"vswitch.cli", "vswitch.topology", "vswitch.lab", "vswitch.daemon.client", "vswitch.unix_listener",
                    "vswitch.errors", "vswitch.run_dir", "vswitch"},
    "vswitch.__main__": {"vswitch.cli"},
    "vswitch": set(),
}
# An outside library and the only places that may import it.
DOORS = {
    "pyroute2": {"vswitch.host.netlink"},
    "prometheus_client": {"vswitch.daemon.metrics"},
    "ruamel": {"vswitch.topology.reader"},
    "httpx": {"vswitch.daemon.client"},
    "qemu": {"vswitch.daemon.qmp"},
    "scapy": set(),
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted([*ROOT.glob("vswitch/**/*.py"), *ROOT.glob("dataplane/**/*.p[yx]*")]):
        if path.suffix in (".py", ".pyx", ".pxd"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found.append((name, path))
    return found


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports or cimports."""
    text = path.read_text()
    if path.suffix == ".py":
        names = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{path}: relative import"
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        return names
    text = re.sub(r'"""[\s\S]*?"""', "", text)
    names = set(re.findall(r"^\s*c?import\s+([\w.]+)", text, re.M))
    for module, rest in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n]*)", text, re.M):
        names |= {f"{module}.{name.split()[0]}" for name in rest.strip("()").split(",") if name.strip()}
    return names


def rule_for(module: str) -> set[str]:
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in MAY_IMPORT:
            return MAY_IMPORT[".".join(parts[:n])]
    raise AssertionError(f"{module} belongs to no package of the table")


def is_allowed(name: str, allowed: set[str]) -> bool:
    """`vswitch` among what is allowed means the root alone, which has the version and imports nothing."""
    below = tuple(f"{prefix}." for prefix in allowed - {"vswitch"})
    return name in allowed or name.startswith(below) or (name == "vswitch.__version__" and "vswitch" in allowed)


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else value.suffix)
def test_imports_follow_the_table(module, path):
    for name in imports_of(path):
        top = name.split(".")[0]
        if top in ("vswitch", "dataplane"):
            assert is_allowed(name, rule_for(module)), f"{module} may not import {name}"
        if top in OUTSIDE:
            assert not module.startswith("dataplane"), f"the data plane imports {name}"
            assert top not in DOORS or module in DOORS[top], f"{module} imports {name}, whose door is {DOORS[top]}"


def test_every_package_of_the_table_exists():
    names = {module for module, _ in modules()}
    assert {package for package in MAY_IMPORT if not any(is_allowed(name, {package}) for name in names)} == set()
    assert {module for doors in DOORS.values() for module in doors} <= names


def test_the_checker_sees_a_wrong_import(tmp_path):
    """The control: the same rules refuse what they must."""
    wrong = tmp_path / "wrong.pxd"
    wrong.write_text("from dataplane.policies.vlan cimport (\n    vlan_ingress,\n)\n")
    assert imports_of(wrong) == {"dataplane.policies.vlan.vlan_ingress"}
    assert not is_allowed("dataplane.policies.vlan.vlan_ingress", rule_for("dataplane.stages.ingress"))
    assert is_allowed("dataplane.policies.chain.ingress_chain", rule_for("dataplane.stages.ingress"))
    assert not is_allowed("vswitch.host.netlink", rule_for("vswitch.cli.up"))
    assert is_allowed("vswitch.__version__", rule_for("vswitch.cli.version"))


def path_signatures() -> list[tuple[str, str]]:
    found = []
    for _, path in modules():
        if path.suffix in (".pyx", ".pxd") and "sys" not in path.parts:
            text = path.read_text()
            assert not re.search(r"^\s*with gil", text, re.M), f"{path}: `with gil`"
            assert "# cython:" not in text, f"{path}: directives live in setup.py"
            found += [(str(path), line) for line in re.findall(r"^.*\bnogil:?\s*$", text, re.M) if "def" in line and "(" in line]
    return found


def test_every_nogil_signature_is_noexcept():
    """Without it, each call checks for an exception, and that takes the GIL."""
    signatures = path_signatures()
    assert len(signatures) > 20
    for path, line in signatures:
        assert "noexcept" in line or line.strip().startswith("cdef extern"), f"{path}: {line}"


def loaded_by(*names: str) -> set[str]:
    """The top-level packages in memory once `names` are imported, in a process of its own."""
    code = f"import sys, {', '.join(names)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_data_plane_loads_nothing_from_outside():
    """What a data plane has in memory: no scapy, no pyroute2, no web server, no vswitch."""
    loaded = loaded_by("dataplane.process", "dataplane.ports.packet", "dataplane.ports.tun")
    assert "dataplane" in loaded
    assert not loaded & (OUTSIDE | {"vswitch"})


def test_vswitchd_loads_no_test_or_drawing_library():
    loaded = loaded_by("vswitch.daemon.main", "vswitch.daemon.api")
    assert "fastapi" in loaded
    assert not loaded & {"scapy", "matplotlib", "networkx", "textual", "hypothesis", "pytest"}


def test_no_cycles_between_files():
    graph = {}
    names = {module for module, _ in modules()}
    for module, path in modules():
        edges = graph.setdefault(module, set())
        for name in imports_of(path):
            while name and name not in names:
                name = name.rpartition(".")[0]
            if name and name != module:
                edges.add(name)
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for following in sorted(graph.get(module, ())):
                visit(following, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
