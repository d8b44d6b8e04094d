"""trice: a real-time backend. `trice serve` runs it; `trice.database` is the engine's door."""

__version__ = "0.1.0"
