"""Measurements, as ratios against controls."""
