"""The gRPC side of the gateway."""

from __future__ import annotations

import grpc
from tritonclient.grpc import service_pb2_grpc

from headrace.errors import StartupError
from headrace.gateway.config import GatewayConfig
from headrace.gateway.v2.service import Service


async def start_grpc(service: Service, config: GatewayConfig) -> grpc.aio.Server:
    """Raises `StartupError` when its port is taken."""
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", config.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", config.max_header_bytes),
            ("grpc.absolute_max_metadata_size", config.max_header_bytes),
            ("grpc.max_concurrent_streams", 1024),
            ("grpc.so_reuseport", 0),
        ),
    )
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    try:
        server.add_insecure_port(f"{config.host}:{config.grpc_port}")
    except RuntimeError:
        raise StartupError(f"gateway.grpc_port: {config.grpc_port} is taken; choose another one") from None
    await server.start()
    return server
