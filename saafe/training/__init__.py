"""From a recipe to a trained model: data, the loop, thresholds, run folders."""
