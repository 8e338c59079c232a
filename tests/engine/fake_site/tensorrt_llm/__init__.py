"""Put this package's parent folder on PYTHONPATH and `import tensorrt_llm` finds the stand-in."""

import importlib.util
import sys
from pathlib import Path

_NAME = "tensorrt_llm._fake"
_spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).parents[2] / "fake_tensorrt_llm.py")
assert _spec is not None
assert _spec.loader is not None
_fake = importlib.util.module_from_spec(_spec)
sys.modules[_NAME] = _fake
_spec.loader.exec_module(_fake)

__version__ = _fake.__version__
LLM = _fake.LLM
SamplingParams = _fake.SamplingParams
