"""Python imports this at its start when this folder is on its path: the guard comes along into every vswitchd of a test."""

import os

if "LOOP_GUARD_REPORT" in os.environ:
    import loop_guard

    loop_guard.install()
if "LOOP_GUARD_PLANT" in os.environ:             # a mistake that a test makes on purpose
    with open(os.environ["LOOP_GUARD_PLANT"]) as planted:
        exec(compile(planted.read(), planted.name, "exec"))
