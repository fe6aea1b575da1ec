"""The calls of a `Client`, by what they are for. Each file is a part of that one class; none is used alone."""
