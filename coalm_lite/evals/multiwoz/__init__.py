"""MultiWOZ 2.4: states scored turn by turn, and tasks carried out with a simulated user."""
