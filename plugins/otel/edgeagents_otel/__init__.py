"""OpenTelemetry: a span for each event of an object, and what agents tell as metrics and events of the span.

Which exporter they go to is the application's choice of OpenTelemetry SDK; without one nothing is recorded.
"""

from edgeagents_otel.plugin import OTelPlugin, otel_plugin

__all__ = ["OTelPlugin", "otel_plugin"]
