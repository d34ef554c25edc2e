"""Chaos: a real queue under random blows, and the promises that must hold afterwards. See ``__main__.py``."""
