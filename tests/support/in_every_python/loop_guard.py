"""Notes every call that may wait on a thread that runs an event loop, with its stack, in the file $LOOP_GUARD_REPORT.

A vswitchd that waits on its loop's thread answers nobody meanwhile, and some libraries (pyroute2 0.9) refuse to work there
at all.  Python tells of files, sockets, processes and sleeps by audit events (PEP 578); waits for threads are wrapped.
Modules that are imported late and asyncio's own sockets, which never wait, are let pass.

tests/conftest.py installs it in the test run, sitecustomize.py in every Python that a test starts.
"""

import functools
import os
import sys
import threading
import traceback

REPORT = "LOOP_GUARD_REPORT"
MAY_WAIT = ("open", "socket.", "subprocess.", "fcntl.", "glob.", "shutil.", "tempfile.", "os.chmod", "os.chown",
            "os.fork", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "os.symlink",
            "os.system", "os.truncate", "os.posix_spawn", "ctypes.dlopen")
PASSERS_ON = ("/socket.py", "/selectors.py", "/pathlib.py", "/os.py", "/threading.py", "/concurrent/futures/")
noting = threading.local()


def install() -> None:
    sys.addaudithook(_hear)
    threading.Thread.join = _wrapped("Thread.join", threading.Thread.join)
    threading.Condition.wait = _wrapped("Condition.wait", threading.Condition.wait)
    import select
    import time

    time.sleep = _wrapped("time.sleep", time.sleep)
    select.select = _wrapped("select.select", select.select)
    select.poll = functools.partial(_wrapped("select.poll", select.poll))      # no method where a class keeps it


def _wrapped(name, function):
    def watched(*arguments, **options):
        if _runs_a_loop():
            _note(name, sys._getframe(1))
        return function(*arguments, **options)
    return watched


def _hear(event, arguments):
    _watch_loops()
    if event.startswith(MAY_WAIT) and _runs_a_loop():
        _note(f"{event} {arguments!r:.200}", sys._getframe(1))


def _watch_loops():
    """A loop that is run inside of another, as soon as there can be any: importing asyncio for this alone takes long."""
    module = sys.modules.get("asyncio.base_events")
    loop = getattr(module, "BaseEventLoop", None)
    if loop is not None and not hasattr(loop.run_until_complete, "is_watched"):
        loop.run_until_complete = _wrapped("run_until_complete", loop.run_until_complete)
        loop.run_until_complete.is_watched = True


def _runs_a_loop():
    module = sys.modules.get("_asyncio")
    loop_of_this_thread = getattr(module, "_get_running_loop", None)
    return loop_of_this_thread is not None and loop_of_this_thread() is not None


def _note(what, frame):
    if getattr(noting, "is_on", False) or _is_let_pass(frame) or REPORT not in os.environ:
        return
    noting.is_on = True
    try:
        stack = "".join(traceback.format_stack(frame))
        with open(os.environ[REPORT], "a") as report:
            report.write(f"process {os.getpid()} may wait on its event loop's thread: {what}\n{stack}\n")
    finally:
        noting.is_on = False


def _is_let_pass(frame):
    """Whether asyncio itself calls, or an import or the start of a thread does, or the loop is none of the product's."""
    is_ours, caller, runner = False, "", ""
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if "importlib" in file or "/linecache.py" in file or (name == "start" and file.endswith("/threading.py")):
            return True
        if not any(passer in file for passer in PASSERS_ON):
            caller = caller or file
        if runner == "asyncio" and "/asyncio/" not in file and file != __file__:
            runner = file              # whose loop it is: pyroute2 has one of its own in each thread
        elif not runner and name == "run_forever":
            runner = "asyncio"
        is_ours = is_ours or ("/vswitch/" in file and "/tests/" not in file)
        frame = frame.f_back
    return not is_ours or "/asyncio/" in caller or "/pyroute2/" in runner
