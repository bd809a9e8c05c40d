"""Imports of what other trackers kept. Not loaded by programs that only log."""
