"""Calls of functions: who may, where they run, what they read and write."""
