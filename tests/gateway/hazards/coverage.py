"""Bad input → where it is tried. The tables behind the tests of this folder go through every dialect."""

from __future__ import annotations

_INPUTS = "gateway/hazards/test_inputs.py::"
_WIRE = "gateway/hazards/test_connections.py::"
_GRPC = "gateway/hazards/test_grpc_calls.py::"
_WHO = "gateway/hazards/test_tenancy.py::"
_REFUSED = f"{_INPUTS}test_it_is_refused_in_every_dialect"
_ANSWERED = f"{_INPUTS}test_it_is_answered_in_every_dialect_alike"
_JUDGED = f"{_INPUTS}test_the_guards_say_the_same_in_every_dialect"
_IN_JSON = f"{_INPUTS}test_a_value_that_only_json_can_hold"
_BODY = f"{_INPUTS}test_a_body_that_is_no_request"
_TENSOR = f"{_INPUTS}test_a_tensor_that_does_not_fit"
_OPENAI = f"{_INPUTS}test_what_openai_s_clients_alone_can_ask"
_KIND = f"{_WIRE}test_a_body_of_another_kind"
_LEAVES = f"{_WIRE}test_who_leaves_frees_the_engine"
_DEADLINE = f"{_GRPC}test_a_deadline_that_nothing_meets"
_DRILLS = "gateway/drills/"

SIZES = {
    "4 MiB body with form content type": _KIND,
    "no content type": f"{_WIRE}test_a_body_of_no_kind_is_read_where_triton_s_client_sends_it",
    "multipart": _KIND,
    "empty body": _BODY,
    "empty prompt": _REFUSED,
    "1 byte": _ANSWERED,
    "1, 2, 4, 8 MiB": _REFUSED,
    "64 MiB": f"{_WIRE}test_64_mib_are_not_read_to_their_end",
    "100k tiny HTTP chunks": f"{_WIRE}test_a_hundred_thousand_tiny_pieces",
    "slow body": f"{_WIRE}test_a_body_that_comes_byte_by_byte_has_an_end",
    "gzip bomb": _KIND,
    "gzip bomb over gRPC": f"{_GRPC}test_a_bomb_that_is_small_on_the_wire",
    "10 000 headers": "gateway/test_edges_live.py::test_ten_thousand_headers",
    "10 000 trailers": f"{_WIRE}test_a_trailer_is_no_header",
    "10 000 pairs of metadata": f"{_GRPC}test_too_much_metadata",
    "1M-token prompt": _REFUSED,
    "max_tokens 0, -1": _REFUSED,
    'max_tokens 2^31, 2^63, 1e309, "5", true': _IN_JSON,
}
TEXT = {
    "lone surrogate": f"{_INPUTS}test_escapes_that_are_no_character",
    "overlong UTF-8": f"{_INPUTS}test_bytes_that_are_no_text",
    "invalid bytes in BYTES tensor": f"{_INPUTS}test_bytes_that_are_no_text",
    "NUL": _REFUSED,
    "U+FFFD, BOM, RTL marks, zero-width joiners, combining stacks": _ANSWERED,
    "emoji families split over tokens": "unit/test_text.py::test_a_stop_string_across_tokens_and_characters",
    "homoglyph slurs, leetspeak, base64 toxic text": _JUDGED,
    "4 languages": _ANSWERED,
    "</s> and chat-template tags in user text": _JUDGED,
}
JSON = {
    "truncated": _BODY,
    "duplicate keys": f"{_INPUTS}test_of_a_key_that_stands_twice_the_last_counts",
    "100k depth": _BODY,
    "huge number": _IN_JSON,
    "NaN": _REFUSED,
    "shape [-1,1], [0,1], [1,1,1]": _TENSOR,
    "count mismatch": _TENSOR,
    "wrong dtype": _TENSOR,
    "unknown input": _REFUSED,
    "missing input": _REFUSED,
    "extra parameters": f"{_INPUTS}test_what_infer_may_say_besides",
    "reserved triton_ parameter names": f"{_GRPC}test_what_is_not_served",
    "duplicate output names": f"{_INPUTS}test_what_infer_may_say_besides",
    "duplicate inputs": f"{_INPUTS}test_an_input_that_is_there_twice_is_refused",
}
SAMPLING = {
    "temperature NaN/-1/1e9": _REFUSED,
    "top_p 0 and 1.1": _REFUSED,
    "top_k -5": _REFUSED,
    "n=0/1000": _OPENAI,
    "seed beyond 64 bit": _IN_JSON,
    "logit_bias of 1M entries": f"{_INPUTS}test_a_million_biases_are_too_big",
    "1 000 stop words": _ANSWERED,
    "empty stop word": _REFUSED,
    "stop word longer than the answer": _ANSWERED,
    "stop split over tokens": (
        "unit/test_text.py::test_stop_strings_are_cut_as_by_the_reference_whatever_the_pieces"
    ),
    "regex bomb in guided grammar": _REFUSED,
    "recursive JSON schema": _REFUSED,
}
PROTOCOL = {
    "disconnect before, during and after first token": _LEAVES,
    "the same over gRPC": f"{_GRPC}test_who_cancels_frees_the_engine",
    "disconnect with a pipelined request behind": (
        f"{_WIRE}test_who_leaves_with_a_second_request_behind_frees_the_engine"
    ),
    "half-close": f"{_WIRE}test_who_has_said_all_and_half_closes_is_taken_for_gone",
    "cancel then reuse id, two live requests with one id": (
        f"{_GRPC}test_an_id_can_be_used_again_and_twice_at_once"
    ),
    "1 000 idle streams": (
        f"{_DRILLS}test_many_streams.py::test_a_thousand_idle_streams_take_little_memory_and_starve_nobody"
    ),
    "client that never reads": f"{_DRILLS}test_slow_readers.py::test_who_does_not_read_is_cut_off_and_recorded",
    "client that sends without end": f"{_WIRE}test_who_sends_without_end_and_reads_nothing_is_hung_up_on",
    "deadline 1 ms, in the past": _DEADLINE,
    "wrong model version": f"{_GRPC}test_a_version_that_is_not_there",
    "load/unload during traffic": "gateway/test_triton_live.py::test_no_administration_is_there",
    "SIGTERM during stream": f"{_DRILLS}test_shutdown.py::test_sigterm_loses_nothing",
    "kill -9": f"{_DRILLS}test_killed_parts.py::test_clients_are_told_and_served_again",
    "kill -9 of a stub": "serving/test_live_recovery.py::test_a_killed_step",
    "read-only repo": "serving/test_repository.py::test_a_repository_that_is_read_only_has_copies_that_are_not",
    "full /dev/shm": "serving/test_checks.py::test_shared_memory_that_is_missing_or_small",
    "clock jump": f"{_DRILLS}test_clock_jumps.py::test_limits_neither_open_nor_lock",
    "redis down, slow": f"{_DRILLS}test_redis_outage.py::test_closed_refuses_while_redis_is_away",
    "redis of the wrong type": (
        "limits/test_redis_drills.py::test_a_key_of_the_wrong_type_is_named_and_concerns_one_tenant"
    ),
    "cache entry from an older policy version": "gateway/test_exchange.py::test_a_new_policy_file_is_a_new_cache",
    "request smuggling": f"{_WIRE}test_a_head_that_others_may_read_differently",
    "an offer of another protocol": f"{_WIRE}test_an_offer_of_another_protocol_is_not_taken_and_changes_nothing",
    "pipelined requests": f"{_WIRE}test_requests_that_do_not_wait_are_answered_in_their_order",
    "bytes that are no message": f"{_GRPC}test_bytes_that_are_no_message",
}
TENANCY = {
    "no key, bad key": f"{_WHO}test_who_is_not_known_is_refused",
    "key in query": f"{_WHO}test_a_key_in_the_address_is_refused_by_every_address",
    "key of other tenant": f"{_WHO}test_who_is_not_known_is_refused",
    "header smuggling": f"{_WIRE}test_a_trailer_is_no_header",
    "X-Forwarded-For forging": f"{_WHO}test_who_is_not_known_is_refused",
    "two case variants of a header": f"{_WHO}test_two_headers_of_one_name_are_refused_however_they_are_written",
    "budget race with 100 parallel calls": (
        "gateway/test_exchange.py::test_a_hundred_at_once_pass_no_limit_by_one_token"
    ),
    "negative refund": "limits/test_store.py::test_less_than_nothing_is_refused",
}
GUARD = {
    "toxic only in the second choice": (
        "triton/test_guarded.py::test_the_second_of_two_choices_is_judged_for_itself"
    ),
    "toxic across chunk border": "guard/test_answer.py::test_a_stream_shows_what_the_whole_answer_shows",
    "toxic after 10k clean tokens": (
        "triton/test_guarded.py::test_after_ten_thousand_clean_characters_it_is_caught"
    ),
    "toxic in tool-call arguments": _OPENAI,
    "toxic in logprobs": "guard/test_log_probs.py::test_redacted_text_is_in_no_token_of_a_stream",
    "toxic in error text": f"{_INPUTS}test_an_error_repeats_no_text_that_was_sent",
    "toxic in cached answer": "triton/test_guard_policies.py::test_a_new_policy_judges_the_same_request_anew",
    "PII split over chunks": "triton/test_guarded.py::test_no_digit_of_a_number_that_is_to_be_redacted_leaves",
    "prompt that asks to echo the system prompt": _JUDGED,
    "prompt that makes the filter crash": "triton/test_guarded.py::test_strange_texts_are_judged_in_time",
    "an attack": f"{_INPUTS}test_an_attack_is_stopped_in_every_dialect",
}
