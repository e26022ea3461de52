"""Procedural landscapes: an image with its caption, segments, depth and boxes from one seed."""
