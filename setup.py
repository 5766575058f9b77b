"""Compile the data plane: every .pyx below dataplane/ is one extension, found by name; nothing is registered by hand."""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

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

setup(
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
