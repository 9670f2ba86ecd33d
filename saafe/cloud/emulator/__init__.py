"""A local AWS endpoint on which launches are rehearsed for $0."""
