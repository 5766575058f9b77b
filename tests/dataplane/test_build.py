"""Which build is loaded: a release build must not pass for the debug one, whose checks the debug run is made for."""

import os

from dataplane.switch import DEBUG


def test_the_build_that_was_asked_for_is_loaded():
    assert (os.environ.get("VSWITCH_DEBUG") == "1") == DEBUG
