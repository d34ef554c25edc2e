"""Conversations, endpoints and the streaming client.

What other parts build on, from the bottom up:

- ``Endpoint`` (where a chat goes), ``resolve`` (from a name to one), ``probe`` (which servers run here);
- ``ChatClient(endpoint).stream(messages, parameters, stop)`` yields ``Delta``; ``AnswerReader`` adds them up to an
  ``Answer`` with times, counts and thinking apart. Any number of clients may stream at once, each in a thread;
- ``cost_of(endpoint, usage)`` and ``window(messages, context)`` are pure;
- ``take_turn`` asks, streams into a sink and keeps everything in a ``TranscriptStore``, whose conversations are trees
  of versions of which one branch is shown.
"""
