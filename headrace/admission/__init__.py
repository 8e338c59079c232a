"""Admission control: how many requests the engine has at once, and what becomes of the others."""

from headrace.admission.admission import Admission, Reason, Stats
from headrace.admission.config import AdmissionConfig
from headrace.admission.ticket import Ticket

__all__ = ["Admission", "AdmissionConfig", "Reason", "Stats", "Ticket"]
