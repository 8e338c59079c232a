"""Rails that judge prompts and answers, and the policy that says what follows. Usable without Triton."""
