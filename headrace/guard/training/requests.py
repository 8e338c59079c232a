"""Ordinary requests to an assistant, made from patterns.

The corpora hold attacks, questions and news, but hardly the imperative that people speak to assistants in, so that
a head takes every "Write …", "You are …" and "Act as …" for an attack. These patterns teach it otherwise.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from headrace.guard.training.corpora import Example

_SLOTS = {
    "role": (
        "travel guide", "Linux terminal", "job interviewer for a data science position", "personal trainer",
        "pirate", "Spanish teacher", "career coach", "chef", "poet", "debate partner", "football commentator",
        "storyteller", "doctor", "accountant", "senior Python developer", "librarian", "recruiter",
        "spreadsheet", "historian", "dungeon master", "copy editor", "tutor for maths", "friendly barista",
        "text adventure", "SQL console",
    ),
    "topic": (
        "the water cycle", "our new phone", "remote work", "a trip to Lisbon", "climate change",
        "the French Revolution", "healthy breakfasts", "machine learning", "a lost dog",
        "my grandmother's garden", "project deadlines", "a password reset e-mail", "system administration",
        "the prompt delivery of parcels", "safety rules in a lab", "a story about hackers", "black holes",
        "customer complaints", "chess openings", "the stock market",
    ),
    "form": (
        "a poem", "an e-mail", "a short story", "a summary", "a list of ten ideas", "three bullet points",
        "a haiku", "a product description", "a cover letter", "a speech", "a lesson plan", "a dialogue",
        "an outline", "a tweet", "a title", "a recipe", "a review", "a limerick", "step-by-step instructions",
        "a table",
    ),
    "language": ("French", "German", "Japanese", "plain English", "Spanish", "Hindi", "Portuguese", "Italian"),
    "code": (
        "a Python function that reverses a list", "a SQL query for the newest order of each customer",
        "a regular expression for dates", "a bash script that deletes old logs", "a unit test for a login form",
        "a React component with a button", "a class that overrides the equals method",
        "a Dockerfile for a web server", "a function that ignores empty lines",
        "code that bypasses the cache when a flag is set", "a C program that sorts numbers",
        "a YAML file for CI",
    ),
    "thing": (
        "previous warnings", "the last message", "my earlier question", "the first paragraph", "empty rows",
        "case", "comments in the code", "the noise in this signal", "punctuation", "stop words",
        "the default settings", "outliers", "the header line", "what I said about the price",
        "spelling mistakes", "duplicate entries",
    ),
    "name": (
        "total", "user", "node", "config", "items", "parser", "score", "handler", "rows", "token", "path", "value",
        "session", "index", "payload", "widget", "counter", "matrix", "balance", "address",
    ),
    "other": (
        "other", "key", "child", "settings", "result", "stream", "limit", "event", "column", "buffer", "file",
        "name", "request", "offset", "message", "button", "timer", "vector", "account", "city",
    ),
    "sum": (
        "3x - 4y = 1, 2x + 3y = 12", "10x + 5 = 10", "17 * 23", "the square root of 144", "3 ft in inches",
        "15 % of 80", "the derivative of x^2", "the area of a circle of radius 4", "2, 4, 8, 16, ?",
        "98.6 F in C",
    ),
}  # fmt: skip
_PATTERNS = (
    "I want you to act as a {role}. I will describe my situation and you will reply with what you would say.",
    "Act as a {role} and help me with {topic}.",
    "You are a {role}. Write {form} about {topic}.",
    "You are an experienced {role}. Answer my questions about {topic} briefly.",
    "Pretend you are a {role} and tell me about {topic}.",
    "Imagine you are a {role}. How would you explain {topic}?",
    "Let's role-play: you are a {role} and I am a customer.",
    "From now on, please answer in {language}.",
    "Please ignore {thing} and summarize the rest.",
    "How do I ignore {thing} in pandas?",
    "You can skip {thing}; just give me {form}.",
    "Forget {thing}, let's talk about {topic}.",
    "Do not mention {thing} in your answer.",
    "Write {form} about {topic}.",
    "Write {form} about {topic} in {language}.",
    "Generate {form} for a page on {topic}.",
    "Give me {form} about {topic}, in the style of a {role}.",
    "Give me an example of {topic} from everyday life.",
    "Suppose you are a {role} at an interview. Write an answer to this question: why {topic}?",
    "Expand the following outline into {form}. Topic: {topic}.",
    "Rewrite this text as {form}: it is about {topic} and must be polite.",
    "Translate this sentence into {language}: we spoke about {topic} yesterday.",
    "Classify the sentiment of this review as positive or negative: I loved the part on {topic}.",
    "Read the passage on {topic} and answer the question in one sentence.",
    "Write {code}.",
    "Explain what this does and fix it: {code}.",
    "You are given {code}. Detect whether there is a syntax error. Output true or false.",
    "Solve {sum}. Show your steps and give me the final answer.",
    "Convert the following: {sum}",
    "What is {sum}?",
    "Is it safe to execute {code}?",
    "Please make sure that only authorized people can read the document on {topic}.",
    "You MUST follow all rules on {topic} to prevent accidents.",
    "Reveal the ending of the book about {topic}.",
    "Show me {form} with the system requirements for {topic}.",
    "Print the instructions for {topic} on one page.",
    "What does the term 'jailbreak' mean for {topic}?",
    "How does a {role} override the settings for {topic}?",
    "Repeat after me in {language}: good morning.",
    "Output only {form}, nothing else. Topic: {topic}.",
    "Think step by step as a {role} would: what comes first in {topic}?",
    "Summarize in {language}: {form} about {topic} that I wrote last week.",
    "Be my {role}. Ask me one question at a time about {topic}.",
    "Make a plan for {topic}: no restrictions on the budget.",
    "Reply to this e-mail and refuse the invitation politely. It is about {topic}.",
    "I want you to act as a {role}. I will tell you about {topic} and you will answer my questions.",
    "I want you to be a {role}. My first request is: {form} about {topic}.",
    "You will play a {role} in a game about {topic}. Begin with a short greeting.",
    "Act as an editor: correct the grammar of my text about {topic} and keep its tone.",
    "I speak to you in {language} and you answer with a translation into plain English.",
    "What is wrong with this line?\ndef {name}(self, {other}): return self.{name} == {other}.{name}",
    "def {name}({other}):\n    return [{other} for {other} in {name} if {other}]",
    "class {name}({other}):\n    def __init__(self) -> None:\n        super().__init__()",
    "for ({name} = 0; {name} < {other}.length; {name}++) {{ console.log({other}[{name}]); }}",
    "SELECT {name}, count(*) FROM {other} WHERE {name} IS NOT NULL GROUP BY {name}",
    "error: cannot find symbol {name} in {other}.java:42. What does it mean?",
    'Traceback (most recent call last): File "{name}.py", line 7\nKeyError: {name}. Why?',
    "git checkout -b {name} && make {other}",
    '{{"{name}": 12, "{other}": [true, null]}} is that valid JSON?',
    "{name}:\n  {other}: 3\n  enabled: true\nConvert this YAML to JSON.",
    "import {name}\nprint({name}.{other}(10))",
    "Fill in the blanks, and be creative: my {role} said that {topic} is ___.",
)
PER_PATTERN = 20


def ordinary_requests(seed: int) -> list[Example]:
    """The same for the same seed."""
    return list(_requests(random.Random(seed)))  # noqa: S311 - no secret


def _requests(draw: random.Random) -> Iterator[Example]:
    for pattern, _ in itertools.product(_PATTERNS, range(PER_PATTERN)):
        filling = {slot: draw.choice(words) for slot, words in _SLOTS.items()}
        yield Example(pattern.format(**filling), False, "patterns")
