"""The base of every port driver; see port.pxd for the contract."""

import os


cdef class Gate:
    cdef change(self, DeviceChange change, void *argument):
        change(argument)


cdef class Port:
    kind = "none"

    def __cinit__(self, *arguments, **options):
        self.device = NULL
        self.fds = []
        self.poll_fd = -1
        self.driver.rx_burst = NULL
        self.driver.tx_burst = NULL
        self.driver.rx_done = NULL
        self.driver.rx_arm = NULL
        self.gate = Gate()

    def condition(self):
        """What the driver says of its peer: "" or `waiting` or `broken`, and a sentence for people."""
        return "", ""

    def has_gone(self):
        """Whether the device behind the file descriptors is no more, as far as the driver can tell without an error."""
        return False

    def overruns(self):
        """Frames that the kernel dropped before we read them, since the last call."""
        return 0

    def close(self):
        """Give every file descriptor back to the kernel; harmless the second time."""
        fds, self.fds = self.fds, []
        self.poll_fd = -1
        for fd in fds:
            os.close(fd)
