"""Presentation: pure functions from the domain's frozen shapes to lines of spans. No widget, no app, no thread."""
