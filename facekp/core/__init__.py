"""Foundations without torch: errors, geometry, landmark schemes, images, crops, files, devices."""
