"""The interactive side: a prompt where questions are answered and ``/login``, ``/status`` and the like are commands.

It stands beside the command line and imports nothing of it; what it borrows from there is a
:class:`~keystead.session.desk.Desk`.
"""
