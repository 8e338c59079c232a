"""Answers that were given before: kept with their pieces, replayed as a stream or whole."""
