"""Answers that know the distribution of tasks: what no learner can do better."""
