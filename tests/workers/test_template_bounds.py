"""What a hostile template may not blow up, while it is compiled and while it runs."""

from __future__ import annotations

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tui.workers.template_bounds import bound_templates


@pytest.fixture
def sandbox() -> ImmutableSandboxedEnvironment:
    bound_templates()
    return ImmutableSandboxedEnvironment()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 'a' * 2000000 }}", "repeats"),
        ("{{ 2000000 * ['a'] }}", "repeats"),
        ("{{ 9 ** 99 }}", "power"),
        ("{{ '%2000000d' % 1 }}", "formats"),
        ("{{ '%*d' % (2000000, 1) }}", "formats"),
    ],
)
def test_a_huge_result_is_refused(sandbox: ImmutableSandboxedEnvironment, template: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sandbox.from_string(template).render()


def test_nothing_is_multiplied_while_it_compiles(sandbox: ImmutableSandboxedEnvironment) -> None:
    assert len(str(sandbox.compile("{{ 'a' * 2000000 if false else other }}", raw=True))) < 10_000


def test_what_templates_do_is_left_to_them(sandbox: ImmutableSandboxedEnvironment) -> None:
    assert (
        sandbox.from_string("{{ '-' * 3 }}{{ 2 * 3 }}{{ 2 ** 8 }}{{ '%03d' % 7 }}{{ 7 % 4 }}").render() == "---62560073"
    )
