"""trice: a real-time backend. `trice serve` runs it; the engine's front door is `trice.database`."""

__version__ = "0.1.0"
