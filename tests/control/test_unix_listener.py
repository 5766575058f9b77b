"""A socket in a folder that belongs to another user: nothing else is touched, whatever that user puts in its place."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from vswitch import unix_listener
from vswitch.errors import HostError
from vswitch.folders import NotOursError, folder
from vswitch.host import vhost_sockets
from vswitch.unix_listener import listen

ME = os.geteuid()


@pytest.fixture
def place():
    """A folder of ours, and a file beside it that must stay as it is."""
    with tempfile.TemporaryDirectory(prefix="vs-") as name:
        root = Path(name)
        (root / "vm").mkdir(mode=0o755)
        (root / "secret").write_text("root:secret")
        (root / "secret").chmod(0o600)
        yield root


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def test_a_socket_is_there_with_its_mode_and_nothing_beside_it(place):
    fd = listen(str(place / "vm/web.sock"), ME)
    about = os.lstat(place / "vm/web.sock")
    assert (stat.S_ISSOCK(about.st_mode), stat.S_IMODE(about.st_mode), about.st_uid) == (True, 0o660, ME)
    assert os.listdir(place / "vm") == ["web.sock"]
    with connected(place / "vm/web.sock") as client:
        assert client.getpeername() == str(place / "vm/web.sock")
    os.close(fd)


def test_a_way_that_its_owner_could_exchange_is_gone_by_what_we_hold(place):
    if ME:
        pytest.skip("needs root, to make a folder of another user")
    (place / "vm/in").mkdir()
    for name in ("vm/in", "vm"):
        os.chown(place / name, 1234, -1)
    fd = listen(str(place / "vm/in/web.sock"), 1234)
    with connected(place / "vm/in/web.sock") as client:
        assert client.getpeername().startswith("/proc/self/fd/")
    os.close(fd)


@pytest.mark.parametrize("swaps", ["chown", "chmod", "open"])
def test_what_is_swapped_in_for_the_socket_is_never_touched(place, monkeypatch, swaps):
    """At the moment between two steps the folder's owner puts a link to a file of root's where the socket is to be."""
    link = place / "vm/web.sock"
    seen = []
    step = getattr(os, swaps)

    def run(*arguments, **options):
        if os.path.lexists(link) and not link.is_symlink():
            link.unlink()
            link.symlink_to(place / "secret")
            seen.append(arguments)
        return step(*arguments, **options)

    monkeypatch.setattr(os, swaps, run)
    before = os.stat(place / "secret")
    with pytest.raises(HostError, match="something else has been put in the place"):
        listen(str(link), ME)
    after = os.stat(place / "secret")
    assert seen
    assert (after.st_uid, after.st_mode, after.st_nlink) == (before.st_uid, before.st_mode, before.st_nlink)


@pytest.mark.skipif(ME != 0, reason="needs root, to be another user's root")
def test_the_owner_of_the_folder_who_exchanges_names_as_fast_as_possible_gets_nothing(place):
    """As an attacker would: 300 listens against a thread that swaps whatever appears for a link."""
    (place / "vm").chmod(0o755)
    os.chown(place / "vm", 65534, 65534)
    secret, is_over = place / "secret", threading.Event()

    def swap():
        while not is_over.is_set():
            for name in os.listdir(place / "vm"):
                try:
                    os.symlink(secret, place / "vm/evil")
                    os.rename(place / "vm/evil", place / "vm" / name)
                except OSError:
                    pass
            for name in os.listdir(place / "vm"):
                try:
                    os.unlink(place / "vm" / name)
                except OSError:
                    pass

    before = os.stat(secret)
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            try:
                os.close(listen(str(place / "vm/web.sock"), 65534))
            except HostError:
                pass
    finally:
        is_over.set()
        thread.join()
    after = os.stat(secret)
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_that_others_may_write_to_is_refused_and_the_message_helps(place, mode, monkeypatch):
    monkeypatch.setattr("vswitch.folders._is_private", lambda group, user: False)
    (place / "vm").chmod(mode)
    with pytest.raises(HostError, match=r"others may write to the folder .*vm.*chmod go-w"):
        listen(str(place / "vm/web.sock"), ME)
    assert os.listdir(place / "vm") == []
    (place / "vm").chmod(0o755)                      # the control
    os.close(listen(str(place / "vm/web.sock"), ME))


@pytest.mark.parametrize("above", [False, True])
def test_a_folder_of_a_third_user_is_refused(place, above):
    if ME:
        pytest.skip("needs root, to make a folder of another user")
    (place / "vm/in").mkdir()
    os.chown(place / ("vm" if above else "vm/in"), 1234, -1)
    with pytest.raises(HostError, match="chown root"):
        listen(str(place / "vm/in/web.sock"), ME)
    os.close(listen(str(place / "vm/in/web.sock"), 1234))            # the control: it is the guest's own


def test_a_link_on_the_way_that_another_user_may_have_made_is_not_followed(place):
    if ME:
        pytest.skip("needs root, to make a folder of another user")
    (place / "vm/to").symlink_to(place)
    os.chown(place / "vm", 1234, -1)
    for path in ("vm/to/web.sock", "vm/to/new/web.sock"):
        with pytest.raises(HostError, match="symbolic link"):
            listen(str(place / path), 1234)
    assert sorted(os.listdir(place)) == ["secret", "vm"]
    os.chown(place / "vm", 0, -1)                    # the control: only root could have put it there
    os.close(listen(str(place / "vm/to/new/web.sock"), 1234))
    assert (place / "new/web.sock").exists()


def test_links_without_an_end_end(place):
    (place / "vm/a").symlink_to("b")
    (place / "vm/b").symlink_to("a")
    with pytest.raises(NotOursError), folder(place / "vm/a"):
        pass


def test_who_listens_is_never_taken_away_and_who_is_dead_is(place):
    path = place / "vm/web.sock"
    fd = listen(str(path), ME)
    with pytest.raises(HostError, match="somebody listens there"):
        listen(str(path), ME)
    os.close(fd)
    os.close(listen(str(path), ME))


def test_a_listener_that_a_link_leads_to_is_not_called(place):
    """vswitchd would call as root."""
    with socket.socket(socket.AF_UNIX) as victim:
        victim.bind(str(place / "victim"))
        victim.listen()
        victim.setblocking(False)
        (place / "vm/web.sock").symlink_to(place / "victim")
        with pytest.raises(HostError, match="is not a socket"):
            listen(str(place / "vm/web.sock"), ME)
        with pytest.raises(BlockingIOError):
            victim.accept()


def test_a_file_that_is_no_socket_stays(place):
    with pytest.raises(HostError, match="not a socket"):
        listen(str(place / "secret"), ME)
    assert (place / "secret").read_text() == "root:secret"


def test_only_a_socket_is_removed_and_only_the_one_that_was_made(place):
    path = place / "vm/web.sock"
    fd = listen(str(path), ME)
    made = os.lstat(path)
    os.close(fd)
    (place / "vm/link").symlink_to("web.sock")
    for kept in (place / "secret", place / "vm/link", place / "not/there"):
        unix_listener.remove(str(kept))
    assert sorted(os.listdir(place / "vm")) == ["link", "web.sock"]
    unix_listener.remove(str(path), os.lstat(place / "secret"))
    assert path.exists()
    unix_listener.remove(str(path), made)
    assert not path.exists()


@pytest.mark.parametrize("path", ["x" * 300, "/" + "y" * 200, "/tmp/\0a", "/tmp/\udc80\ud800/x"])
def test_a_path_that_cannot_be_is_an_error_in_words(path):
    with pytest.raises(HostError, match="cannot listen at"):
        listen(path, ME)
    unix_listener.remove(path)
    assert vhost_sockets.connect(path) is None
