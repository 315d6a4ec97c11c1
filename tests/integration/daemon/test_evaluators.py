"""What `evaluate` runs may be edited under a running daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.core.verify_settings import Evaluation, VerifySettings
from checkpointd.daemon.evaluators import Evaluators

if TYPE_CHECKING:
    from pathlib import Path


def test_an_edited_module_is_noticed_and_a_missing_one_keeps_its_description(
    tmp_path: Path,
) -> None:
    """The settings of the next request and of the next plan have another digest."""
    module = tmp_path / "quality.py"
    asked = VerifySettings(python_path=(str(tmp_path),), evaluate=Evaluation("quality:f"))

    async def story() -> list[str]:
        known = Evaluators()
        found = []
        for text in (None, "a = 1", "a = 2", "a = 2"):
            if text is not None:
                module.write_text(text)
            await known.check([asked, VerifySettings()])
            found.append(known.in_settings(asked).evaluate.digest)
        assert known.in_settings(VerifySettings()) == VerifySettings()
        known.close()
        return found

    unknown, first, second, again = asyncio.run(story())
    assert unknown == asked.evaluate.digest
    assert len({unknown, first, second}) == 3
    assert again == second
