"""How the weights are made: data, the three trainings, scores, export. Run as `python -m train.<verb>`."""
