"""``crypto``: random numbers and SubtleCrypto, on the library ``cryptography``."""

from __future__ import annotations

import base64
import hmac as hmaclib
import os
import uuid
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils, x25519
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import JsArrayBuffer, TypedArray, bytes_of
from wrangler_compat.host.model.convert import from_json, to_text
from wrangler_compat.host.model.errors import DomException, JsTypeError
from wrangler_compat.host.model.json_object import stringify
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy, is_nullish, properties
from wrangler_compat.host.web.writable import WritableStream

__all__ = ["Crypto", "CryptoKey", "DigestStream"]

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
_RANDOM_BYTES: Final = 65_536


class CryptoKey(JsProxy):
    """``CryptoKey``: a key that this process has; ``extractable`` says whether it can be exported."""

    _is_made_by_host = True

    def __init__(self, kind: str, algorithm: dict[str, Any], key: Any, extractable: bool, usages: list[str]) -> None:
        self.type, self.algorithm, self.extractable = kind, JsObject(algorithm), extractable
        self.usages = JsArray(usages)
        self._key = key

    def _keys(self) -> list[str]:
        return ["type", "extractable", "algorithm", "usages"]


class DigestStream(WritableStream):
    """``crypto.DigestStream``: what is written is hashed; ``digest`` is a promise of the result."""

    def __init__(self, algorithm: Any) -> None:
        self._hash = hashes.Hash(_hash(algorithm))
        self.digest = JsPromise()
        super().__init__({"write": self._add, "close": self._done})

    def _add(self, chunk: Any) -> None:
        self._hash.update(_bytes(chunk))

    def _done(self) -> None:
        self.digest._resolve(JsArrayBuffer(self._hash.finalize()))


class Crypto(JsProxy):
    """``crypto``."""

    _is_made_by_host = True

    def __init__(self) -> None:
        self.subtle = SubtleCrypto()
        self.DigestStream = JsClass.of(DigestStream)

    def getRandomValues(self, array: Any) -> Any:
        """Fill a typed array of integers with random bytes."""
        if not isinstance(array, TypedArray) or array._format in "fd":
            raise DomException("getRandomValues() takes a typed array of integers.", "TypeMismatchError")
        if array.byteLength > _RANDOM_BYTES:
            raise DomException(
                f"getRandomValues() only accepts buffers of size <= 64K but provided {array.byteLength} bytes.",
                "QuotaExceededError",
            )
        array.assign(os.urandom(array.byteLength))
        return array

    def randomUUID(self) -> str:
        """Return a random UUID."""
        return str(uuid.uuid4())


class SubtleCrypto(JsProxy):
    """``crypto.subtle``."""

    _is_made_by_host = True

    def timingSafeEqual(self, one: Any, other: Any) -> bool:
        """Whether two buffers of one length are equal; the time does not tell where they differ."""
        left, right = _bytes(one), _bytes(other)
        if len(left) != len(right):
            raise JsTypeError("Input buffers must have the same byte length")
        return hmaclib.compare_digest(left, right)

    async def digest(self, algorithm: Any, data: Any) -> JsArrayBuffer:
        """Return the hash of ``data``."""
        hashing = hashes.Hash(_hash(algorithm))
        hashing.update(_bytes(data))
        return JsArrayBuffer(hashing.finalize())

    async def sign(self, algorithm: Any, key: CryptoKey, data: Any) -> JsArrayBuffer:
        """Return the signature of ``data``."""
        name, options = _algorithm(algorithm)
        _check_use(key, "sign", name)
        content, secret = _bytes(data), key._key
        match name:
            case "HMAC":
                return JsArrayBuffer(hmaclib.digest(secret, content, _hash(key.algorithm.hash).name))
            case "RSASSA-PKCS1-V1_5" | "RSA-PSS":
                hashing = _hash(key.algorithm.hash)
                return JsArrayBuffer(secret.sign(content, _signature_padding(name, options, hashing), hashing))
            case "ECDSA":
                size = (secret.curve.key_size + 7) // 8
                r, s = utils.decode_dss_signature(secret.sign(content, ec.ECDSA(_hash(options.get("hash")))))
                return JsArrayBuffer(r.to_bytes(size, "big") + s.to_bytes(size, "big"))
            case "ED25519":
                return JsArrayBuffer(secret.sign(content))
            case _:
                raise _unsupported(name, "sign")

    async def verify(self, algorithm: Any, key: CryptoKey, signature: Any, data: Any) -> bool:
        """Whether ``signature`` is one of ``data``."""
        name, options = _algorithm(algorithm)
        _check_use(key, "verify", name)
        given, content, public = _bytes(signature), _bytes(data), key._key
        try:
            match name:
                case "HMAC":
                    made = hmaclib.digest(public, content, _hash(key.algorithm.hash).name)
                    return hmaclib.compare_digest(made, given)
                case "RSASSA-PKCS1-V1_5" | "RSA-PSS":
                    hashing = _hash(key.algorithm.hash)
                    public.verify(given, content, _signature_padding(name, options, hashing), hashing)
                case "ECDSA":
                    half = len(given) // 2
                    r, s = int.from_bytes(given[:half], "big"), int.from_bytes(given[half:], "big")
                    public.verify(utils.encode_dss_signature(r, s), content, ec.ECDSA(_hash(options.get("hash"))))
                case "ED25519":
                    public.verify(given, content)
                case _:
                    raise _unsupported(name, "verify")
        except InvalidSignature:
            return False
        return True

    async def encrypt(self, algorithm: Any, key: CryptoKey, data: Any) -> JsArrayBuffer:
        """Return ``data``, encrypted."""
        name, options = _algorithm(algorithm)
        _check_use(key, "encrypt", name)
        content = _bytes(data)
        if name == "RSA-OAEP":
            return JsArrayBuffer(key._key.encrypt(content, _oaep(key, options)))
        if name == "AES-GCM":
            extra = options.get("additionalData")
            sealed = AESGCM(key._key).encrypt(_bytes(options["iv"]), content, None if extra is None else _bytes(extra))
            return JsArrayBuffer(sealed[: len(content) + _tag_bytes(options)])
        if name == "AES-CBC":
            padder = padding.PKCS7(128).padder()
            content = padder.update(content) + padder.finalize()
        encryptor = _cipher(name, key, options).encryptor()
        return JsArrayBuffer(encryptor.update(content) + encryptor.finalize())

    async def decrypt(self, algorithm: Any, key: CryptoKey, data: Any) -> JsArrayBuffer:
        """Return ``data``, decrypted."""
        name, options = _algorithm(algorithm)
        _check_use(key, "decrypt", name)
        content = _bytes(data)
        try:
            if name == "RSA-OAEP":
                return JsArrayBuffer(key._key.decrypt(content, _oaep(key, options)))
            if name == "AES-GCM":
                return JsArrayBuffer(_open_gcm(key, options, content))
            decryptor = _cipher(name, key, options).decryptor()
            opened = decryptor.update(content) + decryptor.finalize()
            if name == "AES-CBC":
                unpadder = padding.PKCS7(128).unpadder()
                opened = unpadder.update(opened) + unpadder.finalize()
            return JsArrayBuffer(opened)
        except (InvalidTag, ValueError) as error:
            raise DomException("Decryption failed: the key is another one, or the data.", "OperationError") from error

    async def generateKey(self, algorithm: Any, extractable: Any, usages: Any) -> Any:
        """Return a new key, or a pair of them."""
        name, options = _algorithm(algorithm)
        wanted = [to_text(usage) for usage in usages]
        about = _about(name, options)
        if name.startswith("AES-"):
            return CryptoKey("secret", about, os.urandom(options["length"] // 8), bool(extractable), wanted)
        if name == "HMAC":
            length = options.get("length") or _hash(options.get("hash")).block_size * 8  # type: ignore[attr-defined]
            return CryptoKey("secret", {**about, "length": length}, os.urandom(length // 8), bool(extractable), wanted)
        private: Any
        if name.startswith("RSA"):
            exponent = int.from_bytes(_bytes(options.get("publicExponent", b"\1\0\1")), "big")
            private = rsa.generate_private_key(exponent, options["modulusLength"])
        elif name in ("ECDSA", "ECDH"):
            private = ec.generate_private_key(_curve(options))
        elif name == "ED25519":
            private = ed25519.Ed25519PrivateKey.generate()
        elif name == "X25519":
            private = x25519.X25519PrivateKey.generate()
        else:
            raise _unsupported(name, "generateKey")
        return _pair(about, private, bool(extractable), wanted)

    async def importKey(self, form: Any, data: Any, algorithm: Any, extractable: Any, usages: Any) -> CryptoKey:
        """Return the key that ``data`` writes."""
        name, options = _algorithm(algorithm)
        wanted = [to_text(usage) for usage in usages]
        try:
            kind, key = _read_key(to_text(form), data, name, options)
        except (ValueError, KeyError) as error:
            raise DomException(f"The key could not be read: {error}", "DataError") from error
        about = _about(name, options)
        if kind == "secret":
            about["length"] = len(key) * 8
        elif isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
            about["modulusLength"] = key.key_size
        return CryptoKey(kind, about, key, bool(extractable), wanted)

    async def exportKey(self, form: Any, key: CryptoKey) -> Any:
        """Return the key as it is written."""
        if not key.extractable:
            raise DomException("Attempt to export non-extractable key.", "InvalidAccessError")
        return _write_key(to_text(form), key)

    async def deriveBits(self, algorithm: Any, key: CryptoKey, length: Any = None) -> JsArrayBuffer:
        """Return bits that follow from ``key``."""
        name, options = _algorithm(algorithm)
        return JsArrayBuffer(_derive(name, options, key, None if is_nullish(length) else length // 8))

    async def deriveKey(self, algorithm: Any, key: CryptoKey, derived: Any, extractable: Any, usages: Any) -> CryptoKey:
        """Return a key that follows from ``key``."""
        name, options = _algorithm(algorithm)
        kind, wanted = _algorithm(derived)
        length = wanted.get("length") or (_hash(wanted.get("hash")).digest_size * 8 if kind == "HMAC" else 256)
        bits = _derive(name, options, key, length // 8)
        return CryptoKey("secret", {**_about(kind, wanted), "length": length}, bits, bool(extractable), list(usages))

    async def wrapKey(self, form: Any, key: CryptoKey, wrapping: CryptoKey, algorithm: Any) -> Any:
        """Return ``key`` as it is written, encrypted."""
        written = await self.exportKey(form, key)
        content = _bytes(written) if not isinstance(written, JsObject) else _json(written)
        if _algorithm(algorithm)[0] == "AES-KW":
            return JsArrayBuffer(aes_key_wrap(wrapping._key, content))
        encrypting = CryptoKey(wrapping.type, dict(wrapping.algorithm._props), wrapping._key, True, ["encrypt"])
        return await self.encrypt(algorithm, encrypting, JsArrayBuffer(content))

    async def unwrapKey(
        self, form: Any, data: Any, unwrapping: CryptoKey, algorithm: Any, kind: Any, extractable: Any, usages: Any
    ) -> CryptoKey:
        """Return the key that is written in ``data``, encrypted."""
        if _algorithm(algorithm)[0] == "AES-KW":
            content: Any = JsArrayBuffer(aes_key_unwrap(unwrapping._key, _bytes(data)))
        else:
            opening = CryptoKey(unwrapping.type, dict(unwrapping.algorithm._props), unwrapping._key, True, ["decrypt"])
            content = await self.decrypt(algorithm, opening, data)
        if to_text(form) == "jwk":
            content = from_json(content.to_bytes().decode())
        return await self.importKey(form, content, kind, extractable, usages)


def _bytes(value: Any) -> bytes:
    data = bytes_of(value)
    if data is None:
        raise JsTypeError("A buffer is needed here: an ArrayBuffer or a view of one.")
    return data


def _algorithm(value: Any) -> tuple[str, dict[str, Any]]:
    options = {} if isinstance(value, str) else dict(properties(value))
    return to_text(value if isinstance(value, str) else options.get("name")).upper(), options


def _hash(value: Any) -> hashes.HashAlgorithm:
    name = _algorithm(value)[0]
    if name not in _HASHES:
        raise DomException(f"Unrecognized or unimplemented digest algorithm requested: {name}", "NotSupportedError")
    return _HASHES[name]()


def _curve(options: dict[str, Any]) -> ec.EllipticCurve:
    name = to_text(options.get("namedCurve"))
    if name not in _CURVES:
        raise DomException(f"Unrecognized or unimplemented EC curve requested: {name}", "NotSupportedError")
    return _CURVES[name]()


_WRITTEN: Final = {"RSASSA-PKCS1-V1_5": "RSASSA-PKCS1-v1_5", "ED25519": "Ed25519"}


def _about(name: str, options: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"name": _WRITTEN.get(name, name)}
    if not is_nullish(options.get("hash")):
        about["hash"] = JsObject({"name": _algorithm(options["hash"])[0]})
    about |= {
        key: options[key] for key in ("namedCurve", "length", "modulusLength", "publicExponent") if key in options
    }
    return about


def _pair(about: dict[str, Any], private: Any, extractable: bool, usages: list[str]) -> JsObject:
    public = [usage for usage in usages if usage in ("verify", "encrypt", "wrapKey")]
    secret = [usage for usage in usages if usage not in public]
    return JsObject(
        {
            "publicKey": CryptoKey("public", about, private.public_key(), True, public),
            "privateKey": CryptoKey("private", about, private, extractable, secret),
        }
    )


def _check_use(key: CryptoKey, usage: str, name: str) -> None:
    if to_text(key.algorithm.name).upper() != name or usage not in key.usages:
        raise DomException(
            f'Requested key usage "{usage}" of {name} does not match any usage listed in this CryptoKey.',
            "InvalidAccessError",
        )


def _unsupported(name: str, operation: str) -> DomException:
    return DomException(f"Unrecognized key algorithm {name!r} for {operation}().", "NotSupportedError")


def _signature_padding(name: str, options: dict[str, Any], hashing: hashes.HashAlgorithm) -> Any:
    if name != "RSA-PSS":
        return rsa_padding.PKCS1v15()
    return rsa_padding.PSS(rsa_padding.MGF1(hashing), options["saltLength"])


def _oaep(key: CryptoKey, options: dict[str, Any]) -> Any:
    label = options.get("label")
    hashing = _hash(key.algorithm.hash)
    return rsa_padding.OAEP(rsa_padding.MGF1(hashing), hashing, None if is_nullish(label) else _bytes(label))


def _tag_bytes(options: dict[str, Any]) -> int:
    return (options.get("tagLength") or 128) // 8


def _open_gcm(key: CryptoKey, options: dict[str, Any], content: bytes) -> bytes:
    size = _tag_bytes(options)
    mode = modes.GCM(_bytes(options["iv"]), content[-size:], min_tag_length=size)
    decryptor = Cipher(algorithms.AES(key._key), mode).decryptor()
    extra = options.get("additionalData")
    if extra is not None:
        decryptor.authenticate_additional_data(_bytes(extra))
    return decryptor.update(content[:-size]) + decryptor.finalize()


def _cipher(name: str, key: CryptoKey, options: dict[str, Any]) -> Cipher[Any]:
    if name == "AES-CBC":
        return Cipher(algorithms.AES(key._key), modes.CBC(_bytes(options["iv"])))
    if name == "AES-CTR":
        return Cipher(algorithms.AES(key._key), modes.CTR(_bytes(options["counter"])))
    raise _unsupported(name, "encrypt")


def _derive(name: str, options: dict[str, Any], key: CryptoKey, length: int | None) -> bytes:
    match name:
        case "PBKDF2":
            kdf = PBKDF2HMAC(_hash(options["hash"]), length or 0, _bytes(options["salt"]), options["iterations"])
            return kdf.derive(key._key)
        case "HKDF":
            hkdf = HKDF(_hash(options["hash"]), length or 0, _bytes(options["salt"]), _bytes(options["info"]))
            return hkdf.derive(key._key)
        case "ECDH":
            shared = key._key.exchange(ec.ECDH(), options["public"]._key)
            return shared[:length]
        case "X25519":
            return key._key.exchange(options["public"]._key)[:length]
        case _:
            raise _unsupported(name, "deriveBits")


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _padded(text: Any) -> bytes:
    letters = to_text(text)
    return base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))


def _number(text: Any) -> int:
    return int.from_bytes(_padded(text), "big")


def _read_key(form: str, data: Any, name: str, options: dict[str, Any]) -> tuple[str, Any]:
    if form == "jwk":
        return _read_jwk(dict(properties(data)), name, options)
    content = _bytes(data)
    if form == "pkcs8":
        return "private", serialization.load_der_private_key(content, None)
    if form == "spki":
        return "public", serialization.load_der_public_key(content)
    if form != "raw":
        raise DomException(f"Unrecognized key import format {form!r}.", "NotSupportedError")
    if name in ("ECDSA", "ECDH"):
        return "public", ec.EllipticCurvePublicKey.from_encoded_point(_curve(options), content)
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
                _number(jwk["x"]), _number(jwk["y"]), _curve({"namedCurve": jwk["crv"]})
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


def _write_key(form: str, key: CryptoKey) -> Any:
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


def _json(value: JsObject) -> bytes:
    return (stringify(value) or "").encode()
