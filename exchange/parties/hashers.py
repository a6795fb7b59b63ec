"""The hasher for client secrets: one keyed SHA-256, for secrets that are 256 random bits.

A slow hash protects guessable passwords; 256 random bits cannot be guessed, and at 0.4 s a token the slow
hash would only invite denial of service. Never used for people's passwords.
"""

import hashlib
import hmac
import secrets
from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher


class ClientSecretHasher(BasePasswordHasher):
    algorithm = "client_secret"

    def salt(self) -> str:
        return secrets.token_urlsafe(16)

    def encode(self, password: str, salt: str) -> str:
        value = hmac.new(salt.encode(), password.encode(), hashlib.sha256).hexdigest()
        return f"{self.algorithm}${salt}${value}"

    def decode(self, encoded: str) -> dict[str, Any]:
        algorithm, salt, value = encoded.split("$", 2)
        return {"algorithm": algorithm, "salt": salt, "hash": value}

    def verify(self, password: str, encoded: str) -> bool:
        return hmac.compare_digest(self.encode(password, self.decode(encoded)["salt"]), encoded)

    def safe_summary(self, encoded: str) -> dict[str, Any]:
        return {"algorithm": self.algorithm}

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Nothing to harden: the work is the same for every secret."""
