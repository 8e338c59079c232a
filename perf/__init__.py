"""Measurements of a running stack. Development only: nothing in `headrace` imports it."""
