"""``crypto``: random numbers and SubtleCrypto, on the library ``cryptography``."""

from __future__ import annotations

import hmac as hmaclib
import os
import uuid
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils, x25519
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from wrangler_compat.host.model.buffers import JsArrayBuffer, TypedArray
from wrangler_compat.host.model.convert import from_json, to_text
from wrangler_compat.host.model.errors import DomException, JsTypeError
from wrangler_compat.host.model.json_object import stringify
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy, is_nullish
from wrangler_compat.host.web.crypto_keys import (
    CryptoKey,
    algorithm_of,
    buffer_bytes,
    curve_of,
    description_of,
    hash_of,
    read_key,
    unsupported,
    write_key,
)
from wrangler_compat.host.web.writable import WritableStream

__all__ = ["Crypto", "DigestStream", "SubtleCrypto"]

_RANDOM_BYTES: Final = 65_536


class DigestStream(WritableStream):
    """``crypto.DigestStream``: what is written is hashed; ``digest`` is a promise of the result."""

    def __init__(self, algorithm: Any) -> None:
        self._hash = hashes.Hash(hash_of(algorithm))
        self.digest = JsPromise()
        super().__init__({"write": self._add, "close": self._done})

    def _add(self, chunk: Any) -> None:
        self._hash.update(buffer_bytes(chunk))

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
        left, right = buffer_bytes(one), buffer_bytes(other)
        if len(left) != len(right):
            raise JsTypeError("Input buffers must have the same byte length")
        return hmaclib.compare_digest(left, right)

    async def digest(self, algorithm: Any, data: Any) -> JsArrayBuffer:
        """Return the hash of ``data``."""
        hashing = hashes.Hash(hash_of(algorithm))
        hashing.update(buffer_bytes(data))
        return JsArrayBuffer(hashing.finalize())

    async def sign(self, algorithm: Any, key: CryptoKey, data: Any) -> JsArrayBuffer:
        """Return the signature of ``data``."""
        name, options = algorithm_of(algorithm)
        _check_use(key, "sign", name)
        content, secret = buffer_bytes(data), key._key
        match name:
            case "HMAC":
                return JsArrayBuffer(hmaclib.digest(secret, content, hash_of(key.algorithm.hash).name))
            case "RSASSA-PKCS1-V1_5" | "RSA-PSS":
                hashing = hash_of(key.algorithm.hash)
                return JsArrayBuffer(secret.sign(content, _signature_padding(name, options, hashing), hashing))
            case "ECDSA":
                size = (secret.curve.key_size + 7) // 8
                r, s = utils.decode_dss_signature(secret.sign(content, ec.ECDSA(hash_of(options.get("hash")))))
                return JsArrayBuffer(r.to_bytes(size, "big") + s.to_bytes(size, "big"))
            case "ED25519":
                return JsArrayBuffer(secret.sign(content))
            case _:
                raise unsupported(name, "sign")

    async def verify(self, algorithm: Any, key: CryptoKey, signature: Any, data: Any) -> bool:
        """Whether ``signature`` is one of ``data``."""
        name, options = algorithm_of(algorithm)
        _check_use(key, "verify", name)
        given, content, public = buffer_bytes(signature), buffer_bytes(data), key._key
        try:
            match name:
                case "HMAC":
                    made = hmaclib.digest(public, content, hash_of(key.algorithm.hash).name)
                    return hmaclib.compare_digest(made, given)
                case "RSASSA-PKCS1-V1_5" | "RSA-PSS":
                    hashing = hash_of(key.algorithm.hash)
                    public.verify(given, content, _signature_padding(name, options, hashing), hashing)
                case "ECDSA":
                    half = len(given) // 2
                    r, s = int.from_bytes(given[:half], "big"), int.from_bytes(given[half:], "big")
                    public.verify(utils.encode_dss_signature(r, s), content, ec.ECDSA(hash_of(options.get("hash"))))
                case "ED25519":
                    public.verify(given, content)
                case _:
                    raise unsupported(name, "verify")
        except InvalidSignature:
            return False
        return True

    async def encrypt(self, algorithm: Any, key: CryptoKey, data: Any) -> JsArrayBuffer:
        """Return ``data``, encrypted."""
        name, options = algorithm_of(algorithm)
        _check_use(key, "encrypt", name)
        content = buffer_bytes(data)
        if name == "RSA-OAEP":
            return JsArrayBuffer(key._key.encrypt(content, _oaep(key, options)))
        if name == "AES-GCM":
            extra = options.get("additionalData")
            sealed = AESGCM(key._key).encrypt(
                buffer_bytes(options["iv"]), content, None if extra is None else buffer_bytes(extra)
            )
            return JsArrayBuffer(sealed[: len(content) + _tag_bytes(options)])
        if name == "AES-CBC":
            padder = padding.PKCS7(128).padder()
            content = padder.update(content) + padder.finalize()
        encryptor = _cipher(name, key, options).encryptor()
        return JsArrayBuffer(encryptor.update(content) + encryptor.finalize())

    async def decrypt(self, algorithm: Any, key: CryptoKey, data: Any) -> JsArrayBuffer:
        """Return ``data``, decrypted."""
        name, options = algorithm_of(algorithm)
        _check_use(key, "decrypt", name)
        content = buffer_bytes(data)
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
        name, options = algorithm_of(algorithm)
        wanted = [to_text(usage) for usage in usages]
        about = description_of(name, options)
        if name.startswith("AES-"):
            return CryptoKey("secret", about, os.urandom(options["length"] // 8), bool(extractable), wanted)
        if name == "HMAC":
            length = options.get("length") or hash_of(options.get("hash")).block_size * 8  # type: ignore[attr-defined]
            return CryptoKey("secret", {**about, "length": length}, os.urandom(length // 8), bool(extractable), wanted)
        private: Any
        if name.startswith("RSA"):
            exponent = int.from_bytes(buffer_bytes(options.get("publicExponent", b"\1\0\1")), "big")
            private = rsa.generate_private_key(exponent, options["modulusLength"])
        elif name in ("ECDSA", "ECDH"):
            private = ec.generate_private_key(curve_of(options))
        elif name == "ED25519":
            private = ed25519.Ed25519PrivateKey.generate()
        elif name == "X25519":
            private = x25519.X25519PrivateKey.generate()
        else:
            raise unsupported(name, "generateKey")
        return _pair(about, private, bool(extractable), wanted)

    async def importKey(self, form: Any, data: Any, algorithm: Any, extractable: Any, usages: Any) -> CryptoKey:
        """Return the key that ``data`` writes."""
        name, options = algorithm_of(algorithm)
        wanted = [to_text(usage) for usage in usages]
        try:
            kind, key = read_key(to_text(form), data, name, options)
        except (ValueError, KeyError) as error:
            raise DomException(f"The key could not be read: {error}", "DataError") from error
        about = description_of(name, options)
        if kind == "secret":
            about["length"] = len(key) * 8
        elif isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
            about["modulusLength"] = key.key_size
        return CryptoKey(kind, about, key, bool(extractable), wanted)

    async def exportKey(self, form: Any, key: CryptoKey) -> Any:
        """Return the key as it is written."""
        if not key.extractable:
            raise DomException("Attempt to export non-extractable key.", "InvalidAccessError")
        return write_key(to_text(form), key)

    async def deriveBits(self, algorithm: Any, key: CryptoKey, length: Any = None) -> JsArrayBuffer:
        """Return bits that follow from ``key``."""
        name, options = algorithm_of(algorithm)
        return JsArrayBuffer(_derive(name, options, key, None if is_nullish(length) else length // 8))

    async def deriveKey(self, algorithm: Any, key: CryptoKey, derived: Any, extractable: Any, usages: Any) -> CryptoKey:
        """Return a key that follows from ``key``."""
        name, options = algorithm_of(algorithm)
        kind, wanted = algorithm_of(derived)
        length = wanted.get("length") or (hash_of(wanted.get("hash")).digest_size * 8 if kind == "HMAC" else 256)
        bits = _derive(name, options, key, length // 8)
        return CryptoKey(
            "secret", {**description_of(kind, wanted), "length": length}, bits, bool(extractable), list(usages)
        )

    async def wrapKey(self, form: Any, key: CryptoKey, wrapping: CryptoKey, algorithm: Any) -> Any:
        """Return ``key`` as it is written, encrypted."""
        written = await self.exportKey(form, key)
        content = buffer_bytes(written) if not isinstance(written, JsObject) else _json(written)
        if algorithm_of(algorithm)[0] == "AES-KW":
            return JsArrayBuffer(aes_key_wrap(wrapping._key, content))
        encrypting = CryptoKey(wrapping.type, dict(wrapping.algorithm._props), wrapping._key, True, ["encrypt"])
        return await self.encrypt(algorithm, encrypting, JsArrayBuffer(content))

    async def unwrapKey(
        self, form: Any, data: Any, unwrapping: CryptoKey, algorithm: Any, kind: Any, extractable: Any, usages: Any
    ) -> CryptoKey:
        """Return the key that is written in ``data``, encrypted."""
        if algorithm_of(algorithm)[0] == "AES-KW":
            content: Any = JsArrayBuffer(aes_key_unwrap(unwrapping._key, buffer_bytes(data)))
        else:
            opening = CryptoKey(unwrapping.type, dict(unwrapping.algorithm._props), unwrapping._key, True, ["decrypt"])
            content = await self.decrypt(algorithm, opening, data)
        if to_text(form) == "jwk":
            content = from_json(content.to_bytes().decode())
        return await self.importKey(form, content, kind, extractable, usages)


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


def _signature_padding(name: str, options: dict[str, Any], hashing: hashes.HashAlgorithm) -> Any:
    if name != "RSA-PSS":
        return rsa_padding.PKCS1v15()
    return rsa_padding.PSS(rsa_padding.MGF1(hashing), options["saltLength"])


def _oaep(key: CryptoKey, options: dict[str, Any]) -> Any:
    label = options.get("label")
    hashing = hash_of(key.algorithm.hash)
    return rsa_padding.OAEP(rsa_padding.MGF1(hashing), hashing, None if is_nullish(label) else buffer_bytes(label))


def _tag_bytes(options: dict[str, Any]) -> int:
    return (options.get("tagLength") or 128) // 8


def _open_gcm(key: CryptoKey, options: dict[str, Any], content: bytes) -> bytes:
    size = _tag_bytes(options)
    mode = modes.GCM(buffer_bytes(options["iv"]), content[-size:], min_tag_length=size)
    decryptor = Cipher(algorithms.AES(key._key), mode).decryptor()
    extra = options.get("additionalData")
    if extra is not None:
        decryptor.authenticate_additional_data(buffer_bytes(extra))
    return decryptor.update(content[:-size]) + decryptor.finalize()


def _cipher(name: str, key: CryptoKey, options: dict[str, Any]) -> Cipher[Any]:
    if name == "AES-CBC":
        return Cipher(algorithms.AES(key._key), modes.CBC(buffer_bytes(options["iv"])))
    if name == "AES-CTR":
        return Cipher(algorithms.AES(key._key), modes.CTR(buffer_bytes(options["counter"])))
    raise unsupported(name, "encrypt")


def _derive(name: str, options: dict[str, Any], key: CryptoKey, length: int | None) -> bytes:
    match name:
        case "PBKDF2":
            kdf = PBKDF2HMAC(
                hash_of(options["hash"]), length or 0, buffer_bytes(options["salt"]), options["iterations"]
            )
            return kdf.derive(key._key)
        case "HKDF":
            hkdf = HKDF(
                hash_of(options["hash"]), length or 0, buffer_bytes(options["salt"]), buffer_bytes(options["info"])
            )
            return hkdf.derive(key._key)
        case "ECDH":
            shared = key._key.exchange(ec.ECDH(), options["public"]._key)
            return shared[:length]
        case "X25519":
            return key._key.exchange(options["public"]._key)[:length]
        case _:
            raise unsupported(name, "deriveBits")


def _json(value: JsObject) -> bytes:
    return (stringify(value) or "").encode()
