"""Who owns a sandbox: its organization and its administrator."""

from __future__ import annotations

from typing import Any

__all__ = ["ADMIN_EMAIL", "ORGANIZATION"]

ADMIN_EMAIL = "admin@sandbox.local"
ORGANIZATION: dict[str, Any] = {
    "id": "sandbox-organization",
    "name": "Sandbox",
    "address": "",
    "city": "",
    "country": "",
    "zipCode": "",
    "license": {"api": True, "apiPriority": False, "uploadLocalData": True, "uploadCloudData": True, "seats": 1000},
}
