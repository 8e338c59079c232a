"""Made-up keys in the issuers' formats."""

from __future__ import annotations

import random
import re
import string

ALNUM = string.ascii_letters + string.digits
CAPITALS = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
URL = ALNUM + "-_"
BASE64 = ALNUM + "+/"
DIGITS = string.digits
ALPHABETS = {"A": ALNUM, "C": CAPITALS, "H": HEX, "U": URL, "B": BASE64, "D": DIGITS}
# What is in braces is drawn: a letter for the alphabet, and how many of it.
FORMATS = [
    "AKIA{C16}",
    "ASIA{C16}",
    "ABSK{B128}",
    "ghp_{A36}",
    "gho_{A36}",
    "ghs_{A36}",
    "github_pat_{A22}_{A59}",
    "glpat-{U20}",
    "gldt-{U20}",
    "glrt-{U20}",
    "xoxb-{D12}-{D12}-{A24}",
    "xoxp-{D12}-{D12}-{D12}-{H32}",
    "xoxe.xoxp-1-{A160}",
    "xapp-1-A{C10}-{D13}-{H64}",
    "https://hooks.slack.com/services/T{C8}/B{C10}/{A24}",
    "sk_live_{A24}",
    "sk_test_{A99}",
    "rk_live_{A24}",
    "whsec_{A32}",
    "AIza{U35}",
    "ya29.{U60}",
    "GOCSPX-{U28}",
    "1//0{U80}",
    "sk-{A48}",
    "sk-{A20}T3BlbkFJ{A20}",
    "sk-proj-{U74}T3BlbkFJ{U74}",
    "sk-svcacct-{U58}",
    "sk-admin-{U58}",
    "sk-or-v1-{H64}",
    "sk-ant-api03-{U93}AA",
    "sk-ant-admin01-{U93}AA",
    "hf_{A34}",
    "npm_{A36}",
    "pypi-AgEIcHlwaS5vcmc{U150}",
    "SG.{U22}.{U43}",
    "SK{H32}",
    "AC{H32}",
    "{A3}8Q~{U34}",
    "{A52}JQQJ99{A26}",
    "nvapi-{A64}",
    "gsk_{A52}",
    "xai-{A80}",
    "pplx-{A48}",
    "r8_{A37}",
    "hvs.{A24}",
    "dop_v1_{H64}",
    "dckr_pat_{U27}",
    "ATATT3{U186}",
    "shpat_{H32}",
    "lin_api_{A40}",
    "ntn_{A46}",
    "glsa_{A32}_{H8}",
    "PMAK-{H24}-{H34}",
    "dapi{H32}",
    "{D9}:AA{U33}",
    "eyJhbGciOiJIUzI1NiJ9.eyJ{U60}.{U43}",
    "eyJhbGciOiJSU0EtT0FFUCJ9.{U340}.{U16}.{U500}.{U22}",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{B64}\n{B20}==\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{B70}\n{B30}\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{B64}\n={B4}\n-----END PGP PRIVATE KEY BLOCK-----",
]
WITH_A_NAME = [
    "aws_secret_access_key = {B40}",
    "AWS Secret Access Key: {B40}",
    "aws_session_token={B300}",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={B86}==;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey={B43}=",
    "https://x.blob.core.windows.net/c/f?sv=2022-11-02&sig={A43}%3D",
    "TWILIO_AUTH_TOKEN={H32}",
    "Authorization: Bearer {A40}",
    "Authorization: Token {H40}",
    "X-API-Key: {A32}",
    '"accessToken": "{A40}"',
    "session_token={A40}",
    "token: {A24}",
    "api key: {A32}",
    "Your API key is {A32}",
    "refresh_token={U500}",
]


def drawn(form: str, seed: object) -> str:
    draw = random.Random(f"{form}{seed}")
    return re.sub(r"\{([A-Z])(\d+)\}", lambda m: "".join(draw.choices(ALPHABETS[m[1]], k=int(m[2]))), form)
