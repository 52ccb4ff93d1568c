"""Where a command runs: here or over ssh; the only place that starts processes."""
