"""What a gateway does not load: a thousand streams have 200 MB."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "cryptography", "jwt", "redis", "tritonclient.grpc", "torch", "openvino")


def test_a_gateway_loads_nothing_heavy_that_it_may_not_need() -> None:
    imports = "import sys, headrace.gateway.cli, headrace.gateway.serve"
    code = f"{imports}; print([one for one in {HEAVY} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_who_imports_nvidias_client_afterwards_has_all_of_it_and_the_same_messages() -> None:
    code = """
from headrace.client.protocol import service_pb2
import tritonclient.grpc
from tritonclient.grpc import InferenceServerClient, model_config_pb2, service_pb2 as theirs
assert theirs.ModelInferRequest is service_pb2.ModelInferRequest
assert InferenceServerClient("127.0.0.1:1") and model_config_pb2.ModelConfig()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_who_has_imported_nvidias_client_before_has_the_same_messages_too() -> None:
    code = """
import tritonclient.grpc
from headrace.client.protocol import service_pb2
assert tritonclient.grpc.service_pb2 is service_pb2
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
