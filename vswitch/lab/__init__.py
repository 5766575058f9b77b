"""Plays the guests and the outside networks of a topology, as the caller, never inside vswitchd."""
