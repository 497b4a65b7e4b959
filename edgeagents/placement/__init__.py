"""Placement: who owns an object.

Every event reaches its object through a ``Placement``, which knows whether that is this process. The first one,
``SingleProcess``, has every object here, and a lease on the state folder that keeps other processes out.
"""

from edgeagents.objects.ids import Address
from edgeagents.placement.lease import FolderLease, Lease
from edgeagents.placement.single_process import Local, Placement, SingleProcess

__all__ = ["Address", "FolderLease", "Lease", "Local", "Placement", "SingleProcess"]
