"""What of a trial is on the screen: its place, its columns, how they are shown, and the lines of all that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.compare.divergence import ladder
from tui.compare.metrics import summaries
from tui.compare.plan import cost_text
from tui.compare.published import HubResults, Published
from tui.compare.trial import Attempt, AttemptState, Place, Standing, newest
from tui.jobs.job import Job, State
from tui.plain_text import clean_line
from tui.ui.lines.job_lines import progress_words, state_word
from tui.ui.lines.span import BLANK, Line, Span, cut_line, line, plain, spread, width_of
from tui.ui.lines.trial_lines import Column, Diff, answer_lines, facts_lines, hub_results_lines, published_lines
from tui.ui.lines.trial_table import table_view
from tui.ui.trial_news import TrialNews


class TrialPage:
    """The page of a trial. ``news`` is what was told last; what is asked about what is seen needs some."""

    def __init__(self) -> None:
        self.news: TrialNews | None = None
        self.revision = 0
        self.places: list[Place] = []
        self.at = 0
        self.chosen = 0
        self.first = 0
        self.view = "answers"
        self.zoomed = False
        self.wrapped = True
        self.diff = Diff.OFF
        self.published: Mapping[str, Sequence[Published]] = {}
        self.at_the_hub: dict[str, HubResults | None] = {}
        self._attempts: dict[int, Attempt] = {}

    def take(self, news: TrialNews) -> bool:
        """Take in what changed; returns whether it is the first that comes."""
        first = self.news is None
        self.news = news
        for attempt in news.attempts:
            self._attempts[attempt.id] = attempt
            self.revision = max(self.revision, attempt.revision)
        if first:
            order = news.trial.order
            self.places = [
                Place(0, prompt, turn, repeat)
                for prompt, asked in enumerate(order.prompts)
                for repeat in range(order.repeat)
                for turn in range(len(asked.turns))
            ]
            if self.has_ladder:
                self.diff = Diff.LADDER
        return first

    # --- what is seen

    @property
    def is_working(self) -> bool:
        """Whether its job is not over."""
        return self.news is not None and self.news.job is not None and not self.news.job.state.is_over

    @property
    def has_ladder(self) -> bool:
        """Whether builds of one model take part."""
        return self.news is not None and bool(ladder(self.news.trial.order.contestants))

    @property
    def attempts(self) -> list[Attempt]:
        """Every request that was sent, in its order."""
        return [self._attempts[number] for number in sorted(self._attempts)]

    @property
    def is_held(self) -> bool:
        """Whether something was not asked because of the spend cap."""
        return any(attempt.state is AttemptState.HELD for attempt in newest(self.attempts).values())

    @property
    def columns(self) -> list[Column]:
        """All contestants at the place that is seen."""
        if self.news is None or not self.places:
            return []
        trial, place = self.news.trial, self.places[self.at]
        answers = newest(self.attempts)
        found = []
        for number, contestant in enumerate(trial.order.contestants):
            standing = trial.standings[number] if number < len(trial.standings) else Standing()
            there = Place(number, place.prompt, place.turn, place.repeat)
            found.append(Column(contestant, answers.get(there), standing, number == self.chosen))
        return found

    def why_not(self, action: str) -> str:
        """Why the key of ``action`` does nothing now; empty where it does something."""
        news = self.news
        if action in ("leave", "help"):
            return ""
        if news is None:
            return "the trial is still being read"
        if action == "diff" and len(news.trial.order.contestants) < 2:
            return "there is one answer only"
        if action == "place" and len(self.places) < 2:
            return "there is one prompt only"
        if action == "retry" and self.is_working:
            return "it is still at work"
        if action == "retry" and news.trial.answered == news.trial.wanted:
            return "nothing failed: R asks everything again"
        if action == "vote" and news.trial.answered < 2:
            return "there are no two answers yet"
        return "its job is over" if action == "cancel" and not self.is_working else ""

    # --- moving

    def next_column(self, step: int) -> None:
        """Choose another column."""
        self.chosen = (self.chosen + step) % max(1, len(self.columns))

    def next_place(self, step: int) -> None:
        """Another prompt, turn or repeat."""
        self.at = (self.at + step) % max(1, len(self.places))

    def next_diff(self) -> None:
        """Off, words, and from the first token where builds of one model take part."""
        modes = [Diff.OFF, Diff.WORDS, *([Diff.LADDER] if self.has_ladder else [])]
        self.diff = modes[(modes.index(self.diff) + 1) % len(modes)]

    def seen(self, shown: int) -> list[Column]:
        """The ``shown`` columns about the chosen one."""
        columns = self.columns
        self.first = min(max(self.first, self.chosen - shown + 1), self.chosen, len(columns) - shown)
        return columns[self.first : self.first + shown]

    # --- lines

    def title(self) -> tuple[str, str]:
        """The words at the top and at the bottom of the frame."""
        assert self.news is not None
        trial = self.news.trial
        cap = f" of at most ${trial.order.max_cost:g}" if trial.order.max_cost is not None else ""
        repeats = f", repeats trial {trial.replay_of}" if trial.replay_of else ""
        note = f"{trial.answered} of {trial.wanted} answers · {cost_text(trial.cost)}{cap}"
        return f"Trial {trial.id}{repeats}", note

    def asked_lines(self, width: int) -> tuple[Line, Line]:
        """The question, and under it how the answers are shown and what the job does."""
        assert self.news is not None
        trial, place = self.news.trial, self.places[self.at]
        prompt = trial.order.prompts[place.prompt]
        parts = [f"prompt {place.prompt + 1} of {len(trial.order.prompts)}"] if len(trial.order.prompts) > 1 else []
        if len(prompt.turns) > 1:
            parts.append(f"turn {place.turn + 1} of {len(prompt.turns)}")
        if trial.order.repeat > 1:
            parts.append(f"repeat {place.repeat + 1} of {trial.order.repeat}")
        where = f"{' · '.join(parts)}  " if parts else ""
        asked = line(Span(where, "dim"), Span(clean_line(prompt.turns[place.turn], 600), "strong"))
        return cut_line(asked, width), self._second_line(width)

    def text_lines(self, column: Column, cells: int) -> list[Line]:
        """The answer of one column, with what differs from another where that is asked for."""
        base, columns = None, self.columns
        if self.diff is not Diff.OFF:
            against = columns[self.chosen]
            if self.diff is Diff.LADDER and self.news is not None:
                rungs = ladder(self.news.trial.order.contestants)
                number = columns.index(column)
                against = columns[rungs[number]] if number in rungs else column
            if against is not column and against.attempt is not None and column.attempt is not None:
                base = against.attempt.text
        return answer_lines(column, cells, wrapped=self.wrapped, base=base, diff=self.diff)

    def table_lines(self, width: int) -> list[Line]:
        """All contestants in numbers."""
        assert self.news is not None
        return table_view(summaries(self.news.trial, self.attempts, self.news.benchmarks), width)

    def facts_lines(self, width: int) -> list[Line]:
        """What the chosen answer ran on, and what others published about its model."""
        column = self.columns[self.chosen]
        name = column.contestant.name
        rows: list[Line] = [line(Span(f"What {clean_line(name)} ran on", "title")), BLANK]
        found = self.news.circumstances.get(column.attempt.circumstances) if self.news and column.attempt else None
        rows += facts_lines(found, width) if found is not None else [line(Span("it was not asked yet", "dim"))]
        rows += published_lines(self.published.get(name, ()), width)
        return [*rows, *hub_results_lines(self.at_the_hub.get(name), width)]

    def _second_line(self, width: int) -> Line:
        # The ending of a job that is over gives way to how the answers are shown.
        job = self.news.job if self.news else None
        modes, progress = self._modes(), _progress(job)
        if plain(modes) and not self.is_working and width_of(modes) + width_of(progress) > width:
            return cut_line(modes, width)
        return spread(modes, progress, width)

    def _modes(self) -> Line:
        words = []
        if self.diff is Diff.WORDS and self.news is not None:
            name = self.news.trial.order.contestants[self.chosen].name
            words.append(f"words that are not in {clean_line(name, 30)}")
        elif self.diff is Diff.LADDER:
            words.append("from the first token that differs from the build with the most bits")
        words += [] if self.wrapped else ["not wrapped"]
        votes = self.news.votes if self.news else 0
        words += [f"{votes} vote{'s' if votes != 1 else ''}"] if votes else []
        return line(Span(" · ".join(words), "faint"))


def _progress(job: Job | None) -> Line:
    if job is None or job.state is State.DONE:
        return BLANK
    if job.state is State.RUNNING:
        return line(Span(f"▸ {progress_words(job.progress)}", "info"))
    role = "bad" if job.state is State.FAILED else "dim"
    failure = job.failure.summary if job.failure and job.state.is_over else job.waiting_because
    return line(Span(f"{state_word(job)}{': ' + failure if failure else ''}", role))
