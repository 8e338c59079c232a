"""The bad inputs that every dialect has to stand: each has to be named in `coverage`, which may have more."""

from __future__ import annotations

_LISTED = {
    "SIZES": """4 MiB body with form content type; no content type; multipart; empty body; empty prompt; 1 byte;
        1, 2, 4, 8 MiB; 64 MiB; 100k tiny HTTP chunks; slow body; gzip bomb; 10 000 headers; 1M-token prompt;
        max_tokens 0, -1; max_tokens 2^31, 2^63, 1e309, "5", true""",
    "TEXT": """lone surrogate; overlong UTF-8; invalid bytes in BYTES tensor; NUL;
        U+FFFD, BOM, RTL marks, zero-width joiners, combining stacks; emoji families split over tokens;
        homoglyph slurs, leetspeak, base64 toxic text; 4 languages; </s> and chat-template tags in user text""",
    "JSON": """truncated; duplicate keys; 100k depth; huge number; NaN; shape [-1,1], [0,1], [1,1,1];
        count mismatch; wrong dtype; unknown input; missing input; extra parameters;
        reserved triton_ parameter names; duplicate output names""",
    "SAMPLING": """temperature NaN/-1/1e9; top_p 0 and 1.1; top_k -5; n=0/1000; seed beyond 64 bit;
        logit_bias of 1M entries; 1 000 stop words; empty stop word; stop word longer than the answer;
        stop split over tokens; regex bomb in guided grammar; recursive JSON schema""",
    "PROTOCOL": """disconnect before, during and after first token; half-close;
        cancel then reuse id, two live requests with one id; 1 000 idle streams; client that never reads;
        deadline 1 ms, in the past; wrong model version; load/unload during traffic; SIGTERM during stream;
        kill -9 of a stub; full /dev/shm; read-only repo; clock jump; redis down, slow; redis of the wrong type;
        cache entry from an older policy version""",
    "TENANCY": """no key, bad key; key in query; key of other tenant; header smuggling; X-Forwarded-For forging;
        two case variants of a header; budget race with 100 parallel calls; negative refund""",
    "GUARD": """toxic only in the second choice; toxic across chunk border; toxic after 10k clean tokens;
        toxic in tool-call arguments; toxic in logprobs; toxic in error text; toxic in cached answer;
        PII split over chunks; prompt that asks to echo the system prompt; prompt that makes the filter crash""",
}
LISTED = {name: [" ".join(item.split()) for item in items.split(";")] for name, items in _LISTED.items()}
