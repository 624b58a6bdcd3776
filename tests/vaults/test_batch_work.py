"""What all workers of batches do alike: whatever ends the work, the batch is over and says why."""

from __future__ import annotations

import pytest

from audit.ledger import LedgerUnavailable
from tests import factories
from vaults import batch_work, batches
from vaults.batch_work import CRASHED, Halted
from vaults.models import Batch, Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch(officer: Person) -> Batch:
    asked = Batch(act="secret:update", title="Nothing much", reason="CHG-1", asked_by=officer)
    return batches.ask(asked, [], factories.actor(officer), lambda batch: None)


def test_work_that_comes_to_its_end_is_done(batch: Batch) -> None:
    done = batch_work.run(batch.pk, batch.turn, lambda batch: None)
    assert done is not None
    assert (done.state, done.note, bool(done.finished_at)) == ("done", "", True)


@pytest.mark.parametrize("error", [Halted("The vault is gone."), LedgerUnavailable()])
def test_what_ends_the_work_as_a_whole_is_the_batchs_note(batch: Batch, error: Exception) -> None:
    def work(batch: Batch) -> None:
        raise error

    failed = batch_work.run(batch.pk, batch.turn, work)
    assert failed is not None
    assert (failed.state, failed.note) == ("failed", str(error))


def test_a_fault_of_kvadmin_fails_the_job_too_and_its_text_is_nowhere(
    batch: Batch, caplog: pytest.LogCaptureFixture
) -> None:
    def work(batch: Batch) -> None:
        raise ValueError("s3cr3t")

    with pytest.raises(ValueError, match="s3cr3t"):
        batch_work.run(batch.pk, batch.turn, work)
    batch.refresh_from_db()
    assert (batch.state, batch.note) == ("failed", CRASHED)
    assert "ValueError" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_job_that_was_overtaken_does_nothing(batch: Batch) -> None:
    worked = []
    assert batch_work.run(batch.pk, batch.turn + 1, worked.append) is None
    assert worked == []
