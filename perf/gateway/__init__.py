"""What `make bench-gateway` measures."""
