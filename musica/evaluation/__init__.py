"""Errors of landmarks: metrics, tables, plots and the report."""
