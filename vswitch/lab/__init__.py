"""Plays the guests and the outside networks of a topology, as the caller, never inside vswitchd."""

from vswitch.lab.lab import Lab, labs

__all__ = ["Lab", "labs"]
