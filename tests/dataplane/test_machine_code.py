"""The machine code of the packet path: not one call into Python.

`nogil` makes Cython refuse Python operations; this looks at what the compiler made of it.
"""

import re
import shutil
import subprocess

import pytest
from dataplane.switch import DEBUG

pytestmark = [
    pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump, of the Debian package binutils"),
    pytest.mark.skipif(DEBUG, reason="the path is that of the release build"),
]

# module -> functions that frames pass through; everything they call inside the module is looked at as well.
PATH = {
    "dataplane.worker": ["worker_run", "worker_serve_all", "serve_port"],
    "dataplane.ports.packet": ["packet_rx_burst", "packet_tx_burst"],
    "dataplane.ports.tun": ["tun_rx_burst", "tun_tx_burst"],
    "dataplane.ports.memory": ["memory_rx_burst", "memory_tx_burst"],
}
PYTHON = re.compile(r"^_?_?(Py|_Py|Pyx|pyx_pw)")


def functions(module: str) -> dict[str, str]:
    """The disassembled text of each function of an extension, with relocations, by symbol."""
    import importlib

    shown = subprocess.run(["objdump", "-d", "--no-show-raw-insn", importlib.import_module(module).__file__], capture_output=True,
                           text=True, check=True).stdout
    return dict(re.findall(r"^[0-9a-f]+ <([^>]+)>:\n((?:.+\n)*)", shown, re.M))


def called(text: str) -> set[str]:
    """What a function calls or jumps to, by name."""
    return {name.partition("@")[0] for name in re.findall(r"(?:call|jmp|j[a-z]+)\s+[0-9a-f]+ <([^>+]+)", text)}


def python_calls(code: dict[str, str], start: str) -> set[str]:
    """Names of Python functions that `start` reaches through calls inside its module."""
    seen, open_names, found = set(), {start}, set()
    while open_names:
        name = open_names.pop()
        seen.add(name)
        for other in called(code[name]):
            if PYTHON.match(other):
                found.add(other)
            elif other in code and other not in seen:
                open_names.add(other)
    return found


@pytest.mark.parametrize("module", PATH)
def test_the_packet_path_calls_no_python(module):
    code = functions(module)
    for name in PATH[module]:
        symbols = [symbol for symbol in code if re.search(rf"_{name}(\.|$)", symbol) and symbol.startswith("__pyx_f_")]
        assert symbols, f"{module} has no function {name}; was it renamed?"
        for symbol in symbols:
            assert not python_calls(code, symbol), f"{symbol} calls Python"


def test_a_call_into_python_would_be_seen():
    code = functions("dataplane.ports.packet")
    (method,) = [symbol for symbol in code if symbol.startswith("__pyx_pw_") and symbol.endswith("overruns")]
    assert python_calls(code, method)
