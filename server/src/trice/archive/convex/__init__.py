"""Exports of Convex that become apps."""
