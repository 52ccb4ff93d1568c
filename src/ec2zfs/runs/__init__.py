"""The daily run: its stages, its lock and its report."""
