"""The kernel and root file system that a lab's QEMU guests boot: unpacked from Debian packages, nothing installed.

Packages are fetched once with `apt-get download` into the cache ($XDG_CACHE_HOME/vswitch, else ~/.cache/vswitch).  The
initramfs is made from them and from the files in templates/, and is called by the hash of all it was made from, so a
changed init or a new kernel is a new file and an old one is never wrong.
"""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vswitch.errors import LabError
from vswitch.lab.initramfs import Tree, add_directory, add_file, add_link, archive

TEMPLATES = Path(__file__).parent / "templates"
PROBE = Path(__file__).parent / "probe.py"
TERMINAL = Path(__file__).parent / "terminal.py"
PACKAGES = (
    "busybox-static", "dash",
    *("nftables", "libnftables1", "libnftnl11", "libmnl0", "libjansson4", "libgmp10", "libxtables12", "libedit2",
      "libtinfo6", "libbsd0", "libmd0", "libc6"),
    *("iproute2", "libbpf1", "libelf1", "libcap2"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "zlib1g"),
)
KERNELS = {"cloud": "linux-image-cloud-amd64", "generic": "linux-image-amd64"}
"""The generic kernel has drivers that the small one leaves out, e1000 among them."""

# What a guest may load, in groups: always, with firewall rules, on demand.  Dependencies come along by themselves.
MODULES = {
    "net": ("virtio_pci", "virtio_net", "e1000", "8021q"),
    "nftables": ("nf_tables", "nft_ct", "nft_limit", "nft_log", "nft_reject_inet", "nft_chain_nat", "nft_nat",
                 "nft_masq"),
}
WANTED = re.compile(r"(bin/busybox|bin/dash|bin/ip|usr/sbin/nft|usr/bin/python3\.11|(usr/)?lib(64)?/.*)")
UNWANTED = re.compile(r".*/(gconv|lib2to3|ensurepip|idlelib|test|tests|unittest|pydoc_data|distutils|sqlite3|tkinter|"
                      r"curses|asyncio|config-3[^/]*|systemd|asan|audit|mime|file|bug|lintian|doc)(/.*)?|.*libcrypto.*")


@dataclass(frozen=True)
class Image:
    kernel: Path
    initramfs: Path


def image(flavour: str = "cloud") -> Image:
    """The image of a guest, from the cache or made now; `flavour` is a key of KERNELS."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vswitch"
    if flavour not in KERNELS:
        raise LabError(f"a lab has no image `{flavour}`; `image:` is {' or '.join(KERNELS)}")
    kernel_deb, *debs = _packages(cache / "packages", KERNELS[flavour])
    ours = [*sorted(TEMPLATES.iterdir()), PROBE, TERMINAL, Path(__file__)]
    name = _hash([*(deb.name.encode() for deb in (kernel_deb, *debs)), *(path.read_bytes() for path in ours)])
    found = Image(cache / f"vmlinuz-{name}", cache / f"initramfs-{name}")
    if not (found.kernel.exists() and found.initramfs.exists()):
        tree: Tree = {}
        for deb in debs:
            _take(tree, deb)
        _compile(tree)
        kernel, modules = _kernel(kernel_deb)
        _add_modules(tree, modules)
        _add_ours(tree)
        _write(found.kernel, kernel)
        _write(found.initramfs, archive(tree))
    return found


def _hash(parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: another lab may be reading."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.rename(path)


def _packages(folder: Path, kernel: str) -> list[Path]:
    """The .deb files of the kernel and of PACKAGES, fetched if they are not in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    kernel_pattern = "linux-image-[0-9]*-cloud-amd64" if "cloud" in kernel else "linux-image-[0-9]*[0-9]-amd64"
    missing = [package for package in PACKAGES if not _newest(folder, package)]
    if not _newest(folder, kernel_pattern):
        missing.append(_versioned(kernel))
    if missing:
        if not shutil.which("apt-get"):
            raise LabError("QEMU guests boot Debian's kernel, and this host has no apt-get to fetch it")
        _run(["apt-get", "download", "-qq", *missing], folder)
    found = [_newest(folder, package) for package in (kernel_pattern, *PACKAGES)]
    return [deb for deb in found if deb]


def _newest(folder: Path, package: str) -> Path | None:
    found = sorted(folder.glob(f"{package}_*.deb"), key=lambda deb: deb.stat().st_mtime)
    return found[-1] if found else None


def _versioned(kernel: str) -> str:
    """The package with the kernel's version in its name, on which the package without one depends."""
    shown = _run(["apt-cache", "depends", kernel], Path("/"))
    found = re.search(r"Depends: (linux-image-[0-9]\S*)", shown)
    if not found:
        raise LabError(f"apt knows no {kernel}; run `apt-get update`")
    return found.group(1)


def _run(argv: list[str], folder: Path) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"cannot make the guests' image: `{' '.join(argv)}`: {done.stderr.strip()}")
    return done.stdout


def _members(deb: Path) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    """The regular files and symbolic links of a package, streamed: (path, entry, content)."""
    with (subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as unpacker,
          tarfile.open(fileobj=unpacker.stdout, mode="r|") as tar):
        for entry in tar:
            reader = tar.extractfile(entry) if entry.isreg() else None
            if reader or entry.issym():
                yield entry.name.removeprefix("./"), entry, reader.read() if reader else b""
    if unpacker.returncode:
        raise LabError(f"cannot unpack {deb}; remove it and try again")


def _take(tree: Tree, deb: Path) -> None:
    """Add what a guest needs of a package: programs and libraries, no documents."""
    for path, entry, content in _members(deb):
        if WANTED.fullmatch(path) and not UNWANTED.fullmatch(path):
            if entry.issym():
                add_link(tree, path, entry.linkname)
            else:
                add_file(tree, path, content, stat.S_IMODE(entry.mode))


def _compile(tree: Tree) -> None:
    """Replace the library's sources by compiled ones: an emulated processor takes seconds to compile them."""
    if sys.version_info[:2] != (3, 11):
        return                                     # another version's compiled form is of no use to the guest's Python
    head = importlib.util.MAGIC_NUMBER + bytes(12)
    for path, (mode, source) in list(tree.items()):
        if not (path.startswith("usr/lib/python3.11/") and path.endswith(".py") and stat.S_ISREG(mode)):
            continue
        del tree[path]
        add_file(tree, f"{path}c", head + marshal.dumps(compile(source, f"/{path}", "exec", dont_inherit=True)))


def _kernel(deb: Path) -> tuple[bytes, dict[str, bytes]]:
    """The kernel and its modules by name."""
    kernel, modules = b"", {}
    for path, _, content in _members(deb):
        if path.startswith("boot/vmlinuz-"):
            kernel = content
        elif path.endswith(".ko"):
            modules[Path(path).stem.replace("-", "_")] = content
    return kernel, modules


def _add_modules(tree: Tree, modules: dict[str, bytes]) -> None:
    """Add the MODULES that this kernel has, and for each group a list in the order of loading."""
    for group, names in MODULES.items():
        order: list[str] = []
        for name in names:
            _load_order(name, modules, order)
        for name in order:
            add_file(tree, f"lib/modules/{name}.ko", modules[name])
        add_file(tree, f"lib/modules/{group}", "".join(f"/lib/modules/{name}.ko\n" for name in order).encode())


def _load_order(name: str, modules: dict[str, bytes], order: list[str]) -> None:
    if name in order or name not in modules:
        return                                     # of another flavour, or built into this kernel
    depends = re.search(rb"\0depends=([^\0]*)\0", modules[name])
    for needed in (depends.group(1).decode().split(",") if depends else []):
        _load_order(needed.replace("-", "_"), modules, order)
    order.append(name)


def _add_ours(tree: Tree) -> None:
    for directory in ("dev", "proc", "sys", "tmp", "run", "root", "srv/www", "etc/vswitch"):
        add_directory(tree, directory)
    add_file(tree, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    add_file(tree, "etc/hosts", b"127.0.0.1 localhost\n")
    # Not busybox's shell: it would prefer its own `ip` to the real one.
    add_link(tree, "bin/sh", "dash")
    add_link(tree, "usr/bin/python3", "python3.11")
    add_file(tree, "init", (TEMPLATES / "init").read_bytes(), 0o755)
    add_file(tree, "sbin/agent", (TEMPLATES / "agent").read_bytes(), 0o755)
    for script in (PROBE, TERMINAL):
        add_file(tree, f"usr/lib/vswitch/{script.name}", script.read_bytes())
