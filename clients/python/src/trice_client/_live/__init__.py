"""The live half: one WebSocket for each caller, and what is watched over it."""
