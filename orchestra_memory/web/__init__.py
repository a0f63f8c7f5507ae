"""Health over HTTP: a bare ASGI application, mountable and runnable alone."""

from .app import HealthApp as HealthApp
from .app import health_app as health_app
