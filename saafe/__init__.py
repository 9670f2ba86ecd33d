"""Train, examine and run fire detectors for cheap indoor sensors."""

__version__ = "0.1.0"
