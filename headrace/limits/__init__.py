"""Limits per tenant: what a request may take at most is reserved before it runs, and settled after it."""
