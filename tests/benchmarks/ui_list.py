"""What the first paint and a keystroke in the catalog's filter cost with 100,000 rows: CPU milliseconds, drawing
included, beside Textual's own table with a tenth of the rows.

Run: python -m tests.benchmarks.ui_list [rows]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time

from textual.app import App, ComposeResult
from textual.widgets import DataTable

from tui.catalog.model import Model
from tui.ui.app import HeftApp
from tui.ui.catalog_index import CatalogIndex
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.widgets.filter_input import FilterInput

MAKERS = ("qwen", "meta-llama", "mistralai", "google", "microsoft", "ibm-granite", "allenai", "HuggingFaceTB")


def rows(count: int) -> list[Model]:
    """Distinct made-up models."""
    return [
        Model(
            id=f"model-{number}",
            name=f"Model {number} {MAKERS[number % len(MAKERS)]} Instruct",
            repo=f"{MAKERS[number % len(MAKERS)]}/model-{number}",
            vendor=MAKERS[number % len(MAKERS)],
            params=number * 1000 + 1,
            context_length=8192,
            license="Apache-2.0",
        )
        for number in range(count)
    ]


async def show_table(models: list[Model]) -> None:
    """The same rows in Textual's own DataTable, filled and shown: the widget that one would take first."""

    class Peer(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable[str]()

    app = Peer()
    async with app.run_test(size=(120, 40)) as pilot:
        table = app.query_one(DataTable)
        table.add_columns("model", "params", "licence")
        before = time.process_time()
        table.add_rows([(model.name, str(model.params), model.license) for model in models])
        await pilot.pause()
        spent = (time.process_time() - before) * 1000
        print(f"textual.widgets.DataTable, {len(models):,} rows filled and painted: {spent:.0f} ms CPU")


async def measure(count: int) -> None:
    """Fill, type "1", "11", "111", then move the cursor."""
    app = HeftApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = app.query_one(CatalogPane)
        models = rows(count)
        await pilot.pause()
        before = time.process_time()
        index = CatalogIndex(models)
        print(f"prepare {count:,} rows, once: {(time.process_time() - before) * 1000:.0f} ms CPU")
        before = time.process_time()
        pane.show_index(index)
        await pilot.pause()
        print(f"first paint: {(time.process_time() - before) * 1000:.1f} ms CPU")
        await show_table(models[: min(count, 10_000)])
        await pilot.press("slash")
        field = app.query_one("#filter", FilterInput)
        for text in ("1", "11", "111", "1112", "111", "q", "qw", "qwen"):
            before = time.process_time()
            field.value = text
            await pilot.pause()
            spent = (time.process_time() - before) * 1000
            print(f"filter {text!r}: {spent:.1f} ms CPU, {len(pane.models.rows):,} rows")
        await pilot.press("enter")
        before = time.process_time()
        for _ in range(50):
            pane.models.action_move(1)
            await pilot.pause()
        print(f"cursor down: {(time.process_time() - before) * 1000 / 50:.2f} ms CPU each")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
