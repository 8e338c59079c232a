"""What `make bench-core` measures: one module an experiment, each called once a round."""
