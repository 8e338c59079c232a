"""What the prompt's guard tells the answer's."""

from __future__ import annotations

from headrace.guard.verdict import PromptVerdict, Verdict


def prompt_verdict(policy: str, *, blocked: bool = False) -> PromptVerdict:
    return PromptVerdict.of(Verdict(policy, "0", "prompt", "block" if blocked else "allow"))
