"""Widgets: each edits one value or shows one thing."""
