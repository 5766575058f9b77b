"""`python -m vswitch` is `vswitch`."""

from vswitch.cli import main

main()
