"""What the words of a command line name: a topology, a guest, a port.  The same in every command.

A topology is its NAME, if it is up, or its FILE; without a word, the only topology file of this directory, else the only
topology that is up.  A port is `guest.nic`, an uplink or `host.NAME`; a guest with one nic stands for its port.  A word that
names nothing is an error with the closest spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import rich_click as click

from vswitch.cli import _progress
from vswitch.cli._run_dir import run_dir
from vswitch.daemon.client import Client
from vswitch.errors import DaemonError, UsageError
from vswitch.lab import labs
from vswitch.topology import Topology, load, loads
from vswitch.topology.mistakes import did_you_mean
from vswitch.topology.model import Port

HEAD = 64 * 1024                   # octets in which `schema:` must be found
WORD = "NAME|FILE"

topology_argument: Callable[[Any], Any] = click.argument("topology", metavar=f"[{WORD}]", required=False)
topology_option: Callable[[Any], Any] = click.option("-t", "--topology", metavar=WORD, help="Only this topology.")
of_topology_option: Callable[[Any], Any] = click.option(
    "-t", "--topology", "-f", "--file", "topology", metavar=WORD,
    help="The topology of the guest; by default the one that is up with a guest of this name, else the only file of this "
         "directory.")


def client() -> Client:
    daemon = Client(run_dir())
    daemon.on_progress = _progress.shown
    return daemon


def is_file(word: str) -> bool:
    """Whether `word` means a file: by its ending or a slash in it, or because there is one of that name."""
    return Path(word).suffix in (".yaml", ".yml") or "/" in word or Path(word).is_file()


def find_file(word: str | None) -> str:
    """The file that `word` means: itself, or the one from which the topology of that name was brought up."""
    if word is None:
        return _only_file()
    if is_file(word):
        return word
    return str(_row_of(word)["file"])


def topology_named(word: str | None) -> Topology:
    """What `word` means: the file, or the topology of that name as it is up."""
    if word is not None:
        return load(word) if is_file(word) else _as_it_is_up(word)
    files, up = _files(), names_up()
    if len(files) != 1 and len(up) == 1:
        return _as_it_is_up(up[0])
    return load(_only_file())


def topology_with(word: str | None, topology: str | None) -> Topology:
    """The topology that has the guest or port `word`: the named one, else the one that is up, else the only file here."""
    if topology is not None or word is None:
        return topology_named(topology)
    having = [one for name in names_up() if _has(one := _as_it_is_up(name), word)]
    if len(having) > 1:
        names = " and ".join(one.name for one in having)
        raise UsageError(f"`{word}` is in {names}; say which with --topology NAME")
    return having[0] if having else topology_named(None)


def name_of(word: str) -> str:
    """The name of the topology that `word` means."""
    if not is_file(word):
        return word
    if not Path(word).exists():
        raise UsageError(f"{word}: no such file; give the name of the topology, or its file")
    return load(word).name


def name_up(word: str | None) -> str | None:
    """The name of a topology that is up; UsageError when there is no such topology.  None stays None."""
    if word is None:
        return None
    name = name_of(word)
    if name not in names_up():
        raise unknown_topology(name)
    return name


def rows_of(read: Callable[[str | None], list[dict[str, Any]]], topology: str | None) -> list[dict[str, Any]]:
    """What `read` answers about `topology`; an empty answer about a topology that is not up is a UsageError."""
    rows = read(name_of(topology) if topology else None)
    if not rows:
        name_up(topology)
    return rows


def name_of_unconfirmed(word: str | None) -> str:
    """The topology that `word` means, or the only one that waits for its confirmation; a vswitchd that died is followed."""
    client().ensure_daemon()
    if word is not None:
        return str(name_up(word))
    waiting = [row["name"] for row in client().topologies() if row["unconfirmed"]]
    if len(waiting) != 1:
        raise UsageError(f"several changes wait for a confirmation; name the topology: {' or '.join(waiting)}" if waiting
                         else "nothing to confirm or to roll back; `vswitch up --confirm SECONDS` opens such a window")
    return str(waiting[0])


def unknown_topology(name: str) -> UsageError:
    """The error for a topology that is not up."""
    known = {*names_up(), *labs(run_dir())}
    return UsageError(f"no topology `{name}` is up; {did_you_mean(name, known)}" if known
                      else f"no topology `{name}` is up, nor any other; `vswitch up FILE` brings one up")


def ports_named(topology: Topology, word: str | None, roles: Iterable[str] = ("guest",)) -> list[Port]:
    """The ports that `word` means, all of a guest's or one by its name; without a word, all with one of `roles`."""
    if word is None:
        return [port for port in topology.ports.values() if port.role in roles]
    if word in topology.guests:
        return [topology.ports[name] for name in topology.guests[word].ports]
    port = topology.ports.get(word)
    if port is not None and port.role in roles:
        return [port]
    known = [*topology.guests, *(port.name for port in topology.ports.values() if port.role in roles)]
    what = "a guest or a guest's port" if tuple(roles) == ("guest",) else "a guest or a port"
    raise UsageError(f"`{word}` is not {what} of {topology.name}; {did_you_mean(word, known)}")


def port_named(topology: Topology, word: str) -> Port:
    """The one guest port that `word` means."""
    ports = ports_named(topology, word)
    if len(ports) > 1:
        raise UsageError(f"guest `{word}` has {len(ports)} ports; name one: {', '.join(port.name for port in ports)}")
    return ports[0]


def _has(topology: Topology, word: str) -> bool:
    return word in topology.guests or word in topology.ports


def _as_it_is_up(name: str) -> Topology:
    """The topology `name` as it was last brought up, which may be older than its file."""
    row = _row_of(name)
    return loads(client().text(name), row["file"])


def _row_of(name: str) -> dict[str, Any]:
    for row in client().topologies():
        if row["name"] == name and row["file"]:
            return row
    raise unknown_topology(name)


def names_up() -> list[str]:
    """What is up; nothing when no vswitchd runs, or none that we may ask."""
    try:
        return [str(row["name"]) for row in client().topologies()]
    except DaemonError:
        return []


def _only_file() -> str:
    """The single *.yaml of the current directory that says `schema: vswitch/v1`."""
    found = _files()
    if not found:
        others = sorted(path.name for path in Path().glob("*.y*ml"))[:4]
        hint = f" ({', '.join(others)}: without a line `schema: vswitch/v1`)" if others else ""
        raise UsageError(f"no topology file here{hint}; name one, or write one with `vswitch init`")
    if len(found) > 1:
        raise UsageError(f"several topology files here ({', '.join(found)}); name one")
    return found[0]


def _files() -> list[str]:
    return sorted(path.name for path in Path().glob("*.y*ml") if path.suffix in (".yaml", ".yml") and _is_ours(path))


def _is_ours(path: Path) -> bool:
    try:
        if not path.is_file():                       # a pipe or a device would keep us waiting, or never end
            return False
        with path.open("rb") as stream:
            return re.search(rb"^schema:\s*['\"]?vswitch/v", stream.read(HEAD), re.MULTILINE) is not None
    except OSError:
        return False
