"""Stores: the places that keep the bytes of images."""
