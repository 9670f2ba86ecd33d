"""The examination of a run, its gate and its report."""
