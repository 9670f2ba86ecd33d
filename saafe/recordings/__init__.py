"""Readings of one space over time: the format, files and streams, superposed fires."""
