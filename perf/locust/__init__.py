"""Realistic users of the gateway, as locust runs them."""
