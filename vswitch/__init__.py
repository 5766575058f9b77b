"""vswitch: declared, isolated virtual switches for the QEMU guests of one Linux host."""

__version__ = "0.1.0"
