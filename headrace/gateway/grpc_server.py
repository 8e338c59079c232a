"""The gRPC side of the gateway."""

from __future__ import annotations

import grpc

from headrace.client.protocol import service_pb2_grpc
from headrace.errors import StartupError
from headrace.gateway.door import Door
from headrace.gateway.v2.about import About
from headrace.gateway.v2.gatekeeper import Gatekeeper
from headrace.gateway.v2.service import Service
from headrace.serving import listen

_IDLE_SECONDS = 75
"""How long a connection without a call is kept, as over HTTP. Clients open a new one by themselves."""
_PING_SECONDS, _PONG_SECONDS = 60, 20
"""Whether who has a call is still there."""


async def start_grpc(door: Door, about: About) -> grpc.aio.Server:
    """Raises `StartupError` when its port is taken."""
    config = door.config
    server = grpc.aio.server(
        interceptors=(Gatekeeper(door),),
        options=(
            ("grpc.max_receive_message_length", config.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", config.max_header_bytes),
            ("grpc.absolute_max_metadata_size", config.max_header_bytes),
            ("grpc.max_concurrent_streams", 1024),
            # On more than that it hangs up at once: each is a file, and files are what HTTP needs too.
            ("grpc.max_allowed_incoming_connections", config.max_grpc_connections),
            ("grpc.server_handshake_timeout_ms", round(config.read_seconds * 1000)),
            ("grpc.max_connection_idle_ms", _IDLE_SECONDS * 1000),
            # Else it takes in megabytes of a stream that is not read on.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.keepalive_time_ms", _PING_SECONDS * 1000),
            ("grpc.keepalive_timeout_ms", _PONG_SECONDS * 1000),
            ("grpc.so_reuseport", 0),
        ),
    )
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(door, about), server)
    try:
        server.add_insecure_port(f"{listen.grpc_address(config.host)}:{config.grpc_port}")
    except RuntimeError:
        raise StartupError(f"gateway.grpc_port: {config.grpc_port} is taken; choose another one") from None
    await server.start()
    return server
