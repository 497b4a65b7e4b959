"""SubtleCrypto agrees with published results, with itself, and with Node's."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import Any

import pytest


@pytest.fixture
def g() -> Any:
    import js

    return js


def obj(value: Any) -> Any:
    import js
    from pyodide.ffi import to_js

    return to_js(value, dict_converter=js.Object.fromEntries)


async def test_hashes_and_derived_bits_are_the_published_ones(g):
    subtle = g.crypto.subtle
    assert (await subtle.digest("SHA-256", b"abc")).to_bytes().hex().startswith("ba7816bf8f01cfea")
    assert (await subtle.digest(obj({"name": "md5"}), b"")).to_bytes().hex() == "d41d8cd98f00b204e9800998ecf8427e"
    key = await subtle.importKey("raw", b"password", "PBKDF2", False, obj(["deriveBits"]))
    how = obj({"name": "PBKDF2", "hash": "SHA-1", "salt": b"salt", "iterations": 2})
    assert (
        await subtle.deriveBits(how, key, 160)
    ).to_bytes().hex() == "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"  # RFC 6070
    stream = g.crypto.DigestStream.new("SHA-1")
    await g.Response.new("abc").body.pipeTo(stream)
    assert (await stream.digest).to_bytes().hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"


SIGNING = [
    {"name": "HMAC", "hash": "SHA-256"},
    {"name": "Ed25519"},
    {"name": "ECDSA", "namedCurve": "P-256"},
    {"name": "RSA-PSS", "modulusLength": 2048, "publicExponent": b"\1\0\1", "hash": "SHA-256"},
    {"name": "RSASSA-PKCS1-v1_5", "modulusLength": 2048, "publicExponent": b"\1\0\1", "hash": "SHA-512"},
]


@pytest.mark.parametrize("algorithm", SIGNING, ids=lambda algorithm: algorithm["name"])
@pytest.mark.parametrize("form", ["jwk", "der"])
async def test_what_is_signed_verifies_with_the_exported_key(g, algorithm, form):
    subtle = g.crypto.subtle
    made = await subtle.generateKey(obj(algorithm), True, obj(["sign", "verify"]))
    is_secret = made.constructor.name == "CryptoKey"
    private, public = (made, made) if is_secret else (made.privateKey, made.publicKey)
    how = obj({**algorithm, "hash": algorithm.get("hash", "SHA-256"), "saltLength": 32})
    signature = await subtle.sign(how, private, b"data")
    written = form if form == "jwk" else ("raw" if is_secret else "spki")
    exported = await subtle.exportKey(written, public)
    again = await subtle.importKey(written, exported, obj(algorithm), True, obj(["verify"]))
    assert await subtle.verify(how, again, signature, b"data")
    assert not await subtle.verify(how, again, signature, b"other")
    with pytest.raises(Exception, match="InvalidAccessError"):
        await subtle.sign(how, again, b"data")


@pytest.mark.parametrize("name", ["AES-GCM", "AES-CBC", "AES-CTR"])
async def test_what_is_encrypted_opens_with_the_key_and_no_other(g, name):
    subtle = g.crypto.subtle
    key, other = [
        await subtle.generateKey(obj({"name": name, "length": 256}), True, obj(["encrypt", "decrypt"]))
        for _ in range(2)
    ]
    how = obj({"name": name, "iv": bytes(16), "counter": bytes(16), "length": 64, "additionalData": b"x"})
    sealed = await subtle.encrypt(how, key, b"secret text, longer than a block")
    assert (await subtle.decrypt(how, key, sealed)).to_bytes() == b"secret text, longer than a block"
    if name == "AES-GCM":
        with pytest.raises(Exception, match="OperationError"):
            await subtle.decrypt(how, other, sealed)


async def test_keys_are_agreed_on_and_wrapped(g):
    subtle = g.crypto.subtle
    for algorithm in ({"name": "ECDH", "namedCurve": "P-384"}, {"name": "X25519"}):
        mine, yours = [await subtle.generateKey(obj(algorithm), True, obj(["deriveBits"])) for _ in range(2)]
        ours = await subtle.deriveBits(obj({**algorithm, "public": yours.publicKey}), mine.privateKey, 256)
        theirs = await subtle.deriveBits(obj({**algorithm, "public": mine.publicKey}), yours.privateKey, 256)
        assert ours.to_bytes() == theirs.to_bytes()
    wrapping = await subtle.generateKey(obj({"name": "AES-KW", "length": 256}), True, obj(["wrapKey", "unwrapKey"]))
    key = await subtle.generateKey(obj({"name": "AES-GCM", "length": 128}), True, obj(["encrypt"]))
    wrapped = await subtle.wrapKey("raw", key, wrapping, "AES-KW")
    opened = await subtle.unwrapKey("raw", wrapped, wrapping, "AES-KW", "AES-GCM", True, obj(["encrypt"]))
    assert (await subtle.exportKey("raw", opened)).to_bytes() == (await subtle.exportKey("raw", key)).to_bytes()


async def test_what_is_not_to_be_exported_is_not(g):
    key = await g.crypto.subtle.generateKey(obj({"name": "AES-GCM", "length": 128}), False, obj(["encrypt"]))
    with pytest.raises(Exception, match="non-extractable"):
        await g.crypto.subtle.exportKey("raw", key)
    with pytest.raises(Exception, match="NotSupportedError"):
        await g.crypto.subtle.digest("SHA-9", b"")


def test_random_numbers(g):
    filled = g.crypto.getRandomValues(g.Uint8Array.new(32))
    assert filled.to_bytes() != bytes(32)
    assert len(g.crypto.randomUUID()) == 36
    with pytest.raises(Exception, match="QuotaExceededError"):
        g.crypto.getRandomValues(g.Uint8Array.new(65_537))
    assert g.crypto.subtle.timingSafeEqual(b"a", b"a")


async def test_node_verifies_what_is_signed_here(g):
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    subtle = g.crypto.subtle
    made = await subtle.generateKey(obj({"name": "ECDSA", "namedCurve": "P-256"}), True, obj(["sign", "verify"]))
    how = {"name": "ECDSA", "hash": "SHA-256"}
    signature = (await subtle.sign(obj(how), made.privateKey, b"data")).to_bytes().hex()
    jwk = g.JSON.stringify(await subtle.exportKey("jwk", made.publicKey))
    script = f"""
        const {{subtle}} = globalThis.crypto;
        const key = await subtle.importKey("jwk", {jwk}, {{name: "ECDSA", namedCurve: "P-256"}}, true, ["verify"]);
        const signature = Buffer.from("{signature}", "hex");
        console.log(await subtle.verify({json.dumps(how)}, key, signature, Buffer.from("data")));
    """
    command = ["node", "--input-type=module", "-e", script]
    told = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "true"
