"""Topology files: YAML in, a validated `Topology` out, or every mistake with its file, line and column."""
