"""What `make bench-guard` measures."""
