"""Start of tracing, if the settings ask for it and the library is there."""

from __future__ import annotations

import logging

from orderops.service.settings import Settings
from orderops.service.tracing import Tracing

log = logging.getLogger(__name__)


def open_tracing(settings: Settings) -> Tracing:
    """Return the tracing that the settings ask for. Tracing that cannot start is logged, and is off."""
    if not settings.traced:
        return Tracing()
    try:
        # Here and not above: a process without tracing neither loads the library nor needs it.
        from orderops.service.spans import RecordedTracing

        return RecordedTracing(settings)
    except ImportError as error:
        log.warning("tracing is off, since OpenTelemetry is not installed (%s): pip install 'orderops[tracing]'", error)
    except ValueError as error:
        log.warning("tracing is off, since one of the OTEL_ variables is not valid: %s", error)
    return Tracing()
