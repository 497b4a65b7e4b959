"""Make the pair of keys that push services know this server by, and write it into ``.env``.

Keys that are there stay: a browser that has subscribed takes messages from them only.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid
from py_vapid.utils import b64urlencode

FILE = Path(".env")


def main() -> None:
    lines = FILE.read_text().splitlines() if FILE.exists() else ["VAPID_SUBJECT=mailto:you@example.com"]
    if any(line.startswith("VAPID_PRIVATE_KEY=") for line in lines):
        print(f"{FILE} has VAPID keys already.")
        return
    vapid = Vapid()
    vapid.generate_keys()
    public = vapid.private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    private = vapid.private_key.private_numbers().private_value.to_bytes(32, "big")
    lines += [f"VAPID_PUBLIC_KEY={b64urlencode(public)}", f"VAPID_PRIVATE_KEY={b64urlencode(private)}"]
    FILE.touch(mode=0o600)
    FILE.write_text("".join(f"{line}\n" for line in lines))
    print(f"Wrote VAPID keys to {FILE}.")


if __name__ == "__main__":
    main()
