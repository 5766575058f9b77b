"""Who holds a TAP is looked up while processes come and go."""

import os
import subprocess
import threading

from vswitch.host import holders


def test_a_process_that_ends_meanwhile_is_passed_over(tmp_path, monkeypatch):
    for pid in ("1", "22", "333"):
        (tmp_path / pid / "fdinfo").mkdir(parents=True)
        (tmp_path / pid / "fdinfo" / "5").touch()
    (tmp_path / "self").mkdir()
    listed = os.listdir

    def ending(folder):
        if str(folder).endswith("22/fdinfo"):
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "listdir", ending)
    shown = sorted(str(path.relative_to(tmp_path)) for path in holders._descriptors(tmp_path))
    assert shown == ["1/fdinfo/5", "333/fdinfo/5"]


def test_looking_goes_on_beside_processes_that_end():
    """For real: it raised within a second or two of this."""
    is_over = threading.Event()

    def come_and_go():
        while not is_over.is_set():
            subprocess.run(["true"], check=True)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(30):
            assert holders.holders({"no-such-tap"}) == {}
    finally:
        is_over.set()
        thread.join()
