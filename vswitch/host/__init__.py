"""The outside world, one file for each mechanism of the kernel."""
