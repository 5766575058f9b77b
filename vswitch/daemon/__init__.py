"""vswitchd: supervisor of data planes, API server, metrics, events, state on disk."""
