"""Trials: the same prompts put to several models, with what each answer took, cost and was worth."""
