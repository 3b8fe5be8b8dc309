"""The interactive side: questions answered at the prompt."""
