"""What OpenAI's clients send, typed. Fields that we know and cannot serve are refused by name.

The reference is OpenAI's API reference of chat completions and completions; `top_k`, `min_tokens` and
`repetition_penalty` are the field's usual additions, `guard_policy` is our own.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic_core import PydanticCustomError

MOST_CHOICES = 16
Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


_TOOLS = "describe the tools in a message and ask for JSON by response_format"
_TEXT_ONLY = "this model reads and writes text"


def refusal(field: str, problem: str) -> PydanticCustomError:
    """Of a whole object, for one of its fields."""
    return PydanticCustomError("of_field", "{problem}", {"field": field, "problem": problem})


class _Body(BaseModel):
    """Of the right JSON types: `"5"` is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    NOT_SERVED: ClassVar[dict[str, str]] = {}
    """Field → what to do instead. Sent as null or empty they ask for nothing."""

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_not_served(cls, body: Any) -> Any:
        if not isinstance(body, dict) or not cls.NOT_SERVED:
            return body
        for field, instead in cls.NOT_SERVED.items():
            if field in body and body[field] not in (None, [], {}, False, 0, "none", "auto"):
                raise refusal(field, f"not served; {instead}")
        return {name: value for name, value in body.items() if name not in cls.NOT_SERVED}


class StreamOptions(_Body):
    include_usage: bool = False
    include_obfuscation: bool = False
    """Padding against those who read lengths on the wire; there is none."""


class JsonSchema(_Body):
    name: str
    schema_: dict[str, JsonValue] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(_Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_where_one_is_named(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is sent with the type json_schema, and only with it")
        return self


class TextPart(_Body):
    type: Literal["text"]
    text: str


class ChatMessage(_Body):
    """As it is sent, or as an answer had it."""

    NOT_SERVED = {
        "annotations": "leave it out",
        "audio": _TEXT_ONLY,
        "function_call": _TOOLS,
        "refusal": "leave it out",
        "tool_calls": _TOOLS,
    }

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None


class Generation(_Body):
    """What both kinds of completions take."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    stop: str | list[str] | None = None
    seed: Seed | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    min_tokens: int | None = Field(None, ge=0, le=2**31 - 1)
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    guard_policy: str | None = None

    @field_validator("stream", "n", mode="before")
    @classmethod
    def _default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value

    @model_validator(mode="after")
    def _options_of_streams(self) -> Generation:
        if self.stream_options is not None and not self.stream:
            raise refusal("stream_options", "they are for streams: send stream: true with them")
        return self

    @property
    def stop_words(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatCompletionRequest(Generation):
    NOT_SERVED = {
        "tools": _TOOLS,
        "tool_choice": _TOOLS,
        "parallel_tool_calls": _TOOLS,
        "functions": _TOOLS,
        "function_call": _TOOLS,
        "logit_bias": "leave it out",
        "top_logprobs": "only the chosen token's log probability is known",
        "audio": _TEXT_ONLY,
        "prediction": "leave it out",
        "reasoning_effort": "this model does not reason apart",
        "verbosity": "leave it out",
        "web_search_options": "leave it out",
    }

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: Count | None = None
    logprobs: bool = False
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None

    @field_validator("logprobs", mode="before")
    @classmethod
    def _no_logprobs(cls, value: Any) -> Any:
        return False if value is None else value

    @model_validator(mode="after")
    def _one_limit(self) -> ChatCompletionRequest:
        if None not in (self.max_tokens, self.max_completion_tokens):
            raise refusal("max_tokens", "send either max_completion_tokens or max_tokens")
        return self


class CompletionRequest(Generation):
    NOT_SERVED = {
        "echo": "leave it out",
        "suffix": "leave it out",
        "best_of": "send n, and choose",
        "logit_bias": "leave it out",
    }

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: Literal[0] | None = None

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]
