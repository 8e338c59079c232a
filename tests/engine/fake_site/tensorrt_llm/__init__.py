"""A stand-in for `tensorrt_llm`, built from the recorded names of the LLM API: no GPU, no weights.

Put this package's parent folder on PYTHONPATH. It takes exactly the arguments that the recorded release takes
for certain, and raises for any other. Tokens are the prompt's own, over and over, so that a test knows what must
come back. Environment variables:

- `FAKE_TRTLLM_STEP_MS`: the time of one iteration (1)
- `FAKE_TRTLLM_REFUSED_TOKEN`: a request whose prompt has this token id fails alone
- `FAKE_TRTLLM_DEADLY_TOKEN`: a prompt with this token id breaks the engine for good: as upstream does it, every
  request of the batch, and every later one, fails with an error of its own
- `FAKE_TRTLLM_LOG`: a file that gets the arguments of `LLM` and of every request, one JSON object a line
"""

from headrace.engine.trtllm.api import VERSION

from ._llm import LLM
from ._types import SamplingParams

__all__ = ["LLM", "SamplingParams"]
__version__ = f"{VERSION}+fake"
