"""The governed front door: three dialects, one way of a request (`pipeline.py`)."""
