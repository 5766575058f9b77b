# Each target does its own set-up and is quick the second time.
# VENV may name another virtual environment; SUDO is used only for Debian packages.

VENV   ?= .venv
PYTHON ?= python3
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
GUESTS ?= namespaces

APT_BUILD = gcc python3-dev python3-venv
APT_RUN   = iproute2 nftables iputils-ping
APT_QEMU  = qemu-system-x86 busybox-static linux-image-cloud-amd64 cpio zstd
SOURCES   = setup.py $(shell find dataplane -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.PHONY: demo test test-long bench bench-full debug lint mutants fuzz clean
