"""Where vswitchd keeps what: every path below the run directory, in one place.

    vswitchd.sock  vswitchd.pid  vswitchd.log      the API, who serves it, and its words
    events.json                                    what was noticed (`journal.py`)
    state/TOPOLOGY.json                            what was asked for (`records.py`)
    dataplane/TOPOLOGY/SWITCH.sock, .log           the door of a data plane, and its words
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vswitch.errors import RefusedError

SUN_PATH_MAX = 107                 # octets of a socket's path (unix(7)), without the final zero


@dataclass(frozen=True)
class Places:
    run_dir: Path

    @property
    def socket(self) -> Path:
        return self.run_dir / "vswitchd.sock"

    @property
    def pid_file(self) -> Path:
        return self.run_dir / "vswitchd.pid"

    @property
    def log(self) -> Path:
        return self.run_dir / "vswitchd.log"

    @property
    def events(self) -> Path:
        return self.run_dir / "events.json"

    @property
    def starter_lock(self) -> Path:
        """Held by the command that is starting a vswitchd."""
        return self.run_dir / "vswitchd.starting"

    @property
    def state(self) -> Path:
        return self.run_dir / "state"

    def record(self, topology: str) -> Path:
        """What was asked for under a topology's name."""
        return self.state / f"{topology}.json"

    @property
    def dataplanes(self) -> Path:
        return self.run_dir / "dataplane"

    def make(self) -> None:
        """Make the folders; only root looks into those of the data planes and of the state."""
        self.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in (self.state, self.dataplanes):
            folder.mkdir(mode=0o700, exist_ok=True)

    def door(self, topology: str, switch: str) -> Path:
        """The listening socket of a data plane."""
        path = self.dataplanes / topology / f"{switch}.sock"
        if len(os.fsencode(path)) > SUN_PATH_MAX:
            raise RefusedError(f"the socket path {path} is over {SUN_PATH_MAX} octets; "
                               "choose shorter names, or a shorter $VSWITCH_RUN")
        return path

    def doors(self) -> list[tuple[str, str]]:
        """(topology, switch) of every data plane's socket that is there."""
        return [(path.parent.name, path.stem) for path in sorted(self.dataplanes.glob("*/*.sock"))]
