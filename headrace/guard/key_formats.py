"""Keys and tokens by the form that their issuers give them: prefix, alphabet, length."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Their prefix alone says what they are, also after `token_` or `my-`.
_PLAIN = (
    r"A(?:KIA|SIA|BIA|CCA|GPA|IDA|IPA|ROA|NPA|NVA)[A-Z0-9]{16}",  # AWS
    r"ABSK[A-Za-z0-9+/]{100,280}={0,2}",
    r"gh[pousr]_[A-Za-z0-9_]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,255}",
    # GitLab
    r"gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|rtr|soat|wt)-[A-Za-z0-9_-]{20,300}(?:\.[a-z0-9.]{9,12})?",
    r"GR1348941[A-Za-z0-9_-]{20,50}",
    r"xox[abeoprs](?:\.xox[bp])?-(?=[A-Za-z-]{0,12}\d)[A-Za-z0-9-]{10,400}",  # Slack
    r"xapp-\d-[A-Z0-9]{5,30}-\d{5,30}-[a-f0-9]{20,128}",
    r"https://hooks\.slack\.com/(?:services|triggers|workflows)/[A-Za-z0-9/_-]{20,100}",
    r"[sr]k_(?:live|prod|test)_[A-Za-z0-9]{16,247}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{24,128}",
    # OpenAI, Anthropic, and others
    r"sk-(?:proj|svcacct|admin|None|or-v1|lf|ant-[a-z0-9]{1,12})-[A-Za-z0-9_-]{20,250}",
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"AQ\.Ab[A-Za-z0-9_-]{40,80}",
    r"ya29\.[A-Za-z0-9._-]{20,400}",
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"(?:hf|api_org)_[A-Za-z0-9]{30,64}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_-]{60,1000}",
    r"rubygems_[a-f0-9]{48}",
    r"dckr_[op]at_[A-Za-z0-9_-]{20,50}",  # Docker
    r"do[opr]_v1_[a-f0-9]{64}",  # DigitalOcean
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",  # SendGrid
    r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}",  # Brevo
    r"AT(?:ATT|BB|CTT)3?[A-Za-z0-9_=-]{24,250}",  # Atlassian
    r"gsk_[A-Za-z0-9]{48,60}",  # Groq
    r"xai-[A-Za-z0-9]{60,100}",
    r"pplx-[A-Za-z0-9]{40,64}",  # Perplexity
    r"r8_[A-Za-z0-9]{37}",  # Replicate
    r"nvapi-[A-Za-z0-9_-]{40,100}",  # NVIDIA
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",  # Shopify
    r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}",  # Square
    r"hv[bsr]\.[A-Za-z0-9_-]{24,300}",  # Vault
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,80}",  # Terraform
    r"lin_api_[A-Za-z0-9]{40}",  # Linear
    r"(?:ntn|secret)_[A-Za-z0-9]{43,50}",  # Notion
    r"sb(?:p_[a-f0-9]{40}|_secret_[A-Za-z0-9_-]{20,60})",  # Supabase
    r"gl(?:c_[A-Za-z0-9+/=]{32,400}|sa_[A-Za-z0-9]{32}_[a-f0-9]{8})",  # Grafana
    r"NRAK-[A-Z0-9]{27}",  # New Relic
    r"pscale_(?:oauth|pw|tkn)_[A-Za-z0-9_.=-]{32,64}",  # PlanetScale
    r"dp\.(?:ct|pt|sa|scim|st)\.[A-Za-z0-9._-]{40,64}",  # Doppler
    r"sntry[su]_[A-Za-z0-9_=+/.-]{60,250}",  # Sentry
    r"figd_[A-Za-z0-9_-]{36,50}",  # Figma
    r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}",  # Airtable
    r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",  # Postman
    r"tskey-[a-z]{2,10}-[A-Za-z0-9-]{20,80}",  # Tailscale
    r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
)
# Their prefix, or none, is met in other words too: they must stand alone.
_ALONE = (
    r"sk-[A-Za-z0-9]{32,64}",
    r"SK[a-f0-9]{32}",  # Twilio
    r"AC[a-f0-9]{32}",
    r"key-[a-f0-9]{32}",  # Mailgun
    r"[a-f0-9]{32}-us\d{1,2}",  # Mailchimp
    r"EAAA[A-Za-z0-9_-]{60}",  # Square
    r"dapi[a-f0-9]{32}(?:-\d)?",  # Databricks
    r"LTAI[A-Za-z0-9]{16,24}",  # Alibaba
    r"1//0[A-Za-z0-9_-]{40,250}",  # Google
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram
    r"[MNO][A-Za-z\d]{23,25}\.[\w-]{6}\.[\w-]{27,38}",  # Discord
    r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",  # Azure
    r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}",
    r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}",
    # JSON web tokens, signed and encrypted
    r"eyJ[A-Za-z0-9_-]{8,2000}\.e[yw][A-Za-z0-9_-]{6,8000}\.[A-Za-z0-9_-]{8,1400}",
    r"eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{0,700}\.[A-Za-z0-9_-]{8,40}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{16,90}",
)
_KEY = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_PLAIN)}|(?<![_-])(?:{'|'.join(_ALONE)}))(?![A-Za-z0-9])")
_RUN = re.compile(r"[A-Za-z0-9_.~+/=:-]{20,}+")
"""Of characters that keys are made of; the shortest key has 20 of them."""


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Where they stand."""
    for run in _RUN.finditer(text):
        for key in _KEY.finditer(text, *run.span()):
            yield key.span()
