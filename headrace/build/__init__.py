"""Set-up: fetches the pinned parts and builds the default model. `python -m headrace.build` runs it."""
