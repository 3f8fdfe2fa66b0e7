"""Kili projects as pandas frames."""

__version__ = "0.1.0"
