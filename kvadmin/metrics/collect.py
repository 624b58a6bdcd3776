"""What Prometheus is told: a fixed number of queries, however much there is."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Case, Count, F, Max, Min, Q, When
from django.db.models.functions import Now
from django.utils import timezone
from django_tasks_db.models import DBTaskResult, get_date_max
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from audit.finding_models import Finding
from audit.models import LedgerEntry, LedgerHead, Watermark
from kvadmin import __version__
from kvadmin import actions as a
from kvadmin.gateway.errors import WORDS
from kvadmin.jobs.models import WorkerBeat
from kvadmin.jobs.recovery import SILENCE
from kvadmin.metrics import tallies
from kvadmin.metrics.models import Tally
from vaults.models import SyncRun, Vault

Phase = LedgerEntry.Phase
Found = dict[tuple[str, ...], float]  # amounts by the values of their labels
# Counters that are told from the start, as 0: of one that appears with its first event, Prometheus sees no increase.
READS = (a.SECRET_REVEAL.word, a.SECRET_BREAK_GLASS.word)
OUTCOMES = (Phase.REVEALED, Phase.WITHHELD, Phase.FAILED)
STATUSES = ("2xx", "3xx", "4xx", "5xx")


def text() -> bytes:
    """All metrics in Prometheus' text format."""
    tallies.flush()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything())
    return generate_latest(registry)


class _Everything(Collector):
    def describe(self) -> Iterable[Metric]:
        return []  # else everything would be collected once more, to learn its names

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        yield _labelled("kvadmin_build", "The version that answers.", ["version"], {(__version__,): 1})
        yield from _ledger()
        yield from _inventory(now)
        yield from _access_log(now)
        yield from _jobs(now)
        yield from _tallies()


def _gauge(name: str, what: str, value: float | None) -> GaugeMetricFamily:
    """A gauge; one without a sample where there is nothing to tell yet."""
    gauge = GaugeMetricFamily(name, what)
    if value is not None:
        gauge.add_metric([], value)
    return gauge


def _labelled(name: str, what: str, labels: list[str], found: Found) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, what, labels=labels)
    for values, amount in sorted(found.items()):
        gauge.add_metric(values, amount)
    return gauge


def _counter(name: str, what: str, labels: list[str], found: Found) -> CounterMetricFamily:
    counter = CounterMetricFamily(name, what, labels=labels)
    for values, amount in sorted(found.items()):
        counter.add_metric(values, amount)
    return counter


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())


# --- The ledger ------------------------------------------------------------------------------------------------------


@dataclass
class _Counted:
    """The rows up to one that was read before. They never change, so that only those after it are counted anew."""

    seq: int = 0
    hash: str = ""
    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by action, phase and code
    lock: threading.Lock = field(default_factory=threading.Lock)

    def up_to_now(self) -> Counter[tuple[str, str, str]]:
        with self.lock:
            if not LedgerEntry.objects.filter(seq=self.seq, hash=self.hash).exists():
                self.seq, self.rows = 0, Counter()  # the first time; or another ledger, from a back-up
            head = LedgerHead.objects.filter(pk=1).first() or LedgerHead()
            for *key, count in _by_kind(self.seq, head.seq):
                self.rows[tuple(key)] += count  # type: ignore[index] # three columns, as selected
            self.seq, self.hash = head.seq, head.hash
            return self.rows.copy()


def _by_kind(after: int, last: int) -> Iterable[tuple[str, str, str, int]]:
    told = Q(phase=Phase.REFUSED) | Q(action__in=READS)
    rows = LedgerEntry.objects.filter(told, seq__gt=after, seq__lte=last).order_by()
    return rows.values("action", "phase", "code").annotate(n=Count("pk")).values_list("action", "phase", "code", "n")


_counted = _Counted()


def _ledger() -> Iterator[Metric]:
    reveals: Counter[tuple[str, ...]] = Counter({(action, outcome): 0 for action in READS for outcome in OUTCOMES})
    refusals: Counter[tuple[str, ...]] = Counter()
    for (action, phase, code), count in _counted.up_to_now().items():
        if phase == Phase.REFUSED:
            refusals[action, code] += count
        elif phase in OUTCOMES:
            reveals[action, phase] += count
    yield _counter("kvadmin_reveals", "Values asked of Azure.", ["action", "outcome"], {**reveals})
    yield _counter("kvadmin_refusals", "Acts refused by kvadmin.", ["action", "code"], {**refusals})
    yield _counter("kvadmin_ledger_rows", "Rows in the ledger.", [], {(): _counted.seq})


# --- What the clock's jobs brought -----------------------------------------------------------------------------------


def _inventory(now: datetime) -> Iterator[Metric]:
    swept = SyncRun.objects.filter(state=SyncRun.State.DONE).aggregate(at=Max("finished_at"))["at"]
    health = Vault.objects.order_by().values_list("health").annotate(n=Count("pk"))
    yield _gauge("kvadmin_sync_age_seconds", "Since the last sweep that came to its end.", _age(swept, now))
    found: Found = {(word,): count for word, count in health}
    yield _labelled("kvadmin_vaults", "Vaults by health.", ["health"], found)


def _access_log(now: datetime) -> Iterator[Metric]:
    logs = Watermark.objects.aggregate(last=Min("complete_up_to"), failing=Count("pk", filter=~Q(code="")))
    open_findings = Finding.objects.filter(acknowledged_at=None).order_by().values_list("severity")
    found: Found = {(severity,): count for severity, count in open_findings.annotate(n=Count("pk"))}
    what = "How far the log that is furthest behind has been taken in, counted back from now."
    yield _gauge("kvadmin_ingest_lag_seconds", what, _age(logs["last"], now))
    yield _gauge("kvadmin_ingest_failing_logs", "Logs whose last look failed.", logs["failing"])
    yield _labelled("kvadmin_findings", "Findings of which nobody took note.", ["severity"], found)


def _jobs(now: datetime) -> Iterator[Metric]:
    ready, due = Q(status="READY"), Q(run_after=get_date_max()) | Q(run_after__lte=now)
    since = Case(When(run_after=get_date_max(), then=F("enqueued_at")), default=F("run_after"))
    jobs = DBTaskResult.objects.aggregate(
        due=Count("pk", filter=ready & due), later=Count("pk", filter=ready & ~due),
        running=Count("pk", filter=Q(status="RUNNING")), failed=Count("pk", filter=Q(status="FAILED")),
        since=Min(since, filter=ready & due),
    )  # fmt: skip
    waits = _age(jobs.pop("since"), now) or 0.0
    alive = WorkerBeat.objects.filter(seen_at__gte=Now() - SILENCE).count()
    yield _labelled("kvadmin_jobs", "Jobs in the queue.", ["state"], {(state,): n for state, n in jobs.items()})
    yield _gauge("kvadmin_jobs_oldest_seconds", "How long the job that is due the longest has waited.", waits)
    yield _gauge("kvadmin_workers", "Workers that were heard of within a minute.", alive)


# --- What processes counted ------------------------------------------------------------------------------------------


def _tallies() -> Iterator[Metric]:
    found: dict[str, dict[str, float]] = {}
    for name, label, amount in Tally.objects.values_list("name", "label", "amount"):
        found.setdefault(name, {})[label] = amount
    errors = _from_zero(WORDS, found.get(tallies.AZURE_ERRORS, {}))
    answers = _from_zero(STATUSES, found.get(tallies.RESPONSES, {}))
    yield _counter("kvadmin_azure_errors", "Calls to Azure that failed, by kvadmin's code.", ["code"], errors)
    yield _counter("kvadmin_responses", "Answers by the class of their status.", ["status"], answers)
    yield _latency(found.get(tallies.REQUESTS, {}), found.get(tallies.SECONDS, {}))


def _from_zero(labels: Iterable[str], counted: dict[str, float]) -> Found:
    return {(label,): amount for label, amount in {**dict.fromkeys(labels, 0.0), **counted}.items()}


def _latency(requests: dict[str, float], seconds: dict[str, float]) -> HistogramMetricFamily:
    histogram = HistogramMetricFamily("kvadmin_request_seconds", "How long answers took.", labels=["route"])
    for route, total in sorted(seconds.items()):
        buckets, so_far = [], 0.0
        for bound in tallies.BOUNDS:
            so_far += requests.get(f"{route} {bound}", 0.0)
            buckets.append(("+Inf" if bound == float("inf") else str(bound), so_far))
        histogram.add_metric([route], buckets, total)
    return histogram
