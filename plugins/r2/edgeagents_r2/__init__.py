"""R2: buckets of objects.

| to | look in |
|---|---|
| see what a binding does | `bucket.py` |
| see what an object tells of itself | `objects.py` |
| see when a condition holds, what a range means | `conditions.py`, `ranges.py` |
| upload in parts | `multipart.py` |
| see where bytes are kept | `store.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from edgeagents_r2.bucket import R2Bucket
from edgeagents_r2.errors import R2Error
from edgeagents_r2.multipart import R2MultipartUpload
from edgeagents_r2.objects import R2Object, R2ObjectBody

__all__ = ["R2Bucket", "R2Error", "R2MultipartUpload", "R2Object", "R2ObjectBody"]
