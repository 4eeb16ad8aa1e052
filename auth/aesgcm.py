"""AES-256-GCM, for whoever seals something. The library is loaded by the first who does: it takes 6 MiB, and few do."""

from __future__ import annotations


def sealed(key: bytes, nonce: bytes, plain: bytes, beside: bytes) -> bytes:
    """`beside`: what must be the same when it is opened."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    return AESGCM(key).encrypt(nonce, plain, beside)


def opened(key: bytes, nonce: bytes, text: bytes, beside: bytes) -> bytes:
    """Raises ValueError for what was changed, or sealed with another key."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    try:
        return AESGCM(key).decrypt(nonce, text, beside)
    except InvalidTag:
        raise ValueError("it was changed, or sealed with another key") from None
