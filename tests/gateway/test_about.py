"""What is said of the models, as JSON."""

from __future__ import annotations

from tritonclient.grpc import service_pb2

from headrace.gateway.v2.about import as_json


def test_zeros_and_what_is_empty_are_written_and_messages_that_are_not_there_are_not() -> None:
    found = service_pb2.ModelStatisticsResponse()
    one = found.model_stats.add(name="assistant", inference_count=3)
    one.inference_stats.success.count = 3
    one.inference_stats.fail.SetInParent()
    one.response_stats["0"].success.count = 2
    (said,) = as_json(found)["model_stats"]
    assert said["inference_stats"] == {"success": {"count": 3, "ns": 0}, "fail": {"count": 0, "ns": 0}}
    assert (said["name"], said["version"], said["inference_count"], said["execution_count"]) == (
        "assistant",
        "",
        3,
        0,
    )
    assert said["batch_stats"] == []
    assert said["response_stats"] == {"0": {"success": {"count": 2, "ns": 0}}}


def test_of_several_forms_only_the_one_that_was_chosen_is_written() -> None:
    config = service_pb2.ModelConfigResponse().config
    said = as_json(config)
    assert said["max_batch_size"] == 0
    assert "ensemble_scheduling" not in said
    assert "dynamic_batching" not in said
