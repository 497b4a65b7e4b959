"""Keys of ``crypto.subtle``: what they are for, and how they are written and read."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import JsArrayBuffer, bytes_of
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import DomException, JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, properties

__all__ = [
    "CryptoKey",
    "algorithm_of",
    "buffer_bytes",
    "curve_of",
    "description_of",
    "hash_of",
    "read_key",
    "unsupported",
    "write_key",
]

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "MD5": hashes.MD5,
    "SHA-1": hashes.SHA1,
    "SHA-256": hashes.SHA256,
    "SHA-384": hashes.SHA384,
    "SHA-512": hashes.SHA512,
}
_CURVES: Final[dict[str, Callable[[], ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}


class CryptoKey(JsProxy):
    """``CryptoKey``: a key that this process has; ``extractable`` says whether it can be exported."""

    _is_made_by_host = True

    def __init__(self, kind: str, algorithm: dict[str, Any], key: Any, extractable: bool, usages: list[str]) -> None:
        self.type, self.algorithm, self.extractable = kind, JsObject(algorithm), extractable
        self.usages = JsArray(usages)
        self._key = key

    def _keys(self) -> list[str]:
        return ["type", "extractable", "algorithm", "usages"]


def buffer_bytes(value: Any) -> bytes:
    """Return the bytes of a buffer. Raises ``TypeError`` for what is none."""
    data = bytes_of(value)
    if data is None:
        raise JsTypeError("A buffer is needed here: an ArrayBuffer or a view of one.")
    return data


def algorithm_of(value: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of an algorithm, in capitals, and its options."""
    options = {} if isinstance(value, str) else dict(properties(value))
    return to_text(value if isinstance(value, str) else options.get("name")).upper(), options


def hash_of(value: Any) -> hashes.HashAlgorithm:
    """Return the hash that is meant. Raises ``NotSupportedError``."""
    name = algorithm_of(value)[0]
    if name not in _HASHES:
        raise DomException(f"Unrecognized or unimplemented digest algorithm requested: {name}", "NotSupportedError")
    return _HASHES[name]()


def curve_of(options: dict[str, Any]) -> ec.EllipticCurve:
    """Return the curve that is meant. Raises ``NotSupportedError``."""
    name = to_text(options.get("namedCurve"))
    if name not in _CURVES:
        raise DomException(f"Unrecognized or unimplemented EC curve requested: {name}", "NotSupportedError")
    return _CURVES[name]()


_WRITTEN: Final = {"RSASSA-PKCS1-V1_5": "RSASSA-PKCS1-v1_5", "ED25519": "Ed25519"}


def description_of(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a key says of its algorithm."""
    about: dict[str, Any] = {"name": _WRITTEN.get(name, name)}
    if not is_nullish(options.get("hash")):
        about["hash"] = JsObject({"name": algorithm_of(options["hash"])[0]})
    about |= {
        key: options[key] for key in ("namedCurve", "length", "modulusLength", "publicExponent") if key in options
    }
    return about


def unsupported(name: str, operation: str) -> DomException:
    """Return the error for an algorithm that does not do ``operation``."""
    return DomException(f"Unrecognized key algorithm {name!r} for {operation}().", "NotSupportedError")


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _padded(text: Any) -> bytes:
    letters = to_text(text)
    return base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))


def _number(text: Any) -> int:
    return int.from_bytes(_padded(text), "big")


def read_key(form: str, data: Any, name: str, options: dict[str, Any]) -> tuple[str, Any]:
    """Return the kind of the key that ``data`` writes in ``form``, and the key."""
    if form == "jwk":
        return _read_jwk(dict(properties(data)), name, options)
    content = buffer_bytes(data)
    if form == "pkcs8":
        return "private", serialization.load_der_private_key(content, None)
    if form == "spki":
        return "public", serialization.load_der_public_key(content)
    if form != "raw":
        raise DomException(f"Unrecognized key import format {form!r}.", "NotSupportedError")
    if name in ("ECDSA", "ECDH"):
        return "public", ec.EllipticCurvePublicKey.from_encoded_point(curve_of(options), content)
    if name == "ED25519":
        return "public", ed25519.Ed25519PublicKey.from_public_bytes(content)
    if name == "X25519":
        return "public", x25519.X25519PublicKey.from_public_bytes(content)
    if name.startswith("AES-") and len(content) not in (16, 24, 32):
        raise ValueError(f"an AES key has 128, 192 or 256 bits, not {len(content) * 8}")
    return "secret", content


def _read_jwk(jwk: dict[str, Any], name: str, options: dict[str, Any]) -> tuple[str, Any]:
    match jwk["kty"]:
        case "oct":
            return "secret", _padded(jwk["k"])
        case "RSA":
            public = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
            if "d" not in jwk:
                return "public", public.public_key()
            p, q, d, dp, dq, qi = (_number(jwk[part]) for part in ("p", "q", "d", "dp", "dq", "qi"))
            return "private", rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()
        case "EC":
            point = ec.EllipticCurvePublicNumbers(
                _number(jwk["x"]), _number(jwk["y"]), curve_of({"namedCurve": jwk["crv"]})
            )
            if "d" not in jwk:
                return "public", point.public_key()
            return "private", ec.EllipticCurvePrivateNumbers(_number(jwk["d"]), point).private_key()
        case "OKP":
            kinds: Any = ed25519 if name == "ED25519" else x25519
            word = "Ed25519" if name == "ED25519" else "X25519"
            if "d" in jwk:
                return "private", getattr(kinds, f"{word}PrivateKey").from_private_bytes(_padded(jwk["d"]))
            return "public", getattr(kinds, f"{word}PublicKey").from_public_bytes(_padded(jwk["x"]))
        case kind:
            raise ValueError(f"the kty {kind!r} is not known")


def write_key(form: str, key: CryptoKey) -> Any:
    """Return the key as ``form`` writes it."""
    if form == "raw" and key.type == "secret":
        return JsArrayBuffer(key._key)
    if form == "raw" and isinstance(key._key, ec.EllipticCurvePublicKey):
        encoding, kind = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        return JsArrayBuffer(key._key.public_bytes(encoding, kind))
    if form == "raw" and key.type == "public" and hasattr(key._key, "public_bytes_raw"):
        return JsArrayBuffer(key._key.public_bytes_raw())
    if form == "spki" and key.type == "public":
        der, kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return JsArrayBuffer(key._key.public_bytes(der, kind))
    if form == "pkcs8" and key.type == "private":
        return JsArrayBuffer(
            key._key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    if form == "jwk":
        return JsObject({**_jwk(key), "ext": key.extractable, "key_ops": key.usages})
    raise DomException(f"A {key.type} key cannot be exported as {form!r}.", "InvalidAccessError")


def _jwk(key: CryptoKey) -> dict[str, Any]:
    made = key._key
    if key.type == "secret":
        return {"kty": "oct", "k": _unpadded(made)}

    def text(value: int, size: int = 0) -> str:
        return _unpadded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))

    if isinstance(made, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        public = (made.public_key() if isinstance(made, rsa.RSAPrivateKey) else made).public_numbers()
        jwk = {"kty": "RSA", "n": text(public.n), "e": text(public.e)}
        if isinstance(made, rsa.RSAPrivateKey):
            own = made.private_numbers()
            jwk |= {"d": text(own.d), "p": text(own.p), "q": text(own.q)}
            jwk |= {"dp": text(own.dmp1), "dq": text(own.dmq1), "qi": text(own.iqmp)}
        return jwk
    if isinstance(made, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        size = (made.curve.key_size + 7) // 8
        point = (made.public_key() if isinstance(made, ec.EllipticCurvePrivateKey) else made).public_numbers()
        jwk = {"kty": "EC", "crv": key.algorithm.namedCurve, "x": text(point.x, size), "y": text(point.y, size)}
        if isinstance(made, ec.EllipticCurvePrivateKey):
            jwk["d"] = text(made.private_numbers().private_value, size)
        return jwk
    is_private = key.type == "private"
    public_key = made.public_key() if is_private else made
    jwk = {"kty": "OKP", "crv": key.algorithm.name, "x": _unpadded(public_key.public_bytes_raw())}
    if is_private:
        jwk["d"] = _unpadded(made.private_bytes_raw())
    return jwk
