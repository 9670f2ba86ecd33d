"""Simulated recordings: physics, sources, rooms, devices, sensor faults, labels."""
