"""Trainings of DAMSM, STREAM and the expert, on frozen trunks."""
