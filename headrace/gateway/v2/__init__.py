"""Triton's dialects: the Open Inference Protocol (KServe v2) over HTTP and gRPC, with Triton's extensions."""
