"""Attacks and harmless look-alikes against a live server: `make redteam`."""
