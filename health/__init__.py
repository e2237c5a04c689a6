"""What load balancers, orchestrators, Prometheus and people are told about the queue, as an ASGI application.

Knows ``leasequeue`` and nothing else of the product: ``health_app.py`` puts it together.
"""

from .app import make_app
from .checks import Checks, Scope

__all__ = ["Checks", "Scope", "make_app"]
