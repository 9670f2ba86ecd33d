"""From readings to events: one path for files and streams, on numpy alone."""
