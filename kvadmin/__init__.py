"""kvadmin: the wiring, the words, and everything that leaves the building."""

__version__ = "0.1.0"
