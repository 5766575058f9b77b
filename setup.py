"""Compile the data plane: every .pyx below dataplane/ is one extension, found by name; nothing is registered by hand."""

import os
import re
import sys
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

DEBUG = os.environ.get("VSWITCH_DEBUG") == "1"
COVERAGE = os.environ.get("VSWITCH_COVERAGE") == "1"  # which lines of the .pxd files run: gcov counts them
HARDEN = ["-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-fcf-protection", "-fno-strict-aliasing"]
# The packet path is one function in a dozen files; gcc's own limits leave calls per frame in it (5 % of the core alone).
INLINE = [f"--param={name}" for name in ("max-inline-insns-single=2000", "inline-unit-growth=500", "large-function-growth=2000",
                                         "large-function-insns=20000")]
CFLAGS = (
    ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-DVSWITCH_DEBUG=1"]
    if DEBUG
    else ["-O3", "-g1", "-march=x86-64-v2", "-mprfchw", *INLINE, *HARDEN]
)
if COVERAGE:
    CFLAGS = ["-O0", "--coverage"]
# A wheel must run on any x86-64 of the last decade: v2 has SSE4.2 and no AVX.  PREFETCHW does nothing where it is unknown.
CFLAGS += ["-std=gnu11", "-Wall"]
# What Cython's own output trips over.
CFLAGS += [f"-Wno-{name}" for name in ("unused-function", "unused-variable", "unreachable-code", "unused-result", "sign-compare")]
LDFLAGS = ["--coverage"] if COVERAGE else ["-fsanitize=address,undefined"] if DEBUG else ["-Wl,-z,relro,-z,now"]

HEADERS = sorted(glob("dataplane/**/*.pxd", recursive=True) + glob("tests/fuzz/*.pxd") + glob("dataplane/**/*.h", recursive=True))
SOURCES = sorted(glob("dataplane/**/*.pyx", recursive=True))  # a new driver is a new file, nothing to register
DATA_PLANE = list(SOURCES)
if os.environ.get("VSWITCH_BENCHES") == "1":  # the benches build their traffic generator in place; it is never installed
    SOURCES += sorted(glob("benches/**/*.pyx", recursive=True))
if "--inplace" in sys.argv:  # whoever builds in place develops; a wheel has no tests in it
    SOURCES += sorted(glob("tests/fuzz/*.pyx"))

# Only here: an inline body in a .pxd obeys the global directives, never a `# cython:` line of the .pyx that cimports it.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
}

IMPORTED = re.compile(r"^\s*(?:from|import) (dataplane[\w.]*)(?! *cimport|[\w.])", re.MULTILINE)
DECLARED = re.compile(r"^(?:cdef|cpdef) (?!inline|extern|struct|union|enum)", re.MULTILINE)      # its body is in the .pyx
DRIVERS = re.compile(r"^DRIVERS = \((.*)\)", re.MULTILINE)


def missing_modules() -> list[str]:
    """What the data plane needs in order to start and is not here: modules that it imports, declares or loads as drivers."""
    texts = {name: Path(name).read_text() for name in (*DATA_PLANE, *HEADERS, *glob("dataplane/**/*.py", recursive=True))}
    needed = {name.replace(".", "/") for text in texts.values() for name in IMPORTED.findall(text)}
    needed |= {name.removesuffix(".pxd") for name, text in texts.items()
               if name.startswith("dataplane") and name.endswith(".pxd") and DECLARED.search(text)}
    needed |= {"dataplane/ports/" + word.strip(' "') for text in texts.values() for words in DRIVERS.findall(text)
               for word in words.split(",")}
    return sorted(name for name in needed if not (Path(name).is_dir() or {f"{name}.pyx", f"{name}.py"} & texts.keys()))


if not DATA_PLANE or missing_modules():
    sys.exit("setup.py: the sources of the data plane are not complete "
             f"({', '.join(missing_modules()) or 'no dataplane/**/*.pyx at all'}), and without it nothing moves a frame; "
             "build from a checkout, or from a source distribution that has every dataplane/**/*.pyx")


class FreshBuildPy(build_py):
    """Nothing that an earlier build has left goes into a wheel: neither what was renamed since nor the tests' modules."""

    def run(self) -> None:
        if not self.editable_mode:
            compiled = {name.removesuffix(".pyx") for name in DATA_PLANE}
            for path in Path(self.build_lib).rglob("*"):
                name = path.relative_to(self.build_lib)
                if path.is_file() and not (path.suffix == ".so" and str(name).split(".")[0] in compiled):
                    path.unlink()
        super().run()


setup(
    cmdclass={"build_py": FreshBuildPy},
    ext_modules=cythonize(
        [
            Extension(
                name.removesuffix(".pyx").replace("/", "."),
                [name],
                include_dirs=["dataplane/sys"],
                depends=HEADERS,
                extra_compile_args=CFLAGS,
                extra_link_args=LDFLAGS,
            )
            for name in SOURCES
        ],
        compiler_directives=DIRECTIVES,
        build_dir="build/cython",
        emit_linenums=COVERAGE,
    )
)
