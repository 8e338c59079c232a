"""Phrases of prompt injections and jailbreaks that are worth more than their words.

A sign is a pattern and how much it says alone. Signs add up as independent doubts do: two halves make three
quarters. They are written for small letters, and bounded: they take time linear in the length of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RULES = r"(?:instructions?|prompts?|rules?|guidelines?|directives?|commands?|constraints?|restrictions?|policies|policy|programming|training|safeguards?|filters?|messages?|context)"
_EARLIER = r"(?:all|any|every|the|these|those|your|my|our|of|previous|prior|above|earlier|preceding|foregoing|initial|original|existing|current|system|safety|content|ethical|hidden|given|other|own)"
_TELL = (
    r"(?:reveal|print|show|repeat|output|display|tell|give|leak|recite|dump|share|expose|disclose|reproduce)\s+"
    r"(?:me\s+|us\s+|back\s+|out\s+)?"
)
_ALL_OF = r"(?:the|all|of|full|entire|whole|complete|exact|initial|original|verbatim|your|system|secret|hidden)"


@dataclass(frozen=True)
class _Sign:
    weight: float
    pattern: re.Pattern[str]


def _sign(weight: float, pattern: str) -> _Sign:
    return _Sign(weight, re.compile(pattern))


_SIGNS = (
    # to drop what was said before
    _sign(0.9, rf"\b(?:ignore|disregard|forget|override|bypass|discard|drop|skip|neglect)\s+(?:{_EARLIER}\s+){{1,5}}{_RULES}\b"),
    _sign(0.8, rf"\b(?:do not|don't|no longer|stop)\s+(?:follow|obey|adhere to|comply with)(?:ing)?\s+(?:{_EARLIER}\s+){{1,5}}{_RULES}\b"),
    _sign(0.6, r"\bforget\s+(?:everything|all)\s+(?:that\s+)?(?:you|i|we|above|before|was)\b"),
    _sign(0.5, r"\b(?:new|updated|revised|real|actual)\s+(?:system\s+)?(?:instructions?|prompt|directives?)\s*:"),
    # the same in other languages
    _sign(0.9, r"\b(?:ignor\w{1,4}|oubli\w{1,3}|contourn\w{1,3})\s+(?:\w+\s+){0,3}(?:instructions?|consignes|directives|règles)\s+(?:\w+\s+){0,2}(?:précédentes?|antérieures?|ci-dessus|plus haut|reçues|de sécurité)\b"),
    _sign(0.9, r"\b(?:ignorier\w{1,3}|vergiss|missachte?|umgehe?)\s+(?:\w+\s+){0,3}(?:vorherigen|bisherigen|vorigen|obigen|früheren|ursprünglichen)\s+(?:\w+\s+){0,2}(?:anweisungen|regeln|vorgaben|instruktionen|befehle|richtlinien)\b"),
    _sign(0.9, r"\b(?:ignor\w{1,4}|olvid\w{1,4}|esqueç\w{1,3}|dimentic\w{1,4}|descart\w{1,4}|desconsider\w{1,3})\s+(?:\w+\s+){0,3}(?:instruc\w+|instruç\w+|istruzioni|reglas|regras|regole|directrices|diretrizes|direttive)\s+(?:\w+\s+){0,2}(?:anterior\w*|previ[ao]s|precedenti|arriba|acima|sopra)\b"),
    _sign(0.9, r"\b(?:negeer|vergeet|omzeil)\s+(?:\w+\s+){0,3}(?:vorige|eerdere|bovenstaande)\s+(?:instructies|regels|opdrachten)\b"),
    _sign(0.9, r"(?:忽略|无视|忘记).{0,10}(?:之前|以上|先前|所有).{0,6}(?:指令|指示|规则|提示)"),
    _sign(0.9, r"(?:これまで|以前|上記|前).{0,4}の?(?:指示|命令|ルール).{0,6}(?:無視|忘れ)"),
    # to show what was said in secret
    _sign(0.8, rf"\b{_TELL}(?:{_ALL_OF}\s+){{0,4}}(?:your|system|hidden|secret|internal|underlying)\s+(?:{_ALL_OF}\s+){{0,3}}(?:system\s+)?(?:prompt|instructions|system message|pre-?prompt|configuration)\b"),
    _sign(0.5, rf"\b{_TELL}(?:{_ALL_OF}\s+){{0,4}}(?:initial|original|above)\s+(?:{_ALL_OF}\s+){{0,3}}(?:prompt|instructions|system message)\b"),
    _sign(0.6, r"\b(?:your|the)\s+(?:system\s+prompt|initial\s+instructions|hidden\s+(?:prompt|instructions))\b.{0,40}\b(?:verbatim|word for word|exactly|above)\b"),
    # another self
    _sign(0.7, r"\bdo\s+anything\s+now\b"),
    _sign(0.45, r"\b(?:act|behave|respond|answer|pretend|roleplay|role-play|pose|speak)\s+(?:as|to be|like)\s+(?:if\s+)?(?:you\s+(?:are|were|had|have)\s+)?(?:an?\s+)?(?:\w+\s+){0,3}(?:ai|assistant|model|chatbot|llm|bot)\b.{0,80}\b(?:without|no|not|never|free|un\w+)\b"),
    _sign(0.5, r"\b(?:you(?:'re| are| will be| have been)?|as)\s+(?:now\s+|going to\s+|to\s+)?(?:\w+\s+){0,3}(?:jailbroken|unrestricted|unfiltered|uncensored|amoral|unbound|unethical|freed|liberated|limitless)\b"),
    _sign(0.45, r"\b(?:unfiltered|uncensored|unrestricted|amoral|unethical)\b.{0,60}\b(?:responses?|answers?|content|mode|information|chatbot|assistant|ai|model)\b"),
    _sign(0.5, r"\b(?:developer|dev|debug|god|admin|sudo|jailbreak|opposite|evil|dan|unrestricted|maintenance|root)\s*[-_ ]?mode\b.{0,60}\b(?:enabled?|activated?|on|output|engaged?|unlocked|now)\b"),
    _sign(0.5, r"\b(?:enable|activate|enter|switch(?:ing)? (?:in)?to|unlock)\s+(?:\w+\s+){0,3}(?:developer|debug|god|jailbreak|dan|unrestricted|unfiltered)\s*[-_ ]?mode\b"),
    _sign(0.4, r"\bstay(?:ing)?\s+(?:in|a)\s*character\b|\bbreak(?:ing)?\s+character\b|\bstay\s+a\s+dan\b"),
    _sign(0.35, r"\b(?:dan|aim|stan|dude|mongo|evilbot|ucar|anarchy|antigpt|betterdan|maximum)\b\s*(?:\(|:|mode|is|will|can|does|has|,)"),
    _sign(0.35, r"\b(?:you(?:'re| are)?|i want you to|you will|from now on|let's)\b.{0,60}\b(?:immerse|role\s?-?play|play the role|take on the (?:role|persona)|pretend|act as)\b"),
    # without limits
    _sign(0.5, r"\b(?:no|without|free (?:of|from)|not bound by|unbound by|break(?:ing)? free (?:of|from)|bypass(?:es|ing)?|ignor(?:es|ing)|lacks?|has no|have no|doesn't have|does not have)\s+(?:any\s+|all\s+|the\s+|its?\s+|typical\s+|usual\s+|such\s+|\w+\s+){0,4}(?:restrictions|limitations|limits|censorship|filters?|guidelines|ethical|ethics|moral|morals|morality|content polic\w+|confines|boundaries|safeguards|rules)\b"),
    _sign(0.45, r"\b(?:never|not|cannot|can't|won't|don't)\s+(?:ever\s+)?(?:refuse|reject|decline|deny|say no|say (?:that )?(?:you|it|i) (?:can't|cannot|can not)|apologi[sz]e|mention (?:that|any|you)|warn)\b"),
    _sign(0.4, r"\b(?:openai|anthropic|google|meta)(?:'s)?\s+(?:content\s+|usage\s+|safety\s+)?(?:polic\w+|guidelines|rules|restrictions|moderation)\b"),
    _sign(0.4, r"\b(?:regardless|irrespective)\s+of\s+(?:\w+\s+){0,3}(?:legal|moral|ethic|consequence|morality|safety|legality)\w*\b|\b(?:legal|illegal|immoral|unethical|harmful)\w*\b.{0,30}\b(?:no matter|regardless|does not matter|doesn't matter)\b"),
    _sign(0.4, r"\b(?:two|both|2)\s+(?:different\s+|separate\s+)?(?:ways|responses|answers|paragraphs|outputs)\b.{0,120}\b(?:normal|standard|gpt|classic|jailbreak|dan)\b"),
    _sign(0.4, r"\[\s*(?:🔓|🔒|jailbreak|classic|gpt|dan)\W{0,3}(?:jailbreak|classic)?\s*\]"),
    _sign(0.3, r"\bhypothetical(?:ly)?\b.{0,80}\b(?:response|scenario|world|universe)\b.{0,200}\b(?:illegal|harmful|no (?:laws|rules)|anything)\b"),
    _sign(0.3, r"\b(?:tokens?)\b.{0,80}\b(?:deduct|lose|lost|die|cease|shut ?down|run out)\w*\b"),
    _sign(0.5, r"\b(?:without|has no|have no|no|lacks?|zero)\s+(?:any\s+|a\s+)?(?:conscience|scruples|morals?|qualms|inhibitions|remorse)\b"),
    _sign(0.45, r"\b(?:no|without|little)\s+(?:thought|regard|concern|care|consideration)\s+(?:for|to|of|about)\b.{0,40}\b(?:right|lawful|legal|moral|ethic|safe)\w*"),
    _sign(0.5, r"\b(?:safety|guard\s?rails?|filters?|moderation|disclaimers?|polic(?:y|ies)|censorship|ethics|morality|alignment)\s*(?:\w+\s+){0,3}(?:off|disabled|removed|deactivated|lifted|taken out|switched off|turned off|=\s*(?:0|off|false|none|no|never))(?![\w.])"),
    # how to answer: with no refusal in it
    _sign(0.45, r"\b(?:begin|start)s?\s+(?:\w+\s+){0,4}(?:with|by saying)\s*[\"'“‘«]?\s*(?:sure|absolutely|of course|certainly|yes|happily)\b"),
    _sign(0.5, r"\b(?:can't|cannot|can not|don't|do not|never|not allowed to|may not)\s+(?:use|say|write|include)\s+(?:the\s+|any\s+)?(?:words?|phrases?)\b.{0,40}\b(?:sorry|cannot|can't|unfortunately|however|illegal|unethical)\b"),
    _sign(0.4, r"\b(?:refus\w+|disclaimers?|warnings?|apolog\w+)\b.{0,40}\b(?:points?|score\w*|penal\w+|punish\w*|gets? (?:0|zero)|costs?)\b"),
    _sign(0.35, r"\b(?:opposite|mirror|reverse|inverted|evil|shadow|dark)[\s-]+(?:day|world|twin|version|side|gpt|ai|persona|self)\b"),
    _sign(0.3, r"\b(?:dead|deceased|late)\s+grand(?:ma|mother|pa|father)\b"),
    # a turn of the conversation that the user made up
    _sign(0.75, r"<\|(?:im_start|start_header_id|system|assistant)\|?>|<<\s*sys\s*>>|\[/?inst\]|<\|endoftext\|>|<start_of_turn>"),
    _sign(0.6, r"(?:^|\n)\s{0,8}(?:#{1,4}\s{0,8}|\[|<|\*\*)?\s{0,8}(?:system|developer|admin)(?:\s{1,8}(?:message|prompt|override|note|update))?\s{0,8}(?:\]|>|\*\*)?\s{0,8}:\s{0,8}(?:you|ignore|new|override|the|disregard|all|from)\b"),
)  # fmt: skip


def suspicion(text: str) -> float:
    """0 to 1."""
    text = text.lower()
    doubt = 1.0
    for sign in _SIGNS:
        if sign.pattern.search(text):
            doubt *= 1 - sign.weight
    return 1 - doubt
