"""Attacks on what is released: each test is an attacker who knows the schema, the terms and some of the people.

An attack scores what it guessed right, next to what guessing blindly would score, for each profile, and for a
control: the same attack with the defence off must succeed, or the test would prove nothing. `make attacks` prints the
table that docs/threat-model.md carries.
"""
