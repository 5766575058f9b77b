"""The outside world, one file for each mechanism of the kernel.

    observe(namespace)           what interfaces there are
    perform(step)                one step of a plan
    perform_some(steps)          the first of them, and what goes in the same go
    open_port(step)              the file descriptors that a data plane moves a port's frames by
    watch_links(namespace, told) carriers that come and go
"""

from vswitch.host.links import LinkWatch, watch_links
from vswitch.host.observe import carrier, observe
from vswitch.host.perform import open_port, perform, perform_some
from vswitch.host.shield import MARK
from vswitch.host.taps import has_group, has_user

__all__ = ["MARK", "LinkWatch", "carrier", "has_group", "has_user", "observe", "open_port", "perform", "perform_some",
           "watch_links"]
