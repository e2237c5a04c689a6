"""The status page: what a person wants to see at once, read only, without anything from elsewhere."""

from .access import Access
from .status import StatusPage

__all__ = ["Access", "StatusPage"]
